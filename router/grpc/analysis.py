"""What tells of many points at once: facets (reference 9.3)."""

from __future__ import annotations

from collections.abc import Mapping

from protos.facets import FacetValue
from protos.qdrant import queries_pb2 as wire
from router.checks import limit_of
from router.facets import FacetQuery
from router.grpc.convert import queries
from router.grpc.convert.options import read_options
from router.grpc.convert.points import json_path
from router.grpc.methods import Call, Handler
from router.grpc.queries import target
from router.search import SearchOperations


def analysis_handlers(searches: SearchOperations) -> Mapping[str, Handler]:
    handlers = _AnalysisHandlers(searches)
    return {"Facet": handlers.facet}


class _AnalysisHandlers:
    def __init__(self, searches: SearchOperations) -> None:
        self._searches = searches

    async def facet(self, request: wire.FacetCounts, call: Call) -> wire.FacetResponse:
        name, options = target(request), read_options(request, call)
        query = FacetQuery(
            key=json_path(request.key),
            limit=limit_of(request.limit if request.HasField("limit") else None, "limit"),
            filter=queries.filter_in(request),
            exact=request.exact,
            shard_keys=queries.keys_in(request),
        )
        hits = await self._searches.facet(name, query, options)
        return wire.FacetResponse(
            hits=[wire.FacetHit(value=_value(hit.value), count=hit.count) for hit in hits]
        )


def _value(value: FacetValue) -> wire.FacetValue:
    if isinstance(value, bool):
        return wire.FacetValue(bool_value=value)
    if isinstance(value, int):
        return wire.FacetValue(integer_value=value)
    return wire.FacetValue(string_value=value)
