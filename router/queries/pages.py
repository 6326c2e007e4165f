"""Points that no vector ranks: by id, by a payload key, or at random (reference 9.2)."""

from __future__ import annotations

import secrets

import msgspec
import numpy as np

from protos.shard import Direction, Hits, OrderBy, Projection, Record, ScrollRequest
from router.merge import merge_by_value, merge_pages
from router.queries.requests import IDS_ONLY, WINDOW_MAX, Page, QueryRequest, RandomSample
from router.scope import Scope, gather
from router.shards import ShardSelector


async def listed(scope: Scope, request: QueryRequest) -> Hits:
    """Queries without a vector: by id, ordered by a payload key, or at random."""
    if isinstance(request.query, RandomSample):
        return unscored(await _sample(scope, request))
    order_by = request.query if isinstance(request.query, OrderBy) else None
    scroll = ScrollRequest(
        limit=request.offset + request.limit,
        filter=request.filter,
        order_by=order_by,
        projection=request.projection,
    )
    page = await scrolled(scope, scroll, request.shard_keys)
    return unscored(page.records[request.offset :])


async def scrolled(scope: Scope, request: ScrollRequest, keys: ShardSelector | None) -> Page:
    shards = scope.shards(keys)
    single = len(shards) == 1
    by_id = request.order_by is None
    asked = msgspec.structs.replace(
        request,
        limit=min(request.limit + by_id, WINDOW_MAX),  # one more tells where the next page starts
        projection=request.projection if single else IDS_ONLY,
    )
    parts = await gather([shard.scroll(asked) for shard in shards])
    merged = parts[0] if single else merge_pages(parts, asked)
    records = merged[: request.limit]
    following = merged[request.limit].id if by_id and len(merged) > request.limit else None
    if not single:
        records = await completed(scope, records, request.projection, keys)
    return Page(records, following)


async def completed(
    scope: Scope, found: list[Record], projection: Projection, keys: ShardSelector | None
) -> list[Record]:
    """The same records with what ``projection`` asks for, order values kept."""
    if projection == IDS_ONLY:
        return found
    ids = [record.id for record in found]
    fetched = await scope.retrieve(ids, projection, keys)
    by_id = {record.id: record for record in fetched}
    return [
        msgspec.structs.replace(by_id[record.id], order_value=record.order_value)
        for record in found
        if record.id in by_id
    ]


def unscored(records: list[Record]) -> Hits:
    """Points that no vector ranks show score 1.0 and version 0 (reference 9.2, 9.4)."""
    shown = [msgspec.structs.replace(record, version=0) for record in records]
    return Hits(shown, np.ones(len(shown), dtype=np.float32))


async def _sample(scope: Scope, request: QueryRequest) -> list[Record]:
    """One replica of each shard draws: others, with their points in other places, draw otherwise."""
    shards = scope.nearest_replicas().shards(request.shard_keys)
    complete, limit = len(shards) == 1 and scope.plain, min(request.limit, WINDOW_MAX)
    asked = ScrollRequest(
        limit, filter=request.filter, projection=request.projection if complete else IDS_ONLY
    )
    seeded = (msgspec.structs.replace(asked, sample_seed=secrets.randbits(64)) for _ in shards)
    parts = await gather([shard.scroll(scroll) for shard, scroll in zip(shards, seeded)])
    records = merge_by_value(parts, limit, Direction.ASC)
    if not complete:
        records = await completed(scope, records, request.projection, request.shard_keys)
    return [msgspec.structs.replace(record, order_value=None) for record in records]
