"""Queries with prefetches over the shards of a collection (reference 9.4).

A shard runs all stages by itself, in one call. Only a fusion or a choice of diverse points that is the last
stage is made here, once, from the lists of all shards, unless a single replica has everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from protos.diversity import diverse
from protos.fusion import fuse, passing
from protos.ids import PointId
from protos.shard import AnyVector, Hits, Projection, Record
from protos.stages import Diverse, Fused, Listed, Stage, StagedRequest
from protos.vectors import finite
from router.merge import merge_hits, merge_staged, skip
from router.queries.nearest import projected_hits
from router.queries.pages import completed, unscored
from router.queries.plan import plan
from router.queries.requests import IDS_ONLY, QueryRequest
from router.queries.weighing import weighed_stages
from router.replicas.readers import ShardReader
from router.scope import Scope, gather
from router.shards import ShardSelector
from router.vectors import is_ascending, params_of

_INLINE_MAX: Final = 1024  # comparisons that are made at once: a thread for more, so that nobody waits


class _Planned(Struct, frozen=True):
    """``asked``: of the shards: everything, or what a last stage that is left to do is made of."""

    request: QueryRequest
    stage: Stage
    asked: tuple[StagedRequest, ...]


async def staged(
    scope: Scope, requests: Sequence[QueryRequest], vectors: Sequence[Sequence[AnyVector]]
) -> list[Hits]:
    """Answer each request. ``vectors``: of each, what ``plan`` takes."""
    stages = await weighed_stages(
        scope, [plan(scope.state, request, iter(own)) for request, own in zip(requests, vectors, strict=True)]
    )
    hits: dict[int, Hits] = {}
    for keys in dict.fromkeys(request.shard_keys for request in requests):
        chosen = [index for index, request in enumerate(requests) if request.shard_keys == keys]
        shards = scope.shards(keys)
        alone = len(shards) == 1 and scope.plain
        planned = [_planned(requests[index], stages[index], alone=alone) for index in chosen]
        found = await _run(scope, shards, planned)
        if not alone:
            found = await gather([_complete(scope, one, each) for one, each in zip(planned, found)])
        hits.update(zip(chosen, (_shown(one, each) for one, each in zip(planned, found))))
    return [hits[index] for index in range(len(requests))]


def _planned(request: QueryRequest, stage: Stage, *, alone: bool) -> _Planned:
    """``alone``: one replica has everything, and so makes everything."""
    if alone:
        return _Planned(request, stage, (StagedRequest(stage, request.projection),))
    stages = stage.prefetch if isinstance(stage, Fused) else (stage,)
    if isinstance(stage, Diverse):
        stages = (stage.candidates,)
    return _Planned(request, stage, tuple(StagedRequest(each, IDS_ONLY) for each in stages))


async def _run(scope: Scope, shards: Sequence[ShardReader], planned: Sequence[_Planned]) -> list[Hits]:
    """The windows of all, from one call of each shard."""
    asked = [each for one in planned for each in one.asked]
    parts = await gather([shard.query_staged(asked) for shard in shards])
    lists = iter([_merged(scope, each.stage, [part[at] for part in parts]) for at, each in enumerate(asked)])
    found = [(one, [next(lists) for _ in one.asked]) for one in planned]
    last = await gather([_last(scope, one, own) for one, own in found])
    return [_window(one, hits) for (one, _), hits in zip(found, last)]


def _merged(scope: Scope, stage: Stage, parts: Sequence[Hits]) -> Hits:
    if len(parts) == 1:
        return parts[0]
    params = scope.state.config.params
    return merge_staged(parts, stage, lambda name: is_ascending(params_of(params, name)))


async def _last(scope: Scope, planned: _Planned, lists: Sequence[Hits]) -> Hits:
    stage = planned.stage
    if planned.asked and planned.asked[0].stage is stage:
        return lists[0]
    if isinstance(stage, Diverse):
        return await _diverse(scope, stage, lists[0], planned.request.shard_keys)
    assert isinstance(stage, Fused)
    return fused(stage, lists)


async def _diverse(scope: Scope, stage: Diverse, found: Hits, keys: ShardSelector | None) -> Hits:
    """Of ``found``, by their vectors; one that has lost its vector meanwhile drops out."""
    name, query = stage.search.using, stage.search.vector
    assert query is not None
    seen = await projected_hits(scope, found, Projection(vectors=(name,)), keys)
    having = [place for place, record in enumerate(seen.records) if name in (record.vectors or {})]
    vectors = [seen.records[place].vectors[name] for place in having]  # type: ignore[index]  # they have some
    distance = scope.state.config.distance_of(name)
    choice = partial(diverse, query, vectors, distance, diversity=stage.diversity, limit=stage.limit)
    work = len(vectors) * stage.limit
    places = choice() if work <= _INLINE_MAX else await asyncio.to_thread(choice)
    chosen = [having[place] for place in places]
    return Hits([replace(seen.records[place], vectors=None) for place in chosen], seen.scores[chosen])


def fused(stage: Fused, lists: Sequence[Hits]) -> Hits:
    """The lists of a fusion's prefetches into one; equal scores by id, the larger first."""
    records: dict[PointId, Record] = {}
    numbers: dict[PointId, int] = {}
    rankings = []
    for hits in lists:
        seen: dict[int, int] = {}  # an order by values lists a point for each of its values
        for place, record in enumerate(hits.records):
            records.setdefault(record.id, record)
            seen.setdefault(numbers.setdefault(record.id, len(numbers)), place)
        keys = np.fromiter(seen, dtype=np.int64, count=len(seen))
        places = np.fromiter(seen.values(), dtype=np.int64, count=len(seen))
        rankings.append((keys, hits.scores[places]))
    keys, scores = passing(fuse(stage.by, rankings), stage.score_threshold)
    ids = list(numbers)
    found = Hits([records[ids[key]] for key in keys.tolist()], finite(scores))
    return merge_hits([found], stage.limit, ascending=False)


def _window(planned: _Planned, hits: Hits) -> Hits:
    request, stage = planned.request, planned.stage
    if isinstance(stage, Listed) and stage.scroll.sample_seed is not None:  # an offset means nothing
        return skip(hits, 0, request.limit)
    return skip(hits, request.offset, request.limit)


async def _complete(scope: Scope, planned: _Planned, hits: Hits) -> Hits:
    """With what the request wants to see of the points; one deleted meanwhile drops out."""
    request = planned.request
    if not isinstance(planned.stage, Listed):
        return await projected_hits(scope, hits, request.projection, request.shard_keys)
    records = await completed(scope, hits.records, request.projection, request.shard_keys)
    return Hits(records, np.ones(len(records), dtype=np.float32))


def _shown(planned: _Planned, hits: Hits) -> Hits:
    if not isinstance(planned.stage, Listed):
        return hits
    if planned.stage.scroll.sample_seed is None:
        return unscored(hits.records)
    return unscored([replace(record, order_value=None) for record in hits.records])
