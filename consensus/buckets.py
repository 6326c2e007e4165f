"""Which shard a point belongs to: id key → bucket → shard.

A collection (or shard key) has a fixed number of buckets; resharding moves buckets between shards and
never changes a point's bucket, so ``bucket_of`` is part of the storage format and may not change.
The bucket is the top bits of a multiplicative mix of the key's CRC-32: the CRC alone is linear, which
would fold ids with a regular step onto few buckets.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from consensus.state import CollectionState, ShardGroup, ShardKey
from protos.errors import BadInput

BUCKETS = 1024
_MIX = 0x9E37_79B1
_SHIFT = 32 - 10  # 2**10 buckets

ShardIds = npt.NDArray[np.uint32]


def bucket_of(key: bytes) -> int:
    """``key`` is a ``protos.ids.id_key``."""
    return (zlib.crc32(key) * _MIX & 0xFFFF_FFFF) >> _SHIFT


def buckets_of(keys: Iterable[bytes]) -> npt.NDArray[np.uint32]:
    """Shape (n,): the bucket of each key."""
    crc = np.fromiter(map(zlib.crc32, keys), dtype=np.uint32)
    return (crc * np.uint32(_MIX)) >> np.uint32(_SHIFT)


def deal_buckets(shards: Sequence[int]) -> bytes:
    """Deal all buckets to ``shards`` in turn; shares differ by at most one bucket."""
    owners = np.resize(np.asarray(shards, dtype="<u4"), BUCKETS)
    return owners.tobytes()


def owners_of(group: ShardGroup) -> ShardIds:
    """Shape (BUCKETS,): the shard of each bucket, read-only."""
    return np.frombuffer(group.buckets, dtype="<u4")


def pack_buckets(mask: npt.NDArray[np.bool_]) -> bytes:
    """One bit for each bucket, little bit order."""
    return np.packbits(mask, bitorder="little").tobytes()


def unpack_buckets(packed: bytes) -> npt.NDArray[np.bool_]:
    """Shape (BUCKETS,): which are in the set; no bytes: none."""
    if not packed:
        return np.zeros(BUCKETS, dtype=np.bool_)
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), bitorder="little")
    return bits.astype(np.bool_)


def all_in(keys: Iterable[bytes], packed: bytes) -> bool:
    """Do all points of these id keys belong to the buckets of the set?"""
    return bool(unpack_buckets(packed)[buckets_of(keys)].all())


def owned_buckets(collection: CollectionState, shard_id: int) -> bytes:
    """The buckets whose points belong to the shard: one bit for each, little bit order."""
    owned = np.zeros(BUCKETS, dtype=np.bool_)
    for group in collection.groups:
        if shard_id in group.shards:
            owned |= owners_of(group) == shard_id
    return pack_buckets(owned)


def group_of(collection: CollectionState, shard_key: ShardKey | None = None) -> ShardGroup:
    """Return the group that holds a point's shard.

    Raises: BadInput if the key is missing, unknown, or given where shards have none (reference 14.1).
    """
    if shard_key is None and collection.custom_sharding:
        raise BadInput("Shard key not specified")
    for group in collection.groups:
        if group.key == shard_key:
            return group
    raise BadInput(f"Shard key {show_shard_key(shard_key)} not found")


def show_shard_key(shard_key: ShardKey | None) -> str:
    return f'"{shard_key}"' if isinstance(shard_key, str) else str(shard_key)


def shard_of(collection: CollectionState, key: bytes, shard_key: ShardKey | None = None) -> int:
    """The shard of the point whose id key is ``key``. Raises: BadInput as ``group_of``."""
    group = group_of(collection, shard_key)
    if len(group.shards) == 1:
        return group.shards[0]
    at = bucket_of(key) * 4
    return int.from_bytes(group.buckets[at : at + 4], "little")


def shards_of(
    collection: CollectionState, keys: Sequence[bytes], shard_key: ShardKey | None = None
) -> ShardIds:
    """Shape (n,): the shard of each point. Raises: BadInput as ``group_of``."""
    group = group_of(collection, shard_key)
    if len(group.shards) == 1:
        return np.full(len(keys), group.shards[0], dtype=np.uint32)
    return owners_of(group)[buckets_of(keys)]
