"""Endpoints that tell of many points at once: facets (reference 9.3)."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from router.checks import limit_of
from router.facets import FacetQuery
from router.rest.bodies.reading import read_json
from router.rest.bodies.schemas import Natural
from router.rest.bodies.selectors import check_path, decode_optional_filter, decode_shard_keys
from router.rest.envelope import Operation, enveloped
from router.rest.params import collection_name, read_options
from router.rest.query import READ_QUERY
from router.rest.routes import Route
from router.search import SearchOperations

_BASE = "/collections/{collection_name}"


class FacetBody(Struct):
    key: str
    limit: Natural | None = None
    filter: Any = None
    exact: bool | None = None
    shard_key: Any = None


class FacetHitBody(Struct):
    value: str | int | bool
    count: int


class FacetResult(Struct):
    hits: list[FacetHitBody]


_facet = msgspec.json.Decoder(FacetBody)


def analysis_routes(searches: SearchOperations) -> list[Route]:
    handlers = _AnalysisHandlers(searches)
    return [_route("/facet", "Facet a payload key", FacetBody, FacetResult, handlers.facet)]


def _route(path: str, summary: str, body: Any, result: Any, operation: Operation) -> Route:
    handler = enveloped(operation)
    return Route("POST", _BASE + path, handler, summary, "Search", READ_QUERY, body, result, enveloped=True)


class _AnalysisHandlers:
    def __init__(self, searches: SearchOperations) -> None:
        self._searches = searches

    async def facet(self, request: web.Request) -> FacetResult:
        name, options = collection_name(request), read_options(request)
        body = await read_json(request, _facet)
        query = FacetQuery(
            key=check_path(body.key),
            limit=limit_of(body.limit, "limit"),
            filter=decode_optional_filter(body.filter),
            exact=bool(body.exact),
            shard_keys=decode_shard_keys(body.shard_key),
        )
        hits = await self._searches.facet(name, query, options)
        return FacetResult([FacetHitBody(hit.value, hit.count) for hit in hits])
