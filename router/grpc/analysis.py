"""What tells of many points at once: facets and distance matrices (reference 9.3, 9.14)."""

from __future__ import annotations

from protos.collections import UNNAMED
from protos.facets import FacetValue
from protos.qdrant import queries_pb2 as wire
from router.auth.needs import Need
from router.checks import at_least, limit_of
from router.facets import FacetQuery
from router.grpc.convert import queries
from router.grpc.convert.answers import fill_id
from router.grpc.convert.options import read_options, target
from router.grpc.convert.points import json_path, keys_in
from router.grpc.convert.queries import given
from router.grpc.methods import Call, Methods, Served
from router.matrix import NEIGHBOURS_DEFAULT, SAMPLE_DEFAULT, Matrix, MatrixQuery, distance_matrix
from router.queries.operations import SearchOperations


def analysis_handlers(searches: SearchOperations) -> Methods:
    handlers = _AnalysisHandlers(searches)
    return {
        "Facet": Served(Need.READ_COLLECTION, handlers.facet),
        "SearchMatrixPairs": Served(Need.READ_COLLECTION, handlers.pairs),
        "SearchMatrixOffsets": Served(Need.READ_COLLECTION, handlers.offsets),
    }


class _AnalysisHandlers:
    def __init__(self, searches: SearchOperations) -> None:
        self._searches = searches

    async def facet(self, request: wire.FacetCounts, call: Call) -> wire.FacetResponse:
        name, options = target(request), read_options(request, call)
        query = FacetQuery(
            key=json_path(request.key),
            limit=limit_of(given(request, "limit"), "limit"),
            filter=queries.filter_in(request),
            exact=request.exact,
            shard_keys=keys_in(request),
        )
        hits = await self._searches.facet(name, query, options)
        return wire.FacetResponse(
            hits=[wire.FacetHit(value=_value(hit.value), count=hit.count) for hit in hits]
        )

    async def pairs(self, request: wire.SearchMatrixPoints, call: Call) -> wire.SearchMatrixPairsResponse:
        matrix = await self._matrix(request, call)
        answer = wire.SearchMatrixPairsResponse()
        answer.result.SetInParent()
        for point_id, hits in zip(matrix.ids, matrix.neighbours):
            for record, score in zip(hits.records, hits.scores.tolist()):
                pair = answer.result.pairs.add(score=score)
                fill_id(pair.a, point_id)
                fill_id(pair.b, record.id)
        return answer

    async def offsets(self, request: wire.SearchMatrixPoints, call: Call) -> wire.SearchMatrixOffsetsResponse:
        matrix = await self._matrix(request, call)
        rows, columns = matrix.offsets()
        found = wire.SearchMatrixOffsets(offsets_row=rows, offsets_col=columns, scores=matrix.scores.tolist())
        for point_id in matrix.ids:
            fill_id(found.ids.add(), point_id)
        return wire.SearchMatrixOffsetsResponse(result=found)

    async def _matrix(self, request: wire.SearchMatrixPoints, call: Call) -> Matrix:
        name, options = target(request), read_options(request, call)
        query = MatrixQuery(
            sample=at_least(2, given(request, "sample"), SAMPLE_DEFAULT, "sample"),
            limit=at_least(1, given(request, "limit"), NEIGHBOURS_DEFAULT, "limit"),
            using=request.using or UNNAMED,
            filter=queries.filter_in(request),
            shard_keys=keys_in(request),
        )
        return await distance_matrix(self._searches, name, query, options)


def _value(value: FacetValue) -> wire.FacetValue:
    if isinstance(value, bool):
        return wire.FacetValue(bool_value=value)
    if isinstance(value, int):
        return wire.FacetValue(integer_value=value)
    return wire.FacetValue(string_value=value)
