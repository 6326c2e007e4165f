"""Endpoints that tell of many points at once: facets and distance matrices (reference 9.3, 9.14)."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web
from msgspec import Raw, Struct

from protos.collections import UNNAMED
from router.checks import at_least, limit_of
from router.facets import FacetQuery
from router.matrix import NEIGHBOURS_DEFAULT, SAMPLE_DEFAULT, Matrix, MatrixQuery, distance_matrix
from router.queries.operations import SearchOperations
from router.rest.bodies.reading import read_json
from router.rest.bodies.schemas import Natural
from router.rest.bodies.selectors import check_path, decode_optional_filter, decode_shard_keys
from router.rest.encode import float32_json, score_texts
from router.rest.params import collection_name, read_options
from router.rest.query import search_route
from router.rest.routes import Route


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


class MatrixBody(Struct):
    sample: Natural | None = None
    limit: Natural | None = None
    using: str | None = None
    filter: Any = None
    shard_key: Any = None


class MatrixPairBody(Struct):
    a: int | str
    b: int | str
    score: Raw


class MatrixPairsResult(Struct):
    pairs: list[MatrixPairBody]


class MatrixOffsetsResult(Struct):
    """Entry i is in the row of point ``ids[offsets_row[i]]``, in the column of ``ids[offsets_col[i]]``."""

    offsets_row: list[int]
    offsets_col: list[int]
    scores: Raw
    ids: list[int | str]


_facet = msgspec.json.Decoder(FacetBody)
_matrix = msgspec.json.Decoder(MatrixBody)


def analysis_routes(searches: SearchOperations) -> list[Route]:
    handlers = _AnalysisHandlers(searches)
    return [
        search_route("/facet", "Facet a payload key", FacetBody, FacetResult, handlers.facet),
        search_route(
            "/points/search/matrix/pairs",
            "Distance matrix as pairs",
            MatrixBody,
            MatrixPairsResult,
            handlers.pairs,
        ),
        search_route(
            "/points/search/matrix/offsets",
            "Distance matrix as offsets",
            MatrixBody,
            MatrixOffsetsResult,
            handlers.offsets,
        ),
    ]


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

    async def pairs(self, request: web.Request) -> MatrixPairsResult:
        matrix = await self._matrix(request)
        scores = score_texts(matrix.scores)
        pairs = (
            (point_id, record.id)
            for point_id, hits in zip(matrix.ids, matrix.neighbours)
            for record in hits.records
        )
        return MatrixPairsResult([MatrixPairBody(a, b, Raw(score)) for (a, b), score in zip(pairs, scores)])

    async def offsets(self, request: web.Request) -> MatrixOffsetsResult:
        matrix = await self._matrix(request)
        rows, columns = matrix.offsets()
        return MatrixOffsetsResult(rows, columns, Raw(float32_json(matrix.scores)), list(matrix.ids))

    async def _matrix(self, request: web.Request) -> Matrix:
        name, options = collection_name(request), read_options(request)
        body = await read_json(request, _matrix)
        query = MatrixQuery(
            sample=at_least(2, body.sample, SAMPLE_DEFAULT, "sample"),
            limit=at_least(1, body.limit, NEIGHBOURS_DEFAULT, "limit"),
            using=body.using or UNNAMED,
            filter=decode_optional_filter(body.filter),
            shard_keys=decode_shard_keys(body.shard_key),
        )
        return await distance_matrix(self._searches, name, query, options)
