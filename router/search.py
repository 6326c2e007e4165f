"""Reads: what stands behind the query, search, scroll, count and retrieve endpoints (reference 9).

On one shard a read is one call. On several, the shards first answer ids and scores only; the merged
winners' payloads and vectors are fetched afterwards, so nothing is read that is not returned.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from consensus.state import CollectionState
from node.client import NodeClient
from protos.collections import UNNAMED, CollectionConfig
from protos.errors import NotFound, operation_timed_out, point_not_found, vector_name_not_found
from protos.facets import FacetHit
from protos.filters import Filter
from protos.ids import PointId
from protos.shard import (
    AnyVector,
    Direction,
    Hits,
    OrderBy,
    Projection,
    Record,
    ScrollRequest,
    SearchParams,
    SearchRequest,
)
from router.collections import CollectionOperations
from router.facets import FacetQuery, facet
from router.merge import merge_by_value, merge_hits, merge_pages, skip, without
from router.monitoring.issues import SlowReads
from router.order import require_range_index
from router.replicas.consistency import ReadConsistency
from router.replicas.readers import ShardReaders
from router.scope import Scope, gather
from router.shards import ShardSelector
from router.vectors import VectorValues, is_ascending, params_of, query_vector

T = TypeVar("T")

READ_TIMEOUT_MS = 60_000
WINDOW_MAX = 2**31 - 1  # points asked of one shard; no answer is longer, and arrays keep to 32 bits
_IDS_ONLY = Projection()


class ReadOptions(Struct, frozen=True):
    """``consistency``: how many replicas must agree; a number, or a share of them (reference 14.6).

    Reads with the same ``affinity`` meet the same replicas (reference 2.1); empty: the nearest and idlest.
    """

    timeout_ms: int | None = None
    consistency: ReadConsistency | None = None
    affinity: bytes = b""


class NearestVector(Struct, frozen=True):
    vector: VectorValues | AnyVector


class NearestPoint(Struct, frozen=True):
    """Nearest to a stored point, which is itself left out unless looked up elsewhere.

    ``lookup_vector`` None: the vector there has the name that is searched by. ``lookup_keys``: where
    the point is looked up, in a collection that has shard keys.
    """

    id: PointId
    lookup_collection: str | None = None
    lookup_vector: str | None = None
    lookup_keys: ShardSelector | None = None


class RandomSample(Struct, frozen=True):
    """Points at random, each as likely as any other; an offset means nothing."""


Query = NearestVector | NearestPoint | OrderBy | RandomSample


class QueryRequest(Struct, frozen=True):
    """``query`` None: points by ascending id with score 1.0 (reference 9.4)."""

    query: Query | None = None
    using: str = UNNAMED
    limit: int = 10
    offset: int = 0
    filter: Filter | None = None
    params: SearchParams = SearchParams()
    score_threshold: float | None = None
    projection: Projection = Projection()
    shard_keys: ShardSelector | None = None


class Page(Struct, frozen=True):
    records: list[Record]
    next_offset: PointId | None


class SearchOperations:
    def __init__(
        self, collections: CollectionOperations, node: NodeClient, slow_reads: SlowReads | None = None
    ) -> None:
        self._collections = collections
        self._readers = ShardReaders(collections.watch, node)
        self._slow_reads = slow_reads or SlowReads()

    def unnamed_only(self, collection: str) -> bool:
        """Does the collection have just the unnamed vector (so it shows as a bare list)?"""
        return self._collections.resolve(collection).config.params.unnamed_only

    def check_vector_name(self, collection: str, name: str) -> None:
        """Raises: BadInput if the collection has no such vector; NotFound."""
        params_of(self._collections.resolve(collection).config.params, name)

    async def query(
        self, collection: str, requests: Sequence[QueryRequest], options: ReadOptions
    ) -> list[Hits]:
        """Answer each request; nearest searches of one call share a trip to each shard.

        Raises: NotFound for an unknown collection, example point, or vector of it; BadInput if a vector
            does not fit the collection; Timeout.
        """
        scope = self._scope(await self._collections.opened(collection), options)
        for request in requests:
            _check(request, scope.state)
        filters = (request.filter for request in requests)
        answers = bounded(self._query(scope, requests), options, "Query")
        return await self._watched(scope.state, filters, answers)

    async def scroll(
        self, collection: str, request: ScrollRequest, options: ReadOptions, keys: ShardSelector | None = None
    ) -> Page:
        """One page of points. Raises: as ``query``; BadInput if ``order_by`` has no range index."""
        scope = self._scope(await self._collections.opened(collection), options)
        _check_projection(request.projection, scope.state.config)
        if request.order_by is not None:
            require_range_index(scope.state.payload_schema, request.order_by.key)
        page = bounded(self._scroll(scope, request, keys), options, "Scroll")
        return await self._watched(scope.state, (request.filter,), page)

    async def count(
        self,
        collection: str,
        filter: Filter | None,
        options: ReadOptions,
        *,
        exact: bool,
        keys: ShardSelector | None = None,
    ) -> int:
        scope = self._scope(await self._collections.opened(collection), options)
        counts = gather([shard.count(filter, exact=exact) for shard in scope.shards(keys)])
        return sum(await self._watched(scope.state, (filter,), bounded(counts, options, "Count")))

    async def facet(self, collection: str, query: FacetQuery, options: ReadOptions) -> list[FacetHit]:
        """The values of a payload key that most points have. Raises: BadInput if no index tells them."""
        scope = self._scope(await self._collections.opened(collection), options)
        counts = bounded(facet(scope, query), options, "Facet")
        return await self._watched(scope.state, (query.filter,), counts)

    async def retrieve(
        self,
        collection: str,
        ids: list[PointId],
        projection: Projection,
        options: ReadOptions,
        keys: ShardSelector | None = None,
    ) -> list[Record]:
        """The points that exist, in the order asked, without repeats."""
        scope = self._scope(await self._collections.opened(collection), options)
        _check_projection(projection, scope.state.config)
        return await bounded(scope.retrieve(ids, projection, keys), options, "Retrieve")

    def _scope(self, state: CollectionState, options: ReadOptions) -> Scope:
        return Scope(state, self._readers, options.consistency or 1, options.affinity)

    async def _watched(
        self, state: CollectionState, filters: Iterable[Filter | None], call: Coroutine[Any, Any, T]
    ) -> T:
        """The result of ``call``; if it was slow, or ran out of time, its filters may be to blame."""
        started = self._slow_reads.start()
        try:
            return await call
        finally:
            self._slow_reads.end(started, state, filters)

    # --- queries ----------------------------------------------------------------------------------

    async def _query(self, scope: Scope, requests: Sequence[QueryRequest]) -> list[Hits]:
        searches = [index for index, request in enumerate(requests) if _is_nearest(request)]
        vectors = await gather([self._vector_of(scope, requests[index]) for index in searches])
        found = await self._nearest(scope, [requests[index] for index in searches], vectors)
        hits = dict(zip(searches, found))
        for index, request in enumerate(requests):
            if index not in hits:
                hits[index] = await self._listed(scope, request)
        return [hits[index] for index in range(len(requests))]

    async def _vector_of(self, scope: Scope, request: QueryRequest) -> AnyVector:
        """The vector to search by. Raises: as ``query``."""
        params = params_of(scope.state.config.params, request.using)
        query = request.query
        if isinstance(query, NearestVector):
            return query_vector(query.vector, params)
        assert isinstance(query, NearestPoint)
        source, name, keys = scope, request.using, request.shard_keys
        if query.lookup_collection is not None:
            source = scope.of(await self._lookup(query.lookup_collection))
            name = request.using if query.lookup_vector is None else query.lookup_vector
            keys = query.lookup_keys or (keys if source.state is scope.state else None)
        params_of(source.state.config.params, name)
        records = await source.retrieve([query.id], Projection(vectors=(name,)), keys)
        if not records:
            raise point_not_found(query.id)
        vector = (records[0].vectors or {}).get(name)
        if vector is None:
            raise NotFound(f'Vector with name "{name}" for point not found')
        return query_vector(vector, params)

    async def _lookup(self, collection: str) -> CollectionState:
        try:
            return await self._collections.opened(collection)
        except NotFound as error:
            raise NotFound(f"Collection {collection} not found") from error

    async def _nearest(
        self, scope: Scope, requests: Sequence[QueryRequest], vectors: Sequence[AnyVector]
    ) -> list[Hits]:
        """Search shards for many requests at once, then cut each answer to its window."""
        hits: list[Hits] = [_NOTHING] * len(requests)
        for keys in dict.fromkeys(request.shard_keys for request in requests):
            chosen = [index for index, request in enumerate(requests) if request.shard_keys == keys]
            shards = scope.shards(keys)
            single = len(shards) == 1
            searches = [
                _search_of(scope.state, requests[index], vectors[index], single=single) for index in chosen
            ]
            parts = await gather([shard.search(searches) for shard in shards])
            for place, index in enumerate(chosen):
                hits[index] = _window(scope.state, requests[index], [part[place] for part in parts])
            if not single:
                projected = [self._project(scope, hits[index], requests[index]) for index in chosen]
                for index, complete in zip(chosen, await gather(projected)):
                    hits[index] = complete
        return hits

    async def _project(self, scope: Scope, hits: Hits, request: QueryRequest) -> Hits:
        """Fetch what the request wants to see of the winners; one deleted meanwhile drops out."""
        if not hits.records or request.projection == _IDS_ONLY:
            return hits
        ids = [record.id for record in hits.records]
        records = await scope.retrieve(ids, request.projection, request.shard_keys)
        scores = dict(zip(ids, hits.scores.tolist()))
        kept = [scores[record.id] for record in records]
        return Hits(records, np.array(kept, dtype=np.float32))

    async def _listed(self, scope: Scope, request: QueryRequest) -> Hits:
        """Queries without a vector: by id, ordered by a payload key, or at random."""
        if isinstance(request.query, RandomSample):
            return _unscored(await self._sample(scope, request))
        order_by = request.query if isinstance(request.query, OrderBy) else None
        scroll = ScrollRequest(
            limit=request.offset + request.limit,
            filter=request.filter,
            order_by=order_by,
            projection=request.projection,
        )
        page = await self._scroll(scope, scroll, request.shard_keys)
        return _unscored(page.records[request.offset :])

    async def _sample(self, scope: Scope, request: QueryRequest) -> list[Record]:
        """One replica of each shard draws: others, with their points in other places, draw otherwise."""
        shards = scope.nearest_replicas().shards(request.shard_keys)
        complete, limit = len(shards) == 1 and scope.plain, min(request.limit, WINDOW_MAX)
        asked = ScrollRequest(
            limit, filter=request.filter, projection=request.projection if complete else _IDS_ONLY
        )
        seeded = (msgspec.structs.replace(asked, sample_seed=secrets.randbits(64)) for _ in shards)
        parts = await gather([shard.scroll(scroll) for shard, scroll in zip(shards, seeded)])
        records = merge_by_value(parts, limit, Direction.ASC)
        if not complete:
            records = await self._complete(scope, records, request.projection, request.shard_keys)
        return [msgspec.structs.replace(record, order_value=None) for record in records]

    # --- scroll and retrieve -----------------------------------------------------------------------

    async def _scroll(self, scope: Scope, request: ScrollRequest, keys: ShardSelector | None) -> Page:
        shards = scope.shards(keys)
        single = len(shards) == 1
        by_id = request.order_by is None
        asked = msgspec.structs.replace(
            request,
            limit=min(request.limit + by_id, WINDOW_MAX),  # one more tells where the next page starts
            projection=request.projection if single else _IDS_ONLY,
        )
        parts = await gather([shard.scroll(asked) for shard in shards])
        merged = parts[0] if single else merge_pages(parts, asked)
        records = merged[: request.limit]
        following = merged[request.limit].id if by_id and len(merged) > request.limit else None
        if not single:
            records = await self._complete(scope, records, request.projection, keys)
        return Page(records, following)

    async def _complete(
        self, scope: Scope, found: list[Record], projection: Projection, keys: ShardSelector | None
    ) -> list[Record]:
        """The same records with what ``projection`` asks for, order values kept."""
        if projection == _IDS_ONLY:
            return found
        ids = [record.id for record in found]
        fetched = await scope.retrieve(ids, projection, keys)
        by_id = {record.id: record for record in fetched}
        return [
            msgspec.structs.replace(by_id[record.id], order_value=record.order_value)
            for record in found
            if record.id in by_id
        ]


_NOTHING = Hits([], np.empty(0, dtype=np.float32))


def _unscored(records: list[Record]) -> Hits:
    """Points that no vector ranks show score 1.0 and version 0 (reference 9.2, 9.4)."""
    shown = [msgspec.structs.replace(record, version=0) for record in records]
    return Hits(shown, np.ones(len(shown), dtype=np.float32))


def _is_nearest(request: QueryRequest) -> bool:
    return isinstance(request.query, NearestVector | NearestPoint)


def _excluded(state: CollectionState, request: QueryRequest) -> PointId | None:
    """The example, which is no answer to itself."""
    query = request.query
    if isinstance(query, NearestPoint) and query.lookup_collection in (None, state.name):
        return query.id
    return None


def _search_of(
    state: CollectionState, request: QueryRequest, vector: AnyVector, *, single: bool
) -> SearchRequest:
    # The example is dropped from the answer instead of filtered: a filter would cost far more.
    extra = _excluded(state, request) is not None
    return SearchRequest(
        using=request.using,
        vector=vector,
        limit=min(request.offset + request.limit + extra, WINDOW_MAX),
        filter=request.filter,
        params=request.params,
        score_threshold=request.score_threshold,
        projection=request.projection if single else _IDS_ONLY,
    )


def _window(state: CollectionState, request: QueryRequest, parts: list[Hits]) -> Hits:
    excluded = _excluded(state, request)
    if excluded is not None:
        parts = [without(part, excluded) for part in parts]
    if len(parts) != 1:
        ascending = is_ascending(params_of(state.config.params, request.using))
        return skip(
            merge_hits(parts, request.offset + request.limit, ascending=ascending),
            request.offset,
            request.limit,
        )
    return skip(parts[0], request.offset, request.limit)


def _check(request: QueryRequest, state: CollectionState) -> None:
    _check_projection(request.projection, state.config)
    if isinstance(request.query, OrderBy):
        require_range_index(state.payload_schema, request.query.key)


def _check_projection(projection: Projection, config: CollectionConfig) -> None:
    if isinstance(projection.vectors, tuple):
        for name in projection.vectors:
            if name not in config.all_vectors:
                raise vector_name_not_found(name)


async def bounded(call: Coroutine[Any, Any, T], options: ReadOptions, what: str) -> T:
    """Raises: Timeout if the call takes longer than the request allows."""
    timeout_s = (options.timeout_ms or READ_TIMEOUT_MS) / 1000
    try:
        async with asyncio.timeout(timeout_s):
            return await call
    except TimeoutError as error:
        raise operation_timed_out(what, timeout_s) from error
