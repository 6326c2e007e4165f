"""Moving buckets of points from shard to shard, while both are read and written.

The source's primary copies. It reads its points in pages, each as of a committed seq, and whatever was
written since the first page again, until nothing is left; the target logs what comes as any other write, and
shows it to nobody (``consensus.ownership``). What is sent is the state of points, never a change of it, so it
may be sent twice; a session keeps what an earlier primary, or a lost attempt, sends late from coming in.

Lives here: the copying (``move``), its source in this process (``source``), who copies, tells and cleans up,
and when (``driver``).
May not live here: the stages (``consensus.transitions.resharding``), what a shard admits
(``node.replica.ownership``).

Why one primary takes the writes of a bucket at any time, and they are not sent to both: each shard has one
order of operations, its log. Two logs that took the same write would need an agreement on their order; the
source's log is that order, and the target follows it.
"""
