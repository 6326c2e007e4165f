"""What a collection's data takes, as clients see it (reference 7.3, ``/memory``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from protos.memory import ShardMemory, Usage, VectorMemory, memory_of_all


class NamedVectorMemory(Struct, frozen=True):
    name: str
    storage: Usage
    index: Usage


class PayloadIndexMemory(Struct, frozen=True):
    name: str
    usage: Usage


class OtherMemory(Struct, frozen=True):
    id_tracker: Usage


class CollectionMemory(Struct, frozen=True):
    total: Usage
    vectors: list[NamedVectorMemory]
    sparse_vectors: list[NamedVectorMemory]
    payload: Usage
    payload_index: list[PayloadIndexMemory]
    other: OtherMemory


def collection_memory(shards: Sequence[ShardMemory]) -> CollectionMemory:
    """The sums over ``shards``, one replica of each."""
    found = memory_of_all(shards)
    return CollectionMemory(
        total=found.total,
        vectors=_named(found.vectors),
        sparse_vectors=_named(found.sparse_vectors),
        payload=found.payload,
        payload_index=[
            PayloadIndexMemory(name, usage) for name, usage in sorted(found.payload_index.items())
        ],
        other=OtherMemory(found.id_tracker),
    )


def _named(vectors: Mapping[str, VectorMemory]) -> list[NamedVectorMemory]:
    return [NamedVectorMemory(name, each.storage, each.index) for name, each in sorted(vectors.items())]
