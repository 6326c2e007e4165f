"""Qdrant's public API over gRPC: ``.proto`` files of our own, and the code generated from them.

Names and numbers of messages, fields, enums and methods are Qdrant's, which is what its clients agree on
with us; how the files are cut is ours. ``make protos`` regenerates the ``_pb2`` modules; they are never
edited. There is no generated service code, for the vocabulary needs no transport: ``router.grpc`` reads the
methods off the descriptors.

Invariant: nothing here enters protobuf's default pool (``pool``), where Qdrant's own clients register the
same names, so both can live in one process.
"""
