"""What a shard's data takes on disk and in memory, by component (reference 7.3, ``/memory``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec import Struct


class Usage(Struct, frozen=True):
    """Bytes: in files; in RAM, of the process or locked; of files in the page cache now; wanted there."""

    disk_bytes: int = 0
    ram_bytes: int = 0
    cached_bytes: int = 0
    expected_cache_bytes: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.disk_bytes + other.disk_bytes,
            self.ram_bytes + other.ram_bytes,
            self.cached_bytes + other.cached_bytes,
            self.expected_cache_bytes + other.expected_cache_bytes,
        )


class VectorMemory(Struct, frozen=True):
    """Of one vector name. ``index``: graphs and the codes in them."""

    storage: Usage = Usage()
    index: Usage = Usage()

    def __add__(self, other: VectorMemory) -> VectorMemory:
        return VectorMemory(self.storage + other.storage, self.index + other.index)


class ShardMemory(Struct, frozen=True):
    """By vector name and payload field. ``id_tracker``: ids, and where their points are."""

    vectors: dict[str, VectorMemory] = {}
    sparse_vectors: dict[str, VectorMemory] = {}
    payload: Usage = Usage()
    payload_index: dict[str, Usage] = {}
    id_tracker: Usage = Usage()

    @property
    def total(self) -> Usage:
        vectors = [*self.vectors.values(), *self.sparse_vectors.values()]
        parts = [part for each in vectors for part in (each.storage, each.index)]
        return sum([*parts, *self.payload_index.values(), self.payload, self.id_tracker], start=Usage())


def memory_of_all(shards: Iterable[ShardMemory]) -> ShardMemory:
    """The sums."""
    found = ShardMemory()
    for shard in shards:
        found = ShardMemory(
            _summed(found.vectors, shard.vectors),
            _summed(found.sparse_vectors, shard.sparse_vectors),
            found.payload + shard.payload,
            _summed(found.payload_index, shard.payload_index),
            found.id_tracker + shard.id_tracker,
        )
    return found


_T = TypeVar("_T", Usage, VectorMemory)


def _summed(a: Mapping[str, _T], b: Mapping[str, _T]) -> dict[str, _T]:
    both = {name: a[name] + b[name] for name in a.keys() & b.keys()}
    return {**a, **b, **both}
