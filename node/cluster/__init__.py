"""One node's part in a cluster: what it holds as the cluster state says, what it tells, what it decides.

Lives here: this node's replicas and the commands that they wish for; its reports to the leader; the
controller's loop, which runs wherever the leader is.
May not live here: what one replica does (``node.shard``), what the cluster's next steps are
(``consensus.controller``), the transport (``node.peer``).
"""
