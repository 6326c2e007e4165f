"""Reads of points: by id, in order, counted, searched (reference 9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from protos.qdrant import legacy_pb2 as legacy
from protos.qdrant import queries_pb2 as wire
from protos.shard import Projection
from router.auth.needs import Need
from router.grpc.convert import queries
from router.grpc.convert.answers import add_retrieved, add_scored, fill_id
from router.grpc.convert.options import read_options, target
from router.grpc.convert.points import keys_in, point_ids
from router.grpc.methods import Call, Handler, Methods, Served
from router.queries.operations import SearchOperations
from router.queries.requests import QueryRequest


def query_handlers(searches: SearchOperations) -> Methods:
    reads, found = _ReadHandlers(searches), _QueryHandlers(searches)
    return {
        "Get": Served(Need.READ_COLLECTION, reads.get),
        "Scroll": Served(Need.READ_COLLECTION, reads.scroll),
        "Count": Served(Need.READ_COLLECTION, reads.count),
        "Query": Served(Need.READ_COLLECTION, found.one(queries.query_request, wire.QueryResponse)),
        "QueryBatch": Served(
            Need.READ_COLLECTION, found.many("query_points", queries.query_request, wire.QueryBatchResponse)
        ),
        "Search": Served(Need.READ_COLLECTION, found.one(queries.search_request, legacy.SearchResponse)),
        "SearchBatch": Served(
            Need.READ_COLLECTION,
            found.many("search_points", queries.search_request, legacy.SearchBatchResponse),
        ),
        "Recommend": Served(
            Need.READ_COLLECTION, found.one(queries.recommend_request, legacy.RecommendResponse)
        ),
        "RecommendBatch": Served(
            Need.READ_COLLECTION,
            found.many("recommend_points", queries.recommend_request, legacy.RecommendBatchResponse),
        ),
        "Discover": Served(
            Need.READ_COLLECTION, found.one(queries.discover_request, legacy.DiscoverResponse)
        ),
        "DiscoverBatch": Served(
            Need.READ_COLLECTION,
            found.many("discover_points", queries.discover_request, legacy.DiscoverBatchResponse),
        ),
    }


def note(call: Call, *projections: Projection) -> None:
    """Payloads are text, which compresses; vectors do not."""
    payloads = any(each.payload for each in projections)
    call.compressible = payloads and not any(each.vectors for each in projections)


class _ReadHandlers:
    def __init__(self, searches: SearchOperations) -> None:
        self._searches = searches

    async def get(self, request: wire.GetPoints, call: Call) -> wire.GetResponse:
        name, options = target(request), read_options(request, call)
        projection = queries.projection_in(request)
        note(call, projection)
        records = await self._searches.retrieve(
            name, point_ids(request.ids), projection, options, keys_in(request)
        )
        answer = wire.GetResponse()
        add_retrieved(answer.result, records, bare=self._searches.bare(name, projection))
        return answer

    async def scroll(self, request: wire.ScrollPoints, call: Call) -> wire.ScrollResponse:
        name, options = target(request), read_options(request, call)
        wanted = queries.scroll_request(request)
        note(call, wanted.projection)
        page = await self._searches.scroll(name, wanted, options, keys_in(request))
        answer = wire.ScrollResponse()
        add_retrieved(answer.result, page.records, bare=self._searches.bare(name, wanted.projection))
        if page.next_offset is not None:
            fill_id(answer.next_page_offset, page.next_offset)
        return answer

    async def count(self, request: wire.CountPoints, call: Call) -> wire.CountResponse:
        name, options = target(request), read_options(request, call)
        found = await self._searches.count(
            name,
            queries.filter_in(request),
            options,
            exact=request.exact if request.HasField("exact") else True,
            keys=keys_in(request),
        )
        return wire.CountResponse(result=wire.CountResult(count=found))


class _QueryHandlers:
    def __init__(self, searches: SearchOperations) -> None:
        self._searches = searches

    def one(self, convert: Callable[[Any], QueryRequest], answer: Callable[[], Any]) -> Handler:
        """For requests of one query; ``answer`` has a list of points as its ``result``."""

        async def handle(request: Any, call: Call) -> Any:
            found = answer()
            await self._run(request, call, [convert(request)], [found.result])
            return found

        return handle

    def many(
        self, field: str, convert: Callable[[Any, str], QueryRequest], answer: Callable[[], Any]
    ) -> Handler:
        """For requests that have a list of queries as their ``field``; ``answer`` has a result for each."""

        async def handle(request: Any, call: Call) -> Any:
            wanted, found = queries.batch(getattr(request, field), field, convert), answer()
            await self._run(request, call, wanted, [found.result.add().result for _ in wanted])
            return found

        return handle

    async def _run(
        self, request: Any, call: Call, wanted: list[QueryRequest], targets: Sequence[Any]
    ) -> None:
        """Fill a list of points for each query.

        ``request`` names the collection and holds the options, of a batch for all its queries.
        """
        name, options = target(request), read_options(request, call)
        note(call, *(each.projection for each in wanted))
        found = await self._searches.query(name, wanted, options)
        for hits, each, points in zip(found, wanted, targets):
            add_scored(points, hits, bare=self._searches.bare(name, each.projection))
