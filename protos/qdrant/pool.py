"""The descriptor pool of the public API, apart from protobuf's default one.

Holds what the ``_pb2`` modules beside it add when they are imported, and the well-known types they refer to.
"""

from __future__ import annotations

from google.protobuf import descriptor_pool, timestamp_pb2


def _with_well_known_types() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    return pool


PUBLIC_POOL = _with_well_known_types()
