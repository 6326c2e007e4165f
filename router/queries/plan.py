"""Requests into the stages that shards run (reference 9.4). Pure.

A filter is put where points are found: that of the request into each of its prefetches, that of a prefetch
into its own. Points that are examples anywhere are excluded everywhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from msgspec.structs import replace

from consensus.state import CollectionState
from protos.filters import Filter, HasId, both
from protos.formulas import Formula
from protos.fusion import Dbsf, Rrf
from protos.shard import AnyVector, OrderBy, ScrollRequest
from protos.stages import Boosted, Diverse, Fused, Listed, Searched, Stage
from router.queries.examples import Wanted, excluded
from router.queries.rating import asked_by, by_vectors, examples_of, search_of
from router.queries.requests import (
    WINDOW_MAX,
    DiverseNearest,
    Prefetch,
    QueryRequest,
    RandomSample,
)
from router.queries.weighing import marked
from router.shards import ShardSelector


def wanted_by(request: QueryRequest) -> list[Wanted]:
    """The examples of a request and its prefetches, in the order in which ``plan`` takes their vectors."""
    return list(_wanted(request, request.shard_keys))


def plan(state: CollectionState, request: QueryRequest, vectors: Iterator[AnyVector]) -> Stage:
    """The stages of a request, its offset being part of the last one's limit.

    ``vectors``: of what ``wanted_by`` names.
    """
    ids = excluded(state, [want.example for want in wanted_by(request)])
    inherited = Filter(must_not=(HasId(ids),)) if ids else None
    return _stage(state, request, request.offset + request.limit, inherited, vectors)


def _wanted(request: QueryRequest | Prefetch, keys: ShardSelector | None) -> Iterator[Wanted]:
    for example in examples_of(request.query):
        yield Wanted(example, request.using, keys)
    for prefetch in request.prefetch:
        yield from _wanted(prefetch, keys)


def _stage(
    state: CollectionState,
    request: QueryRequest | Prefetch,
    limit: int,
    inherited: Filter | None,
    vectors: Iterator[AnyVector],
) -> Stage:
    own = [next(vectors) for _ in examples_of(request.query)]
    demanded = both(inherited, request.filter)
    prefetch = tuple(_stage(state, each, each.limit, demanded, vectors) for each in request.prefetch)
    here = None if prefetch else demanded
    limit = min(limit, WINDOW_MAX)
    query = request.query
    if isinstance(query, Rrf | Dbsf):
        return Fused(query, limit, prefetch, request.score_threshold)
    if isinstance(query, Formula):
        return Boosted(query, limit, prefetch, request.score_threshold)
    if by_vectors(query):
        search = replace(
            search_of(asked_by(query, own), request.using, limit),
            filter=here,
            params=request.params,
            score_threshold=request.score_threshold,
        )
        search = marked(state, search)
        if isinstance(query, DiverseNearest):
            candidates = request.limit if query.candidates is None else query.candidates
            return Diverse(replace(search, limit=candidates), query.diversity, limit, prefetch)
        return Searched(search, prefetch)
    order_by = query if isinstance(query, OrderBy) else None
    seed = secrets.randbits(64) if isinstance(query, RandomSample) else None
    return Listed(ScrollRequest(limit, filter=here, order_by=order_by, sample_seed=seed), prefetch)
