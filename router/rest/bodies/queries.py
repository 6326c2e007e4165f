"""Bodies of the query API and of the legacy search into ``router.queries`` requests (reference 9.4, 9.12)."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from protos.collections import UNNAMED
from protos.datetimes import decode_datetime
from protos.errors import InvalidField, MalformedBody
from protos.filters import decode_filter
from protos.formulas import decode_formula
from protos.fusion import RRF_K, Dbsf, Rrf
from protos.idf import Weighing
from protos.ids import PointId, parse_point_id
from protos.shard import Direction, OrderBy, QuantizationSearchParams, SearchParams
from router.checks import (
    QUERIES_LATER,
    at_least_one,
    check_depth,
    check_formula,
    check_fusion,
    check_search_params,
    check_stages,
    check_vector,
    diverse_nearest,
    limit_of,
    search_params,
    threshold_of,
)
from router.queries.requests import (
    DiverseNearest,
    Example,
    NearestPoint,
    NearestVector,
    Prefetch,
    Query,
    QueryRequest,
    RandomSample,
)
from router.rest.bodies.objects import decode_object, is_object
from router.rest.bodies.reading import decode
from router.rest.bodies.schemas import (
    ListVector,
    LookupBody,
    MmrBody,
    PrefetchBody,
    QueryBatchBody,
    QueryBody,
    RrfBody,
    SearchBatchBody,
    SearchBody,
    SearchParamsBody,
)
from router.rest.bodies.selectors import (
    check_path,
    decode_optional_filter,
    decode_projection,
    decode_shard_keys,
)
from router.vectors import SparseValues, VectorValues, not_supported

T = TypeVar("T")

_Stage = QueryBody | PrefetchBody

_query = msgspec.json.Decoder(QueryBody)
_query_batch = msgspec.json.Decoder(QueryBatchBody)
_search = msgspec.json.Decoder(SearchBody)
_search_batch = msgspec.json.Decoder(SearchBatchBody)


def decode_query(body: bytes) -> QueryRequest:
    return query_request(decode(body, _query), "internal")


def decode_query_batch(body: bytes) -> list[QueryRequest]:
    searches = decode(body, _query_batch).searches
    return [query_request(search, f"searches[{place}].internal") for place, search in enumerate(searches)]


def decode_search(body: bytes) -> QueryRequest:
    return search_request(decode(body, _search), "")


def decode_search_batch(body: bytes) -> list[QueryRequest]:
    searches = decode(body, _search_batch).searches
    return [search_request(search, f"searches[{place}].") for place, search in enumerate(searches)]


# --- the query API ---------------------------------------------------------------------------------


def query_request(body: QueryBody, path: str) -> QueryRequest:
    limit = limit_of(body.limit, f"{path}.limit")
    query = _query_of(body, path)
    return QueryRequest(
        query=query,
        prefetch=_prefetches(body, path, 1),
        using=body.using or UNNAMED,
        limit=limit,
        offset=body.offset or 0,
        filter=decode_optional_filter(body.filter, f"{path}.filter"),
        params=_params(body.params, f"{path}.params"),
        score_threshold=threshold_of(body.score_threshold),
        projection=decode_projection(body.with_payload, body.with_vector, body.with_vectors),
        shard_keys=decode_shard_keys(body.shard_key),
    )


def _prefetches(body: _Stage, path: str, depth: int) -> tuple[Prefetch, ...]:
    """``depth``: of these."""
    some = _listed(body.prefetch)
    if some:
        check_depth(depth)
    return tuple(
        _prefetch(
            each,
            f"{path}.prefetch[{place}]" if isinstance(body.prefetch, list) else f"{path}.prefetch",
            depth,
        )
        for place, each in enumerate(some)
    )


def _listed(prefetch: list[PrefetchBody] | PrefetchBody | None) -> list[PrefetchBody]:
    if prefetch is None:
        return []
    return prefetch if isinstance(prefetch, list) else [prefetch]


def _prefetch(body: PrefetchBody, path: str, depth: int) -> Prefetch:
    return Prefetch(
        query=_query_of(body, path),
        prefetch=_prefetches(body, path, depth + 1),
        using=body.using or UNNAMED,
        limit=limit_of(body.limit, f"{path}.limit"),
        filter=decode_optional_filter(body.filter, f"{path}.filter"),
        params=_params(body.params, f"{path}.params"),
        score_threshold=threshold_of(body.score_threshold),
    )


def _query_of(body: _Stage, path: str) -> Query | None:
    query = _any_query(body, path)
    threshold = body.score_threshold is not None
    check_stages(query, prefetches=bool(_listed(body.prefetch)), score_threshold=threshold)
    return query


def _any_query(body: _Stage, path: str) -> Query | None:
    query = body.query
    if query is None:
        return None
    if not isinstance(query, dict):
        return _nearest(query, body.lookup_from, f"{path}.query")
    if is_sparse(query) or is_object(query):
        return _nearest_value(query, body.lookup_from, f"{path}.query")
    if "nearest" in query:
        nearest = _nearest_value(query["nearest"], body.lookup_from, f"{path}.query.nearest")
        return nearest if query.get("mmr") is None else _mmr(nearest, query["mmr"], f"{path}.query.mmr")
    if "order_by" in query:
        return decode_order_by(query["order_by"])
    if "sample" in query:
        return _sample(query["sample"])
    if "fusion" in query:
        return _fusion(_fusion_named(query["fusion"]), body, f"{path}.query")
    if "rrf" in query:
        return _fusion(_rrf(query["rrf"]), body, f"{path}.query.rrf")
    if "formula" in query:
        check_formula(prefetches=bool(_listed(body.prefetch)))
        return decode_formula(query["formula"], query.get("defaults"), path=f"{path}.query")
    raise _other_query(query, path)


def _mmr(nearest: Example, value: Any, path: str) -> DiverseNearest:
    try:
        body = msgspec.convert(value, MmrBody)
    except msgspec.ValidationError as error:
        raise MalformedBody(f"{error} in `mmr`") from error
    return diverse_nearest(nearest, path, diversity=body.diversity, candidates=body.candidates_limit)


def _fusion(by: Rrf | Dbsf, body: _Stage, path: str) -> Rrf | Dbsf:
    check_fusion(by, path, using=body.using is not None, prefetches=len(_listed(body.prefetch)))
    return by


def _fusion_named(value: Any) -> Rrf | Dbsf:
    if value == "rrf":
        return Rrf()
    if value == "dbsf":
        return Dbsf()
    raise MalformedBody(f"unknown variant `{value}`, expected `rrf` or `dbsf`")


def _rrf(value: Any) -> Rrf:
    try:
        body = msgspec.convert(value, RrfBody)
    except msgspec.ValidationError as error:
        raise MalformedBody(f"{error} in `rrf`") from error
    k = RRF_K if body.k is None else body.k
    return Rrf(k, None if body.weights is None else tuple(body.weights))


def _sample(value: Any) -> RandomSample:
    if value != "random":
        raise MalformedBody(f"unknown variant `{value}`, expected `random`")
    return RandomSample()


def _nearest(value: ListVector | int | str, lookup: LookupBody | None, path: str) -> Example:
    if isinstance(value, list):
        check_vector(value, path)
        return NearestVector(value)
    return _nearest_point(parse_point_id(value), lookup)


def _nearest_point(point_id: PointId, lookup: LookupBody | None) -> NearestPoint:
    if lookup is None:
        return NearestPoint(point_id)
    keys = decode_shard_keys(lookup.shard_key)
    return NearestPoint(point_id, lookup.collection, lookup.vector, keys)


def _nearest_value(value: Any, lookup: LookupBody | None, path: str) -> Example:
    if is_object(value):
        return NearestVector(decode_object(value, path))
    if isinstance(value, list) or is_sparse(value):
        return NearestVector(_vector(value, path))
    return _nearest_point(parse_point_id(value), lookup)


def is_sparse(value: Any) -> bool:
    return isinstance(value, dict) and "indices" in value and "values" in value


def _vector(value: Any, path: str) -> VectorValues:
    """Raises: MalformedBody, InvalidField."""
    kind: Any = SparseValues if is_sparse(value) else ListVector
    try:
        vector: VectorValues = msgspec.convert(value, kind)
    except msgspec.ValidationError as problem:
        raise MalformedBody(f"{problem} in `{path}`") from problem
    check_vector(vector, path)
    return vector


def _other_query(query: dict[str, Any], path: str) -> Exception:
    """The error for a query that is not served: wrong in itself, of a later version, or unknown."""
    for kind, name in QUERIES_LATER.items():
        if kind in query:
            return _invalid_examples(kind, query[kind], path) or not_supported(name)
    return MalformedBody("data did not match any variant of QueryInterface")


def _invalid_examples(kind: str, value: Any, path: str) -> Exception | None:
    if not isinstance(value, dict):
        return None
    if kind == "recommend" and not value.get("positive") and not value.get("negative"):
        text = "At least one positive or negative vector/id must be provided"
        return InvalidField(f"{path}.query.recommend", text)
    if kind == "relevance_feedback" and not value.get("feedback"):
        return InvalidField(f"{path}.query.relevance_feedback", "feedback elements must be non-empty")
    return None


def _weighing(value: Any, path: str) -> Weighing:
    """Raises: MalformedBody, InvalidField."""
    if value == "global":
        return Weighing()
    if not isinstance(value, dict) or not isinstance(value.get("corpus"), dict):
        raise MalformedBody("data did not match any variant of untagged enum IdfParams")
    return Weighing(decode_filter(value["corpus"], path=f"{path}.idf.corpus"))


def _params(body: SearchParamsBody | None, path: str) -> SearchParams:
    if body is None:
        return SearchParams()
    check_search_params(
        path,
        hnsw_ef=body.hnsw_ef,
        oversampling=None if body.quantization is None else body.quantization.oversampling,
        max_selectivity=None if body.acorn is None else body.acorn.max_selectivity,
    )
    asked = body.quantization
    return search_params(
        hnsw_ef=body.hnsw_ef,
        exact=body.exact,
        indexed_only=body.indexed_only,
        idf=None if body.idf is None else _weighing(body.idf, path),
        quantization=None
        if asked is None
        else QuantizationSearchParams(asked.ignore, asked.rescore, asked.oversampling),
    )


# --- ordering by a payload key ----------------------------------------------------------------------


class _OrderByBody(msgspec.Struct):
    key: str
    direction: Direction | None = None
    start_from: int | float | str | None = None


def decode_order_by(value: Any) -> OrderBy:
    """A key or an object. Raises: MalformedBody."""
    try:
        body = _OrderByBody(value) if isinstance(value, str) else msgspec.convert(value, _OrderByBody)
    except msgspec.ValidationError as error:
        raise MalformedBody(f"{error} in `order_by`") from error
    return OrderBy(check_path(body.key), body.direction or Direction.ASC, _start_from(body.start_from))


def _start_from(value: float | str | None) -> int | float | None:
    return decode_datetime(value) if isinstance(value, str) else value


# --- the legacy search ------------------------------------------------------------------------------


def search_request(body: SearchBody, path: str) -> QueryRequest:
    limit = body.limit if body.limit is not None else body.top
    if limit is None:
        raise MalformedBody("missing field `limit`")
    using, vector = _named_vector(body.vector, f"{path}vector")
    return QueryRequest(
        query=NearestVector(vector),
        using=using,
        limit=at_least_one(limit, f"{path}limit"),
        offset=body.offset or 0,
        filter=decode_optional_filter(body.filter, f"{path}filter"),
        params=_params(body.params, f"{path}params"),
        score_threshold=threshold_of(body.score_threshold),
        projection=decode_projection(body.with_payload, body.with_vector, body.with_vectors),
        shard_keys=decode_shard_keys(body.shard_key),
    )


def _named_vector(value: ListVector | dict[str, Any], path: str) -> tuple[str, VectorValues]:
    name, vector = (UNNAMED, value) if isinstance(value, list) else (value.get("name"), value.get("vector"))
    if not isinstance(name, str) or not (isinstance(vector, list) or is_sparse(vector)):
        raise MalformedBody("a named vector has the fields `name` and `vector`")
    return name, _vector(vector, path)
