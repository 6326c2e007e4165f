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
from protos.collections import UNNAMED, VectorsConfig
from protos.errors import NotFound, operation_timed_out, point_not_found, vector_name_not_found
from protos.filters import Filter
from protos.ids import PointId
from protos.shard import (
    Direction,
    FloatArray,
    Hits,
    OrderBy,
    Projection,
    Record,
    ScrollRequest,
    SearchParams,
    SearchRequest,
    ShardClient,
)
from router.collections import CollectionOperations
from router.merge import in_order, merge_by_value, merge_hits, merge_pages, skip, without
from router.monitoring.issues import SlowReads
from router.order import require_range_index
from router.replicas.consistency import ReadConsistency
from router.shards import ShardKeys, selected_shards, split_ids
from router.vectors import is_ascending, params_of, query_vector

T = TypeVar("T")

READ_TIMEOUT_MS = 60_000
WINDOW_MAX = 2**31 - 1  # points asked of one shard; no answer is longer, and arrays keep to 32 bits
_IDS_ONLY = Projection()


class ReadOptions(Struct, frozen=True):
    """``consistency``: how many replicas must agree; a number, or a share of them (reference 14.6)."""

    timeout_ms: int | None = None
    consistency: ReadConsistency | None = None


class NearestVector(Struct, frozen=True):
    vector: Sequence[float]


class NearestPoint(Struct, frozen=True):
    """Nearest to a stored point, which is itself left out unless looked up elsewhere.

    ``lookup_vector`` None: the vector there has the name that is searched by.
    """

    id: PointId
    lookup_collection: str | None = None
    lookup_vector: str | None = None


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
    shard_keys: ShardKeys | None = None


class Page(Struct, frozen=True):
    records: list[Record]
    next_offset: PointId | None


