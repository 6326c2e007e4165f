"""Query endpoints, and the legacy search endpoints clients before 1.16 use (reference 9.4, 9.12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from protos.shard import Hits
from router.auth.needs import Need
from router.queries.operations import SearchOperations
from router.queries.requests import QueryRequest
from router.rest.bodies import legacy, queries, schemas
from router.rest.bodies.reading import read_body
from router.rest.bodies.schemas import QueryResult, ScoredPointBody
from router.rest.encode import encode_hits
from router.rest.envelope import Operation, enveloped_route
from router.rest.params import collection_name, read_options
from router.rest.routes import Route

READ_QUERY = ("consistency", "timeout")
_BASE = "/collections/{collection_name}"


def query_routes(searches: SearchOperations) -> list[Route]:
    handlers = _QueryHandlers(searches)
    hits, points = list[ScoredPointBody], QueryResult
    return [
        search_route("/points/query", "Query points", schemas.QueryBody, points, handlers.query),
        search_route(
            "/points/query/batch",
            "Query points in batch",
            schemas.QueryBatchBody,
            list[QueryResult],
            handlers.query_batch,
        ),
        search_route(
            "/points/search",
            "Search points (legacy)",
            schemas.SearchBody,
            hits,
            handlers.one(queries.decode_search),
        ),
        search_route(
            "/points/search/batch",
            "Search points in batch (legacy)",
            schemas.SearchBatchBody,
            list[list[ScoredPointBody]],
            handlers.many(queries.decode_search_batch),
        ),
        search_route(
            "/points/recommend",
            "Recommend points (legacy)",
            legacy.RecommendBody,
            hits,
            handlers.one(legacy.decode_recommend),
        ),
        search_route(
            "/points/recommend/batch",
            "Recommend points in batch (legacy)",
            legacy.RecommendBatchBody,
            list[list[ScoredPointBody]],
            handlers.many(legacy.decode_recommend_batch),
        ),
        search_route(
            "/points/discover",
            "Discover points (legacy)",
            legacy.DiscoverBody,
            hits,
            handlers.one(legacy.decode_discover),
        ),
        search_route(
            "/points/discover/batch",
            "Discover points in batch (legacy)",
            legacy.DiscoverBatchBody,
            list[list[ScoredPointBody]],
            handlers.many(legacy.decode_discover_batch),
        ),
    ]


def search_route(path: str, summary: str, body: Any, result: Any, operation: Operation) -> Route:
    """``path``: below the collection's."""
    need = Need.READ_COLLECTION
    return enveloped_route(
        "POST", _BASE + path, operation, need, summary, READ_QUERY, tag="Search", body=body, result=result
    )


class _QueryHandlers:
    def __init__(self, searches: SearchOperations) -> None:
        self._searches = searches

    async def query(self, request: web.Request) -> QueryResult:
        body = queries.decode_query(await read_body(request))
        (points,) = await self._run(request, [body])
        return QueryResult(points)

    async def query_batch(self, request: web.Request) -> list[QueryResult]:
        body = queries.decode_query_batch(await read_body(request))
        answers = await self._run(request, body)
        return [QueryResult(points) for points in answers]

    def one(self, decode: Callable[[bytes], QueryRequest]) -> Operation:
        """Of old clients: a bare list of points."""

        async def answer(request: web.Request) -> list[ScoredPointBody]:
            (points,) = await self._run(request, [decode(await read_body(request))])
            return points

        return answer

    def many(self, decode: Callable[[bytes], list[QueryRequest]]) -> Operation:
        async def answer(request: web.Request) -> list[list[ScoredPointBody]]:
            return await self._run(request, decode(await read_body(request)))

        return answer

    async def _run(self, request: web.Request, requests: list[QueryRequest]) -> list[list[ScoredPointBody]]:
        name, options = collection_name(request), read_options(request)
        found = await self._searches.query(name, requests, options)
        return [self._encode(name, hits, wanted) for hits, wanted in zip(found, requests)]

    def _encode(self, collection: str, hits: Hits, request: QueryRequest) -> list[ScoredPointBody]:
        return encode_hits(hits, bare=self._searches.bare(collection, request.projection))
