"""One replica of a shard in a cluster: the state machine of ``node.replication``, its files and its peers.

Lives here: the shell. ``agreement`` (pure) translates between the cluster state and the machine, ``disk``
does what the machine asks of the files, ``life`` is one opening of them, ``writes`` and ``checkpoints`` what
goes through it, ``shard`` goes from one life to the next (failures, bases from other replicas), ``settling``
has the log hold the agreed schema, ``proposals`` go to the cluster, ``session`` answers requests; ``host`` is
the node as a shard sees it.
May not live here: decisions about order, terms, acknowledgement and leases (``node.replication``), how the
files are copied (``node.transfer``), what operations do (``node.replica``).

Invariants: the machine is only stepped on the event loop; its effects on the files are carried out in the
order ``node.replication.effects`` demands; what is stored as a checkpoint is committed.
"""
