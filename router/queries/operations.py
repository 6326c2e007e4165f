"""The read operations that every protocol calls."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from msgspec.structs import replace

from consensus.state import CollectionState
from node.client import NodeClient
from protos.collections import CollectionConfig
from protos.errors import PointsMoved, ShardUnavailable, operation_timed_out, vector_name_not_found
from protos.facets import FacetHit
from protos.filters import Filter
from protos.ids import PointId
from protos.shard import AnyVector, Hits, OrderBy, Projection, Record, ScrollRequest
from router.auth.access import Access
from router.auth.needs import Need
from router.collections import CollectionOperations
from router.facets import FacetQuery, facet
from router.inference.embedding import Inference
from router.inference.objects import InferenceObject
from router.inference.replacing import objects_in, replaced
from router.monitoring.issues import SlowReads
from router.order import require_range_index
from router.queries.direct import direct_searches, found_soon, in_window, search_directly
from router.queries.examples import vectors_of
from router.queries.explaining import Explanation, explained
from router.queries.nearest import nearest
from router.queries.pages import listed, scrolled
from router.queries.plan import wanted_by
from router.queries.rating import by_distance, by_vectors
from router.queries.requests import DiverseNearest, Page, Prefetch, QueryRequest, ReadOptions
from router.queries.staged import staged
from router.queries.weighing import check_idf
from router.replicas.readers import ShardReaders
from router.scope import Scope, gather
from router.shards import ShardSelector
from router.vectors import is_ascending, params_of

T = TypeVar("T")

READ_TIMEOUT_MS = 60_000
MOVED_S = 30.0  # for points to be where the agreed state says; then the caller hears that they are not
MOVED_PAUSE_S = 0.05


P = ParamSpec("P")
Read = Callable[Concatenate["SearchOperations", P], Coroutine[Any, Any, T]]


def anew_if_moved(read: Read[P, T]) -> Read[P, T]:
    """Make a read again, with the shards as they are by then, when points were not where it looked for them.

    One shard's answer cannot be mended alone: what has moved is to be seen once, by the map of one moment.
    """

    @functools.wraps(read)
    async def whole(self: SearchOperations, /, *args: P.args, **kwargs: P.kwargs) -> T:
        end: float | None = None
        while True:
            change = self.next_change()
            try:
                return await read(self, *args, **kwargs)
            except PointsMoved:
                now = asyncio.get_running_loop().time()
                end = now + MOVED_S if end is None else end
                if now > end:
                    raise
            await asyncio.wait((change,), timeout=MOVED_PAUSE_S)

    return whole


class SearchOperations:
    def __init__(
        self,
        collections: CollectionOperations,
        node: NodeClient,
        slow_reads: SlowReads | None = None,
        inference: Inference | None = None,
        *,
        timeout_ms: int = READ_TIMEOUT_MS,
    ) -> None:
        """``timeout_ms``: of requests that name none."""
        self._collections, self._admission = collections, collections.admission
        self._timeout_ms = timeout_ms
        self._readers = ShardReaders(collections.watch, node)
        self._slow_reads = slow_reads or SlowReads()
        self._inference = inference or Inference()

    def next_change(self) -> asyncio.Future[None]:
        """See ``StateWatch``."""
        return self._collections.watch.next_change()

    def bare(self, collection: str, projection: Projection) -> bool:
        """Do the vectors show as bare lists, since there is just the unnamed one?"""
        return projection.vectors is True and self._collections.resolve(collection).config.params.unnamed_only

    def ascending(self, collection: str, request: QueryRequest) -> bool:
        """Are smaller scores of the query better? Raises: BadInput: no such vector; NotFound."""
        params = self._collections.resolve(collection).config.params
        return by_distance(request.query) and is_ascending(params_of(params, request.using))

    def check_vector_name(self, collection: str, name: str) -> None:
        """Raises: BadInput if the collection has no such vector; NotFound."""
        params_of(self._collections.resolve(collection).config.params, name)

    @anew_if_moved
    async def query(
        self, collection: str, requests: Sequence[QueryRequest], options: ReadOptions
    ) -> list[Hits]:
        """Answer each request; nearest searches of one call share a trip to each shard.

        Raises: NotFound for an unknown collection, example point, or vector of it; BadInput if a vector
            does not fit the collection; Timeout.
        """
        options.access.permit(Need.READ_COLLECTION, collection)
        state = self._collections.opened_now(collection) or await self._collections.opened(collection)
        self._admission.queries(state, requests, options)
        searches = direct_searches(state, requests)
        if searches is not None:
            bound = options.access.tenant(collection) is not None
            soon = None if bound else found_soon(state, self._readers, searches, options)
            if isinstance(soon, Hits):
                return [in_window(soon, requests[0])]
            if soon is not None:
                with contextlib.suppress(ShardUnavailable):  # another replica takes its place
                    return [in_window(await self.bounded(soon, options, "Query"), requests[0])]
        scope = self._scope_of(state, collection, options)
        if searches is not None:
            answers = search_directly(scope, requests, searches)
        else:
            if any(map(_objects_of, requests)):
                requests = await self.bounded(self.embedded(requests), options, "Inference")
            for request in requests:
                _check(request, scope.state)
            answers = self._query(scope, requests, options.access)
        filters = (request.filter for request in requests)
        return await self._watched(scope.state, filters, self.bounded(answers, options, "Query"))

    async def embedded(self, requests: Sequence[QueryRequest]) -> Sequence[QueryRequest]:
        """The requests with vectors in place of objects, equal ones made once. Raises: as ``Inference``."""
        objects = [each for request in requests for each in _objects_of(request)]
        if not objects:
            return requests
        vectors = await self._inference.embed(objects, searching=True)
        return [replaced(request, vectors) for request in requests]

    @anew_if_moved
    async def explain(self, collection: str, request: QueryRequest, options: ReadOptions) -> Explanation:
        """How the searches of a query are carried out, by doing so. Raises: as ``query``."""
        scope = await self._scope(collection, options)
        self._admission.queries(scope.state, [request], options)
        return await self.bounded(self._explain(scope, request, options.access), options, "Explain")

    async def _explain(self, scope: Scope, request: QueryRequest, access: Access) -> Explanation:
        started = time.perf_counter()
        (request,) = await self.embedded([request])
        _check(request, scope.state)
        vectors = await vectors_of(scope, self._collections, wanted_by(request), access)
        micros = (time.perf_counter() - started) * 1e6
        return await explained(scope, request, vectors, vectors_micros=micros)

    @anew_if_moved
    async def scroll(
        self, collection: str, request: ScrollRequest, options: ReadOptions, keys: ShardSelector | None = None
    ) -> Page:
        """One page of points. Raises: as ``query``; BadInput if ``order_by`` has no range index."""
        scope = await self._scope(collection, options)
        self._admission.scroll(scope.state, request, options)
        _check_projection(request.projection, scope.state.config)
        if request.order_by is not None:
            require_range_index(scope.state.payload_schema, request.order_by.key)
        page = self.bounded(scrolled(scope, request, keys), options, "Scroll")
        return await self._watched(scope.state, (request.filter,), page)

    @anew_if_moved
    async def count(
        self,
        collection: str,
        filter: Filter | None,
        options: ReadOptions,
        *,
        exact: bool,
        keys: ShardSelector | None = None,
    ) -> int:
        scope = await self._scope(collection, options)
        self._admission.filtered(scope.state, filter, options)
        counts = gather([shard.count(filter, exact=exact) for shard in scope.shards(keys)])
        return sum(await self._watched(scope.state, (filter,), self.bounded(counts, options, "Count")))

    @anew_if_moved
    async def facet(self, collection: str, query: FacetQuery, options: ReadOptions) -> list[FacetHit]:
        """The values of a payload key that most points have. Raises: BadInput if no index tells them."""
        scope = await self._scope(collection, options)
        self._admission.filtered(scope.state, query.filter, options, query.limit)
        counts = self.bounded(facet(scope, query), options, "Facet")
        return await self._watched(scope.state, (query.filter,), counts)

    @anew_if_moved
    async def retrieve(
        self,
        collection: str,
        ids: list[PointId],
        projection: Projection,
        options: ReadOptions,
        keys: ShardSelector | None = None,
    ) -> list[Record]:
        """The points that exist, in the order asked, without repeats."""
        scope = await self._scope(collection, options)
        self._admission.retrieval(scope.state, len(ids), options)
        _check_projection(projection, scope.state.config)
        return await self.bounded(scope.retrieve(ids, projection, keys), options, "Retrieve")

    async def bounded(self, call: Awaitable[T], options: ReadOptions, what: str) -> T:
        """Raises: Timeout if the call takes longer than the request allows."""
        timeout_s = (options.timeout_ms or self._timeout_ms) / 1000
        try:
            async with asyncio.timeout(timeout_s):
                return await call
        except TimeoutError as error:
            raise operation_timed_out(what, timeout_s) from error

    async def admit_groups(
        self, collection: str, request: QueryRequest, options: ReadOptions, *, key: str, hits: int
    ) -> ReadOptions:
        """Options for what is asked to find so many ``hits`` in groups. Raises: BadRequest, RateLimited."""
        state = await self._collections.opened(collection)
        self._admission.groups(state, request, options, key=key, hits=hits)
        return replace(options, admitted=True)

    async def admit_sample(
        self, collection: str, filter: Filter | None, sample: int, options: ReadOptions
    ) -> ReadOptions:
        """Options for what is asked about ``sample`` points. Raises: BadRequest, RateLimited."""
        state = await self._collections.opened(collection)
        self._admission.filtered(state, filter, options, sample)
        return replace(options, admitted=True)

    async def _scope(self, collection: str, options: ReadOptions) -> Scope:
        """Raises: NotFound; Forbidden, before anything is told of the collection."""
        options.access.permit(Need.READ_COLLECTION, collection)
        return self._scope_of(await self._collections.opened(collection), collection, options)

    def _scope_of(self, state: CollectionState, collection: str, options: ReadOptions) -> Scope:
        return Scope(
            state,
            self._readers,
            options.consistency or 1,
            options.affinity,
            options.at_least,
            options.access.tenant(collection),
        )

    async def _watched(
        self, state: CollectionState, filters: Iterable[Filter | None], call: Coroutine[Any, Any, T]
    ) -> T:
        """The result of ``call``; if it was slow, or ran out of time, its filters may be to blame."""
        started = self._slow_reads.start()
        try:
            return await call
        finally:
            self._slow_reads.end(started, state, filters)

    async def _query(self, scope: Scope, requests: Sequence[QueryRequest], access: Access) -> list[Hits]:
        wanted = [wanted_by(request) for request in requests]
        flat = [each for some in wanted for each in some]
        found = iter(await vectors_of(scope, self._collections, flat, access))
        vectors = [[next(found) for _ in some] for some in wanted]
        ways = [_way_of(request) for request in requests]
        hits: dict[int, Hits] = {}
        for way in dict.fromkeys(ways):
            chosen = [index for index, each in enumerate(ways) if each is way]
            asked = [requests[index] for index in chosen]
            hits.update(zip(chosen, await way(scope, asked, [vectors[index] for index in chosen])))
        return [hits[index] for index in range(len(requests))]


_Way = Callable[[Scope, Sequence[QueryRequest], Sequence[Sequence[AnyVector]]], Awaitable[list[Hits]]]


def _way_of(request: QueryRequest) -> _Way:
    if request.prefetch or isinstance(request.query, DiverseNearest):
        return staged
    return nearest if by_vectors(request.query) else _listed


async def _listed(
    scope: Scope,
    requests: Sequence[QueryRequest],
    vectors: Sequence[Sequence[AnyVector]],  # noqa: ARG001
) -> list[Hits]:
    return [await listed(scope, request) for request in requests]


def _objects_of(request: QueryRequest) -> list[InferenceObject]:
    # Only where vectors are: every query comes by here.
    return objects_in(request.query) + objects_in(request.prefetch)


def _check(request: QueryRequest, state: CollectionState) -> None:
    _check_projection(request.projection, state.config)
    _check_orders(request, state)
    check_idf(request, state)


def _check_orders(request: QueryRequest | Prefetch, state: CollectionState) -> None:
    if isinstance(request.query, OrderBy):
        require_range_index(state.payload_schema, request.query.key)
    for prefetch in request.prefetch:
        _check_orders(prefetch, state)


def _check_projection(projection: Projection, config: CollectionConfig) -> None:
    if isinstance(projection.vectors, tuple):
        for name in projection.vectors:
            if name not in config.all_vectors:
                raise vector_name_not_found(name)
