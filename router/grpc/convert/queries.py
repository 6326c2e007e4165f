"""Reads and searches into requests of ``router.queries``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from protos.collections import UNNAMED
from protos.datetimes import decode_datetime
from protos.filters import Filter
from protos.fusion import RRF_K, Dbsf, Rrf
from protos.idf import Weighing
from protos.ids import PointId
from protos.qdrant import legacy_pb2
from protos.qdrant import queries_pb2 as wire
from protos.shard import Direction, OrderBy, Projection, QuantizationSearchParams, ScrollRequest, SearchParams
from router.checks import (
    at_least_one,
    check_depth,
    check_formula,
    check_fusion,
    check_page,
    check_search_params,
    check_stages,
    diverse_nearest,
    limit_of,
    search_params,
    threshold_of,
)
from router.grpc.convert.examples import (
    BY_EXAMPLES,
    Lookup,
    example,
    legacy_discover,
    legacy_recommend,
    lookup_in,
)
from router.grpc.convert.filters import filter_of, microseconds, number
from router.grpc.convert.formulas import formula_of
from router.grpc.convert.points import json_path, keys_in, point_id, projection
from router.grpc.convert.vectors import dense, sparse
from router.grpc.convert.words import known
from router.grpc.errors import Unconvertible
from router.queries.requests import DiverseNearest, NearestVector, Prefetch, Query, QueryRequest, RandomSample

_DIRECTIONS: Final = {wire.Asc: Direction.ASC, wire.Desc: Direction.DESC}
_FUSIONS: Final[dict[int, Rrf | Dbsf]] = {wire.RRF: Rrf(), wire.DBSF: Dbsf()}
_SAMPLES: Final = {wire.Random: RandomSample()}

QueryMessage = wire.QueryPoints | wire.QueryPointGroups
_Stage = QueryMessage | wire.PrefetchQuery
RecommendMessage = legacy_pb2.RecommendPoints | legacy_pb2.RecommendPointGroups
SearchMessage = legacy_pb2.SearchPoints | legacy_pb2.SearchPointGroups


def query_request(message: QueryMessage, path: str = "") -> QueryRequest:
    """``path``: where the query stands in a batch. Raises: Unconvertible, InvalidField, BadInput, ..."""
    query = _query_of(message, f"{path}query")
    return QueryRequest(
        query=query,
        prefetch=_prefetches(message, path, 1),
        using=message.using or UNNAMED,
        limit=limit_of(given(message, "limit"), f"{path}limit"),
        offset=_offset(message),
        filter=filter_in(message, path),
        params=_params(message, path),
        score_threshold=threshold_of(_threshold(message)),
        projection=projection_in(message),
        shard_keys=keys_in(message),
    )


def _prefetches(message: _Stage, path: str, depth: int) -> tuple[Prefetch, ...]:
    """``depth``: of these."""
    if message.prefetch:
        check_depth(depth)
    return tuple(
        _prefetch(each, f"{path}prefetch[{place}].", depth) for place, each in enumerate(message.prefetch)
    )


def _prefetch(message: wire.PrefetchQuery, path: str, depth: int) -> Prefetch:
    return Prefetch(
        query=_query_of(message, f"{path}query"),
        prefetch=_prefetches(message, path, depth + 1),
        using=message.using or UNNAMED,
        limit=limit_of(given(message, "limit"), f"{path}limit"),
        filter=filter_in(message, path),
        params=_params(message, path),
        score_threshold=threshold_of(_threshold(message)),
    )


def _query_of(message: _Stage, path: str) -> Query | None:
    query = _query(message, path) if message.HasField("query") else None
    threshold = message.HasField("score_threshold")
    check_stages(query, prefetches=bool(message.prefetch), score_threshold=threshold)
    return query


def batch(
    messages: Iterable[Any], field: str, convert: Callable[[Any, str], QueryRequest]
) -> list[QueryRequest]:
    """``field``: what the list is called, for the texts of broken constraints."""
    return [convert(message, f"{field}[{place}].") for place, message in enumerate(messages)]


def search_request(message: SearchMessage, path: str = "") -> QueryRequest:
    """The search of old clients. Raises: as ``query_request``."""
    at = f"{path}vector"
    if message.HasField("sparse_indices"):
        query = NearestVector(sparse(message.sparse_indices.data, message.vector, at))
    else:
        query = NearestVector(dense(message.vector, at))
    return legacy_request(message, query, message.vector_name, path)


def recommend_request(message: RecommendMessage, path: str = "") -> QueryRequest:
    """Raises: as ``query_request``."""
    query = legacy_recommend(message, lookup_in(message), path)
    return legacy_request(message, query, message.using, path)


def discover_request(message: legacy_pb2.DiscoverPoints, path: str = "") -> QueryRequest:
    """Raises: as ``query_request``."""
    query = legacy_discover(message, lookup_in(message), path)
    return legacy_request(message, query, message.using, path)


def legacy_request(message: Any, query: Query, using: str, path: str) -> QueryRequest:
    """Any search of old clients. Raises: as ``query_request``."""
    return QueryRequest(
        query=query,
        using=using,
        limit=at_least_one(message.limit, f"{path}limit"),
        offset=_offset(message),
        filter=filter_in(message, path),
        params=_params(message, path),
        score_threshold=threshold_of(_threshold(message)),
        projection=projection_in(message),
        shard_keys=keys_in(message),
    )


def scroll_request(message: wire.ScrollPoints) -> ScrollRequest:
    """Raises: as ``query_request``."""
    offset: PointId | None = point_id(message.offset) if message.HasField("offset") else None
    order_by = _order_by(message.order_by) if message.HasField("order_by") else None
    check_page(offset, order_by)
    return ScrollRequest(
        limit=limit_of(given(message, "limit"), "limit"),
        offset=offset,
        filter=filter_in(message),
        order_by=order_by,
        projection=projection_in(message, payload_default=True),
    )


# --- parts that many messages have -------------------------------------------------------------------


def filter_in(message: Any, path: str = "") -> Filter | None:
    return filter_of(message.filter, path=f"{path}filter") if message.HasField("filter") else None


def projection_in(message: Any, *, payload_default: bool = False) -> Projection:
    return projection(
        message.with_payload if message.HasField("with_payload") else None,
        message.with_vectors if message.HasField("with_vectors") else None,
        payload_default=payload_default,
    )


def given(message: Any, field: str) -> Any:
    """None: not said."""
    return getattr(message, field) if message.HasField(field) else None


def _offset(message: Any) -> int:
    """0 for messages that have none."""
    return int(getattr(message, "offset", 0))


def _threshold(message: Any) -> float | None:
    if not hasattr(message, "score_threshold"):  # discoveries of old clients
        return None
    found = given(message, "score_threshold")
    return None if found is None else number(found, "score_threshold")


def _params(message: Any, path: str) -> SearchParams:
    if not message.HasField("params"):
        return SearchParams()
    params = message.params
    check_search_params(
        f"{path}params",
        hnsw_ef=given(params, "hnsw_ef"),
        oversampling=given(params.quantization, "oversampling"),
        max_selectivity=given(params.acorn, "max_selectivity"),
    )
    return search_params(
        hnsw_ef=given(params, "hnsw_ef"),
        exact=params.exact,
        indexed_only=params.indexed_only,
        idf=_weighing(params.idf, path) if params.HasField("idf") else None,
        quantization=_quantization(params.quantization) if params.HasField("quantization") else None,
    )


def _weighing(message: wire.IdfParams, path: str) -> Weighing:
    corpus = (
        filter_of(message.corpus, path=f"{path}params.idf.corpus") if message.HasField("corpus") else None
    )
    return Weighing(corpus)


def _quantization(message: wire.QuantizationSearchParams) -> QuantizationSearchParams:
    return QuantizationSearchParams(message.ignore, given(message, "rescore"), given(message, "oversampling"))


# --- queries -----------------------------------------------------------------------------------------


def _query(message: _Stage, path: str) -> Query:
    query = message.query
    kind = query.WhichOneof("variant")
    if kind is None:
        raise Unconvertible("Query variant is missing")
    if kind == "nearest":
        return example(query.nearest, lookup_in(message), f"{path}.nearest")
    if kind == "nearest_with_mmr":
        return _mmr(query.nearest_with_mmr, lookup_in(message), path)
    if kind == "order_by":
        return _order_by(query.order_by)
    if kind == "sample":
        return known(_SAMPLES, query.sample, "Sample")
    if kind == "fusion":
        return _fusion(known(_FUSIONS, query.fusion, "Fusion"), message, path)
    if kind == "rrf":
        return _fusion(_rrf(query.rrf), message, f"{path}.rrf")
    if kind == "formula":
        check_formula(prefetches=bool(message.prefetch))
        return formula_of(query.formula, path)
    return BY_EXAMPLES[kind](getattr(query, kind), lookup_in(message), f"{path}.{kind}")


def _fusion(by: Rrf | Dbsf, message: _Stage, path: str) -> Rrf | Dbsf:
    check_fusion(by, path, using=message.HasField("using"), prefetches=len(message.prefetch))
    return by


def _rrf(message: wire.Rrf) -> Rrf:
    weights = tuple(number(weight, "weights") for weight in message.weights)
    return Rrf(message.k if message.HasField("k") else RRF_K, weights or None)


def _mmr(message: wire.NearestInputWithMmr, lookup: Lookup, path: str) -> DiverseNearest:
    if not message.HasField("nearest"):
        raise Unconvertible("nearest vector is missing")
    if not message.HasField("mmr"):
        raise Unconvertible("mmr is missing")
    nearest = example(message.nearest, lookup, f"{path}.nearest")
    return diverse_nearest(
        nearest,
        f"{path}.mmr",
        diversity=given(message.mmr, "diversity"),
        candidates=given(message.mmr, "candidates_limit"),
    )


def _order_by(message: wire.OrderBy) -> OrderBy:
    direction = known(_DIRECTIONS, message.direction, "Direction")
    start = _start_from(message.start_from) if message.HasField("start_from") else None
    return OrderBy(json_path(message.key), direction, start)


def _start_from(message: wire.StartFrom) -> int | float:
    kind = message.WhichOneof("value")
    if kind is None:
        raise Unconvertible("StartFrom value is missing")
    if kind == "timestamp":
        return microseconds(message.timestamp)
    if kind == "datetime":
        return decode_datetime(message.datetime)
    found: int | float = getattr(message, kind)
    if not math.isfinite(found):
        raise Unconvertible("start_from must be a finite number")
    return found
