"""A backup of a whole cluster as of one consistent cut.

Whoever is asked holds all primaries still for a moment (``barrier``, pure; ``participant``, each primary's
part; ``coordinator``), each fixes a checkpoint while it is held, and their files go into a repository that
keeps every content once (``repository``). The protocol and why it is consistent: ``docs/CLUSTER.md``.

May not live here: what is in a shard's files, what brings a backup back (``router.snapshots``).
"""
