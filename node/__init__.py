"""The data: shard replicas, their log, points, vectors and indexes.

May import ``consensus`` and ``protos``. The floor above reaches this one through ``node.client`` only.
"""
