"""Searches by vectors over the shards of a collection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from consensus.state import CollectionState
from protos.filters import Filter, HasId, both
from protos.ids import PointId
from protos.shard import AnyVector, Hits, Projection, SearchRequest
from router.merge import merge_hits, skip, without
from router.queries.examples import excluded
from router.queries.rating import Rated, by_distance, examples_of, rated_by, search_of
from router.queries.requests import IDS_ONLY, WINDOW_MAX, QueryRequest
from router.queries.weighing import marked, weights
from router.scope import Scope, gather
from router.shards import ShardSelector
from router.vectors import is_ascending, params_of

_NOTHING = Hits([], np.empty(0, dtype=np.float32))


async def nearest(
    scope: Scope, requests: Sequence[QueryRequest], vectors: Sequence[Sequence[AnyVector]]
) -> list[Hits]:
    """Search shards for many requests at once, then cut each answer to its window.

    ``vectors``: of each request those of its examples. Raises: BadInput if numbers get too large.
    """
    rated = [await rated_by(request.query, own) for request, own in zip(requests, vectors, strict=True)]
    hits: list[Hits] = [_NOTHING] * len(requests)
    found = [_search_of(scope.state, request, each) for request, each in zip(requests, rated, strict=True)]
    weigh = await weights(scope, found)
    for keys in dict.fromkeys(request.shard_keys for request in requests):
        chosen = [index for index, request in enumerate(requests) if request.shard_keys == keys]
        shards = scope.shards(keys)
        single = len(shards) == 1
        searches = [
            replace(weigh(found[index]), projection=requests[index].projection if single else IDS_ONLY)
            for index in chosen
        ]
        parts = await gather([shard.search(searches) for shard in shards])
        for place, index in enumerate(chosen):
            hits[index] = _window(scope.state, requests[index], [part[place] for part in parts])
        if not single:
            projected = [projected_hits(scope, hits[i], requests[i].projection, keys) for i in chosen]
            for index, complete in zip(chosen, await gather(projected)):
                hits[index] = complete
    return hits


async def projected_hits(
    scope: Scope, hits: Hits, projection: Projection, keys: ShardSelector | None
) -> Hits:
    """Fetch what ``projection`` wants to see of the winners; one deleted meanwhile drops out."""
    if not hits.records or projection == IDS_ONLY:
        return hits
    ids = [record.id for record in hits.records]
    records = await scope.retrieve(ids, projection, keys)
    scores = dict(zip(ids, hits.scores.tolist()))
    kept = [scores[record.id] for record in records]
    return Hits(records, np.array(kept, dtype=np.float32))


def _excluding(state: CollectionState, request: QueryRequest) -> tuple[PointId, ...]:
    """The examples, which are no answers to themselves."""
    return excluded(state, examples_of(request.query))


def _search_of(state: CollectionState, request: QueryRequest, rated: Rated) -> SearchRequest:
    # Examples are dropped from the answer instead of filtered: a filter would cost far more. But a threshold
    # may cut at the first score that fails, which must not be that of an example.
    ids = _excluding(state, request)
    cut = bool(ids) and request.score_threshold is not None and not by_distance(request.query)
    limit = request.offset + request.limit + len(ids)
    search = replace(
        search_of(rated, request.using, min(limit, WINDOW_MAX)),
        filter=both(request.filter, Filter(must_not=(HasId(ids),))) if cut else request.filter,
        params=request.params,
        score_threshold=request.score_threshold,
    )
    return marked(state, search)


def _window(state: CollectionState, request: QueryRequest, parts: list[Hits]) -> Hits:
    for example in _excluding(state, request):
        parts = [without(part, example) for part in parts]
    if len(parts) != 1:
        ascending = by_distance(request.query) and is_ascending(params_of(state.config.params, request.using))
        end = request.offset + request.limit
        return skip(merge_hits(parts, end, ascending=ascending), request.offset, request.limit)
    return skip(parts[0], request.offset, request.limit)
