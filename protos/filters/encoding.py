"""Filters into JSON: the inverse of ``decoding``, for what keeps a filter as JSON."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict

from protos.datetimes import format_datetime
from protos.filters.tree import (
    Condition,
    DatetimeRange,
    FieldCondition,
    FieldIsEmpty,
    FieldIsNull,
    Filter,
    GeoBoundingBox,
    GeoPoint,
    GeoPolygon,
    GeoRadius,
    HasId,
    HasVector,
    InBuckets,
    IsEmpty,
    IsNull,
    MatchAny,
    MatchExcept,
    MatchPrefix,
    MatchText,
    MatchValue,
    Nested,
    Predicate,
    Range,
    Slice,
    ValuesCount,
)

_FLOAT_MAX = 1.7976931348623157e308


def encode_filter(filter: Filter) -> dict[str, Any]:
    """JSON that ``decode_filter`` makes this filter of; paths and ids as they are."""
    shown: dict[str, Any] = {
        clause: [_condition(condition) for condition in found]
        for clause in ("must", "should", "must_not")
        if (found := getattr(filter, clause)) is not None
    }
    if filter.min_should is not None:
        shown["min_should"] = {
            "conditions": [_condition(condition) for condition in filter.min_should.conditions],
            "min_count": filter.min_should.min_count,
        }
    return shown


def _condition(condition: Condition) -> dict[str, Any]:
    match condition:
        case Filter():
            return encode_filter(condition)
        case FieldCondition():
            return _field(condition)
        case IsEmpty(key):
            return {"is_empty": {"key": key}}
        case IsNull(key):
            return {"is_null": {"key": key}}
        case HasId(ids):
            return {"has_id": list(ids)}
        case HasVector(name):
            return {"has_vector": name}
        case Slice(total, index):
            return {"slice": {"total": total, "index": index}}
        case InBuckets(buckets):  # for people alone: the API has no such condition
            return {"in_buckets": buckets.hex()}
        case Nested(key, inner):
            return {"nested": {"key": key, "filter": encode_filter(inner)}}


def _field(condition: FieldCondition) -> dict[str, Any]:
    """Alternatives that one condition has no room for in JSON become conditions of their own."""
    parts = [_predicate(predicate) for predicate in condition.any_of]
    names = [name for part in parts for name in part]
    if len(set(names)) == len(names):
        return {"key": condition.key} | {name: value for part in parts for name, value in part.items()}
    return {"should": [{"key": condition.key, **part} for part in parts]}


def _predicate(predicate: Predicate) -> dict[str, Any]:
    match predicate:
        case MatchValue(value):
            return {"match": {"value": value}}
        case MatchAny(values):
            return {"match": {"any": list(values)}}
        case MatchExcept(values):
            return {"match": {"except": list(values)}}
        case MatchText(text, mode):
            return {"match": {mode.value: text}}
        case MatchPrefix(prefix):
            return {"match": {"prefix": prefix}}
        case Range():
            return {"range": {name: _finite(bound) for name, bound in _given(predicate).items()}}
        case DatetimeRange():
            return {"range": {name: format_datetime(bound) for name, bound in _given(predicate).items()}}
        case ValuesCount():
            return {"values_count": _given(predicate)}
        case FieldIsEmpty(expected):
            return {"is_empty": expected}
        case FieldIsNull(expected):
            return {"is_null": expected}
        case _:
            return _geo(predicate)


def _geo(predicate: GeoBoundingBox | GeoRadius | GeoPolygon) -> dict[str, Any]:
    match predicate:
        case GeoBoundingBox(top_left, bottom_right):
            return {"geo_bounding_box": {"top_left": asdict(top_left), "bottom_right": asdict(bottom_right)}}
        case GeoRadius(center, radius):
            return {"geo_radius": {"center": asdict(center), "radius": radius}}
        case GeoPolygon(exterior, interiors):
            return {"geo_polygon": {"exterior": _ring(exterior), "interiors": list(map(_ring, interiors))}}


def _ring(points: tuple[GeoPoint, ...]) -> dict[str, Any]:
    return {"points": [asdict(point) for point in points]}


def _given(bounds: Range | DatetimeRange | ValuesCount) -> dict[str, Any]:
    return {name: bound for name, bound in asdict(bounds).items() if bound is not None}


def _finite(bound: float) -> float:
    """JSON has no infinity; no number in a payload lies beyond this either."""
    return bound if isinstance(bound, int) else max(-_FLOAT_MAX, min(bound, _FLOAT_MAX))