class SearchOperations:
    def __init__(
        self, collections: CollectionOperations, node: NodeClient, slow_reads: SlowReads | None = None
    ) -> None:
        self._collections = collections
        self._node = node
        self._slow_reads = slow_reads or SlowReads()

    def unnamed_only(self, collection: str) -> bool:
        """Does the collection have just the unnamed vector (so it shows as a bare list)?"""
        params = self._collections.resolve(collection).config.params
        return set(params.vectors) == {UNNAMED} and not params.sparse_vectors

    async def query(
        self, collection: str, requests: Sequence[QueryRequest], options: ReadOptions
    ) -> list[Hits]:
        """Answer each request; nearest searches of one call share a trip to each shard.

        Raises: NotFound for an unknown collection, example point, or vector of it; BadInput if a vector
            does not fit the collection; Timeout.
        """
        state = await self._collections.opened(collection)
        for request in requests:
            _check(request, state)
        filters = (request.filter for request in requests)
        return await self._watched(state, filters, _bounded(self._query(state, requests), options, "Query"))

    async def scroll(
        self, collection: str, request: ScrollRequest, options: ReadOptions, keys: ShardKeys | None = None
    ) -> Page:
        """One page of points. Raises: as ``query``; BadInput if ``order_by`` has no range index."""
        state = await self._collections.opened(collection)
        _check_projection(request.projection, state.config.vectors)
        if request.order_by is not None:
            require_range_index(state.payload_schema, request.order_by.key)
        page = _bounded(self._scroll(state, request, keys), options, "Scroll")
        return await self._watched(state, (request.filter,), page)

    async def count(
        self,
        collection: str,
        filter: Filter | None,
        options: ReadOptions,
        *,
        exact: bool,
        keys: ShardKeys | None = None,
    ) -> int:
        state = await self._collections.opened(collection)
        shards = self._shards(state, keys)
        counts = _gather([shard.count(filter, exact=exact) for shard in shards])
        return sum(await self._watched(state, (filter,), _bounded(counts, options, "Count")))

    async def retrieve(
        self,
        collection: str,
        ids: list[PointId],
        projection: Projection,
        options: ReadOptions,
        keys: ShardKeys | None = None,
    ) -> list[Record]:
        """The points that exist, in the order asked, without repeats."""
        state = await self._collections.opened(collection)
        _check_projection(projection, state.config.vectors)
        return await _bounded(self._retrieve(state, ids, projection, keys), options, "Retrieve")

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

    async def _query(self, state: CollectionState, requests: Sequence[QueryRequest]) -> list[Hits]:
        searches = [index for index, request in enumerate(requests) if _is_nearest(request)]
        vectors = await _gather([self._vector_of(state, requests[index]) for index in searches])
        found = await self._nearest(state, [requests[index] for index in searches], vectors)
        hits = dict(zip(searches, found))
        for index, request in enumerate(requests):
            if index not in hits:
                hits[index] = await self._listed(state, request)
        return [hits[index] for index in range(len(requests))]

    async def _vector_of(self, state: CollectionState, request: QueryRequest) -> FloatArray:
        """The vector to search by. Raises: as ``query``."""
        params = params_of(state.config.vectors, request.using)
        if isinstance(request.query, NearestVector):
            return query_vector(request.query.vector, params)
        assert isinstance(request.query, NearestPoint)
        source, name = state, request.using
        if request.query.lookup_collection is not None:
            source = await self._lookup(request.query.lookup_collection)
            name = request.using if request.query.lookup_vector is None else request.query.lookup_vector
        params_of(source.config.vectors, name)
        keys = request.shard_keys if source is state else None
        records = await self._retrieve(source, [request.query.id], Projection(vectors=(name,)), keys)
        if not records:
            raise point_not_found(request.query.id)
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
        self, state: CollectionState, requests: Sequence[QueryRequest], vectors: Sequence[FloatArray]
    ) -> list[Hits]:
        """Search shards for many requests at once, then cut each answer to its window."""
        hits: list[Hits] = [_NOTHING] * len(requests)
        for keys in dict.fromkeys(request.shard_keys for request in requests):
            chosen = [index for index, request in enumerate(requests) if request.shard_keys == keys]
            shards = self._shards(state, keys)
            single = len(shards) == 1
            searches = [_search_of(state, requests[index], vectors[index], single=single) for index in chosen]
            parts = await _gather([shard.search(searches) for shard in shards])
            for place, index in enumerate(chosen):
                hits[index] = _window(state, requests[index], [part[place] for part in parts])
            if not single:
                projected = [self._project(state, hits[index], requests[index]) for index in chosen]
                for index, complete in zip(chosen, await _gather(projected)):
                    hits[index] = complete
        return hits

    async def _project(self, state: CollectionState, hits: Hits, request: QueryRequest) -> Hits:
        """Fetch what the request wants to see of the winners; one deleted meanwhile drops out."""
        if not hits.records or request.projection == _IDS_ONLY:
            return hits
        ids = [record.id for record in hits.records]
        records = await self._retrieve(state, ids, request.projection, request.shard_keys)
        scores = dict(zip(ids, hits.scores.tolist()))
        kept = [scores[record.id] for record in records]
        return Hits(records, np.array(kept, dtype=np.float32))

    async def _listed(self, state: CollectionState, request: QueryRequest) -> Hits:
        """Queries without a vector: by id, ordered by a payload key, or at random."""
        if isinstance(request.query, RandomSample):
            return _unscored(await self._sample(state, request))
        order_by = request.query if isinstance(request.query, OrderBy) else None
        scroll = ScrollRequest(
            limit=request.offset + request.limit,
            filter=request.filter,
            order_by=order_by,
            projection=request.projection,
        )
        page = await self._scroll(state, scroll, request.shard_keys)
        return _unscored(page.records[request.offset :])

    async def _sample(self, state: CollectionState, request: QueryRequest) -> list[Record]:
        shards = self._shards(state, request.shard_keys)
        single, limit = len(shards) == 1, min(request.limit, WINDOW_MAX)
        asked = ScrollRequest(
            limit, filter=request.filter, projection=request.projection if single else _IDS_ONLY
        )
        seeded = (msgspec.structs.replace(asked, sample_seed=secrets.randbits(64)) for _ in shards)
        parts = await _gather([shard.scroll(scroll) for shard, scroll in zip(shards, seeded)])
        records = merge_by_value(parts, limit, Direction.ASC)
        if not single:
            records = await self._complete(state, records, request.projection, request.shard_keys)
        return [msgspec.structs.replace(record, order_value=None) for record in records]

    # --- scroll and retrieve -----------------------------------------------------------------------

    async def _scroll(self, state: CollectionState, request: ScrollRequest, keys: ShardKeys | None) -> Page:
        shards = self._shards(state, keys)
        single = len(shards) == 1
        by_id = request.order_by is None
        asked = msgspec.structs.replace(
            request,
            limit=min(request.limit + by_id, WINDOW_MAX),  # one more tells where the next page starts
            projection=request.projection if single else _IDS_ONLY,
        )
        parts = await _gather([shard.scroll(asked) for shard in shards])
        merged = parts[0] if single else merge_pages(parts, asked)
        records = merged[: request.limit]
        following = merged[request.limit].id if by_id and len(merged) > request.limit else None
        if not single:
            records = await self._complete(state, records, request.projection, keys)
        return Page(records, following)

    async def _complete(
        self, state: CollectionState, found: list[Record], projection: Projection, keys: ShardKeys | None
    ) -> list[Record]:
        """The same records with what ``projection`` asks for, order values kept."""
        if projection == _IDS_ONLY:
            return found
        ids = [record.id for record in found]
        fetched = await self._retrieve(state, ids, projection, keys)
        by_id = {record.id: record for record in fetched}
        return [
            msgspec.structs.replace(by_id[record.id], order_value=record.order_value)
            for record in found
            if record.id in by_id
        ]

    async def _retrieve(
        self, state: CollectionState, ids: list[PointId], projection: Projection, keys: ShardKeys | None
    ) -> list[Record]:
        shards = self._shards(state, keys)
        if len(shards) == 1:
            return await shards[0].retrieve(ids, projection)
        if state.custom_sharding:  # the key of each id is not known: ask them all
            asked = [shard.retrieve(ids, projection) for shard in shards]
        else:
            parts = split_ids(state, ids, None)
            owners = [self._node.shard(state.name, shard_id) for shard_id in parts]
            asked = [
                shard.retrieve([ids[index] for index in indices], projection)
                for shard, indices in zip(owners, parts.values())
            ]
        return in_order(await _gather(asked), ids)

    def _shards(self, state: CollectionState, keys: ShardKeys | None) -> list[ShardClient]:
        return [self._node.shard(state.name, shard_id) for shard_id in selected_shards(state, keys)]


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
    state: CollectionState, request: QueryRequest, vector: FloatArray, *, single: bool
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
        ascending = is_ascending(state.config.vectors[request.using].distance)
        return skip(
            merge_hits(parts, request.offset + request.limit, ascending=ascending),
            request.offset,
            request.limit,
        )
    return skip(parts[0], request.offset, request.limit)


def _check(request: QueryRequest, state: CollectionState) -> None:
    _check_projection(request.projection, state.config.vectors)
    if isinstance(request.query, OrderBy):
        require_range_index(state.payload_schema, request.query.key)


def _check_projection(projection: Projection, vectors: VectorsConfig) -> None:
    if isinstance(projection.vectors, tuple):
        for name in projection.vectors:
            if name not in vectors:
                raise vector_name_not_found(name)


async def _gather(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All results; when one call fails the others end, since nobody waits for them any more."""
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _bounded(call: Coroutine[Any, Any, T], options: ReadOptions, what: str) -> T:
    """Raises: Timeout if the call takes longer than the request allows."""
    timeout_s = (options.timeout_ms or READ_TIMEOUT_MS) / 1000
    try:
        async with asyncio.timeout(timeout_s):
            return await call
    except TimeoutError as error:
        raise operation_timed_out(what, timeout_s) from error
