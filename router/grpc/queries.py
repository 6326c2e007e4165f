"""Reads of points: by id, in order, counted, searched (reference 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protos.collections import check_collection_name
from protos.qdrant import legacy_pb2
from protos.qdrant import queries_pb2 as wire
from protos.shard import Projection
from router.grpc.convert import queries
from router.grpc.convert.answers import add_retrieved, add_scored, fill_id
from router.grpc.convert.options import read_options
from router.grpc.convert.points import point_ids
from router.grpc.methods import Call, Handler
from router.queries.operations import SearchOperations
from router.queries.requests import QueryRequest


def query_handlers(searches: SearchOperations) -> Mapping[str, Handler]:
    reads, found = _ReadHandlers(searches), _QueryHandlers(searches)
    return {
        "Get": reads.get,
        "Scroll": reads.scroll,
        "Count": reads.count,
        "Query": found.query,
        "QueryBatch": found.query_batch,
        "Search": found.search,
        "SearchBatch": found.search_batch,
        "Recommend": found.recommend,
        "RecommendBatch": found.recommend_batch,
        "Discover": found.discover,
        "DiscoverBatch": found.discover_batch,
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
            name, point_ids(request.ids), projection, options, queries.keys_in(request)
        )
        answer = wire.GetResponse()
        add_retrieved(answer.result, records, bare=self._bare(name, projection))
        return answer

    async def scroll(self, request: wire.ScrollPoints, call: Call) -> wire.ScrollResponse:
        name, options = target(request), read_options(request, call)
        wanted = queries.scroll_request(request)
        note(call, wanted.projection)
        page = await self._searches.scroll(name, wanted, options, queries.keys_in(request))
        answer = wire.ScrollResponse()
        add_retrieved(answer.result, page.records, bare=self._bare(name, wanted.projection))
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
            keys=queries.keys_in(request),
        )
        return wire.CountResponse(result=wire.CountResult(count=found))

    def _bare(self, name: str, projection: Projection) -> bool:
        return projection.vectors is True and self._searches.unnamed_only(name)


class _QueryHandlers:
    def __init__(self, searches: SearchOperations) -> None:
        self._searches = searches

    async def query(self, request: wire.QueryPoints, call: Call) -> wire.QueryResponse:
        answer = wire.QueryResponse()
        await self._run(request, call, [queries.query_request(request)], [answer.result])
        return answer

    async def query_batch(self, request: wire.QueryBatchPoints, call: Call) -> wire.QueryBatchResponse:
        wanted = queries.batch(request.query_points, "query_points", queries.query_request)
        answer = wire.QueryBatchResponse()
        await self._run(request, call, wanted, [answer.result.add().result for _ in wanted])
        return answer

    async def search(self, request: legacy_pb2.SearchPoints, call: Call) -> legacy_pb2.SearchResponse:
        answer = legacy_pb2.SearchResponse()
        await self._run(request, call, [queries.search_request(request)], [answer.result])
        return answer

    async def search_batch(
        self, request: legacy_pb2.SearchBatchPoints, call: Call
    ) -> legacy_pb2.SearchBatchResponse:
        wanted = queries.batch(request.search_points, "search_points", queries.search_request)
        answer = legacy_pb2.SearchBatchResponse()
        await self._run(request, call, wanted, [answer.result.add().result for _ in wanted])
        return answer

    async def recommend(
        self, request: legacy_pb2.RecommendPoints, call: Call
    ) -> legacy_pb2.RecommendResponse:
        answer = legacy_pb2.RecommendResponse()
        await self._run(request, call, [queries.recommend_request(request)], [answer.result])
        return answer

    async def recommend_batch(
        self, request: legacy_pb2.RecommendBatchPoints, call: Call
    ) -> legacy_pb2.RecommendBatchResponse:
        wanted = queries.batch(request.recommend_points, "recommend_points", queries.recommend_request)
        answer = legacy_pb2.RecommendBatchResponse()
        await self._run(request, call, wanted, [answer.result.add().result for _ in wanted])
        return answer

    async def discover(self, request: legacy_pb2.DiscoverPoints, call: Call) -> legacy_pb2.DiscoverResponse:
        answer = legacy_pb2.DiscoverResponse()
        await self._run(request, call, [queries.discover_request(request)], [answer.result])
        return answer

    async def discover_batch(
        self, request: legacy_pb2.DiscoverBatchPoints, call: Call
    ) -> legacy_pb2.DiscoverBatchResponse:
        wanted = queries.batch(request.discover_points, "discover_points", queries.discover_request)
        answer = legacy_pb2.DiscoverBatchResponse()
        await self._run(request, call, wanted, [answer.result.add().result for _ in wanted])
        return answer

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
            bare = each.projection.vectors is True and self._searches.unnamed_only(name)
            add_scored(points, hits, bare=bare)


def target(request: Any) -> str:
    """Raises: InvalidField if no collection can be called so."""
    name: str = request.collection_name
    check_collection_name(name)
    return name
