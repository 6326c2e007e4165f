"""Bodies of the query API and of the legacy search into ``router.queries`` requests (reference 9.4, 9.12)."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from protos.collections import UNNAMED
from protos.datetimes import decode_datetime
from protos.errors import MalformedBody
from protos.filters import decode_filter
from protos.formulas import decode_formula
from protos.fusion import RRF_K, Dbsf, Rrf
from protos.idf import Weighing
from protos.shard import Direction, FloatArray, OrderBy, QuantizationSearchParams, SearchParams
from protos.structs import learn
from router.checks import (
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
    NearestVector,
    Prefetch,
    Query,
    QueryRequest,
    RandomSample,
)
from router.rest.bodies.examples import BY_EXAMPLES, decode_nearest, decode_vector, is_sparse
from router.rest.bodies.numbers import attempt, float32_list, float32_lists
from router.rest.bodies.objects import is_object
from router.rest.bodies.reading import decode
from router.rest.bodies.schemas import (
    LegacyBody,
    ListVector,
    MmrBody,
    PrefetchBody,
    QueryBatchBody,
    QueryBody,
    RrfBody,
    SearchBatchBody,
    SearchBody,
    SearchParamsBody,
    UnreadQueryBatchBody,
    UnreadQueryBody,
    UnreadSearchBatchBody,
    UnreadSearchBody,
)
from router.rest.bodies.selectors import (
    check_path,
    decode_optional_filter,
    decode_projection,
    decode_shard_keys,
)
from router.vectors import VectorValues

T = TypeVar("T")

_DEFAULTS = SearchParams()

_Stage = QueryBody | PrefetchBody

_query = msgspec.json.Decoder(QueryBody)
_query_batch = msgspec.json.Decoder(QueryBatchBody)
_search = msgspec.json.Decoder(SearchBody)
_search_batch = msgspec.json.Decoder(SearchBatchBody)
_unread_query = msgspec.json.Decoder(UnreadQueryBody)
_unread_query_batch = msgspec.json.Decoder(UnreadQueryBatchBody)
_unread_search = msgspec.json.Decoder(UnreadSearchBody)
_unread_search_batch = msgspec.json.Decoder(UnreadSearchBatchBody)


def decode_query(body: bytes) -> QueryRequest:
    unread = attempt(body, _unread_query)
    vector = None if unread is None else float32_list(unread.query)
    if unread is None or vector is None:
        return query_request(decode(body, _query), "internal")
    return query_request(unread, "internal", vector)


def decode_query_batch(body: bytes) -> list[QueryRequest]:
    unread = attempt(body, _unread_query_batch)
    vectors = None if unread is None else float32_lists(search.query for search in unread.searches)
    if unread is None or vectors is None:
        searches = decode(body, _query_batch).searches
        return [query_request(search, f"searches[{place}].internal") for place, search in enumerate(searches)]
    return [
        query_request(search, f"searches[{place}].internal", vector)
        for place, (search, vector) in enumerate(zip(unread.searches, vectors, strict=True))
    ]


def decode_search(body: bytes) -> QueryRequest:
    unread = attempt(body, _unread_search)
    vector = None if unread is None else float32_list(unread.vector)
    if unread is None or vector is None:
        return search_request(decode(body, _search), "")
    return search_request(unread, "", vector)


def decode_search_batch(body: bytes) -> list[QueryRequest]:
    unread = attempt(body, _unread_search_batch)
    vectors = None if unread is None else float32_lists(search.vector for search in unread.searches)
    if unread is None or vectors is None:
        searches = decode(body, _search_batch).searches
        return [search_request(search, f"searches[{place}].") for place, search in enumerate(searches)]
    return [
        search_request(search, f"searches[{place}].", vector)
        for place, (search, vector) in enumerate(zip(unread.searches, vectors, strict=True))
    ]


# --- the query API ---------------------------------------------------------------------------------


def query_request(body: QueryBody, path: str, vector: FloatArray | None = None) -> QueryRequest:
    """``vector``: the query, if it has been read already."""
    limit = limit_of(body.limit, f"{path}.limit")
    query = _query_of(body, path) if vector is None else NearestVector(vector)
    # Most bodies leave out most fields, and those cost no call.
    return QueryRequest(
        query=query,
        prefetch=() if body.prefetch is None else _prefetches(body, path, 1),
        using=body.using or UNNAMED,
        limit=limit,
        offset=body.offset or 0,
        filter=None if body.filter is None else decode_optional_filter(body.filter, f"{path}.filter"),
        params=_DEFAULTS if body.params is None else _params(body.params, f"{path}.params"),
        score_threshold=None if body.score_threshold is None else threshold_of(body.score_threshold),
        projection=decode_projection(body.with_payload, body.with_vector, body.with_vectors),
        shard_keys=None if body.shard_key is None else decode_shard_keys(body.shard_key),
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
    if isinstance(query, list):  # has been converted with the body
        check_vector(query, f"{path}.query")
        return NearestVector(query)
    if not isinstance(query, dict) or is_sparse(query) or is_object(query):
        return decode_nearest(query, body.lookup_from, f"{path}.query")
    if "nearest" in query:
        nearest = decode_nearest(query["nearest"], body.lookup_from, f"{path}.query.nearest")
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
    for kind, decode_kind in BY_EXAMPLES.items():
        if kind in query:
            return decode_kind(query[kind], body.lookup_from, f"{path}.query.{kind}")
    raise MalformedBody("data did not match any variant of QueryInterface")


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


# --- legacy searches -------------------------------------------------------------------------------


def search_request(body: SearchBody, path: str, vector: VectorValues | None = None) -> QueryRequest:
    """``vector``: as with ``query_request``."""
    using = UNNAMED
    if vector is None:
        using, vector = _named_vector(body.vector, f"{path}vector")
    return replace(legacy_request(body, path), query=NearestVector(vector), using=using)


def legacy_request(body: LegacyBody, path: str) -> QueryRequest:
    """All but what is searched by. Raises: MalformedBody, InvalidField."""
    limit = body.limit if body.limit is not None else body.top
    if limit is None:
        raise MalformedBody("missing field `limit`")
    return QueryRequest(
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
    return name, decode_vector(vector, path)


learn(MmrBody, RrfBody, _OrderByBody)
