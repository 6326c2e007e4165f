"""Snapshots: a collection's shards of this node as one file, and back.

An archive is an uncompressed tar of bases (``node.transfer.export``) between a description and the checksums
of all files. Reading one makes *ready* directories of it, complete replicas aside; a command to the cluster
(``RestoreShards``, ``AddCollection``) then names them, and from its application on each is the shard's state,
whatever crashes in between: the replica puts it in its place when it is next opened.

Lives here: the archive format, reading and writing it, the ready directories.
May not live here: where archives are kept, who may ask, when replicas change places.
"""
