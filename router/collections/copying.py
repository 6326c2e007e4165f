"""Copying the points of one collection into another (``init_from`` of collection creation)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import numpy as np

from consensus.buckets import shards_of
from consensus.state import CollectionState
from protos.collections import CollectionParams, SparseVectorParams
from protos.errors import BadInput
from protos.ids import id_key
from protos.rewriting import upsert_of
from protos.shard import Projection, Record, ScrollRequest, UpdateRequest
from router.primaries import PrimaryCalls
from router.replicas.readers import ShardReader, ShardReaders
from router.shards import owning_shards
from router.vectors import shape_of

BATCH_POINTS = 1000


def check_copyable(source: CollectionParams, target: CollectionParams) -> None:
    """Raises: BadInput if the target lacks a vector of the source or has it in another shape or distance."""
    for name, params in source.named.items():
        into = target.named.get(name)
        same = into is not None and shape_of(into) == shape_of(params)
        if same and not isinstance(params, SparseVectorParams) and not isinstance(into, SparseVectorParams):
            same = into is not None and into.distance is params.distance
        if not same:
            raise BadInput(f"Cannot init from a collection whose vector `{name}` differs from the new one's")


async def copy_points(
    readers: ShardReaders, primaries: PrimaryCalls, source: CollectionState, target: CollectionState
) -> None:
    """Copy every point of ``source``; durable and visible on return.

    Points written to the source meanwhile may or may not be copied.
    """
    for shard_id in owning_shards(source):
        async for records in _pages(readers.open(source, shard_id)):
            await _put(primaries, target, records)


async def _pages(shard: ShardReader) -> AsyncIterator[list[Record]]:
    """A shard's points in order of id; the first id of the next page is fetched with each."""
    projection = Projection(payload=True, vectors=True)
    offset = None
    while True:
        request = ScrollRequest(limit=BATCH_POINTS + 1, offset=offset, projection=projection)
        records = await shard.scroll(request)
        if records:
            yield records[:BATCH_POINTS]
        if len(records) <= BATCH_POINTS:
            return
        offset = records[BATCH_POINTS].id


async def _put(primaries: PrimaryCalls, target: CollectionState, records: Sequence[Record]) -> None:
    owners = shards_of(target, [id_key(record.id) for record in records])
    for shard_id in np.unique(owners).tolist():
        part = [records[index] for index in np.flatnonzero(owners == shard_id).tolist()]
        await primaries.update(target, shard_id, UpdateRequest(upsert_of(part), wait=True))
