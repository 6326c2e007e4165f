"""Filters. The constraints of their parts are those of ``protos.filters.rules``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from protos.filters import (
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
    TextMode,
    ValuesCount,
    rules,
)
from protos.qdrant import filters_pb2 as wire
from router.grpc.convert.points import json_path, point_ids
from router.grpc.errors import Unconvertible

_BOUNDS: Final = ("lt", "gt", "gte", "lte")
_SECONDS_MAX: Final = 8_200_000_000_000  # some 260,000 years, the calendar of texts; microseconds fit 64 bits
_NANOS: Final = 1_000_000_000


def filter_of(message: wire.Filter, *, path: str = "filter") -> Filter:
    """``path``: where the filter stands in the request.

    Raises: Unconvertible, MalformedBody, InvalidField.
    """
    return _filter(message, path, 0)


def condition_of(message: wire.Condition, *, path: str) -> Condition:
    """One condition that stands for itself. Raises: as ``filter_of``."""
    return _condition(message, path, 0)


def _filter(message: wire.Filter, path: str, depth: int) -> Filter:
    rules.check_depth(depth)
    at_least = None
    if message.HasField("min_should"):
        at = f"{path}.min_should"
        conditions = _clause(message.min_should.conditions, f"{at}.conditions", depth)
        at_least = rules.min_should(conditions or (), message.min_should.min_count, at)
    return Filter(
        must=_clause(message.must, f"{path}.must", depth),
        should=_clause(message.should, f"{path}.should", depth),
        must_not=_clause(message.must_not, f"{path}.must_not", depth),
        min_should=at_least,
    )


def _clause(messages: Iterable[wire.Condition], path: str, depth: int) -> tuple[Condition, ...] | None:
    """None for none: a list that is empty and one that is absent are the same on the wire."""
    return tuple(_condition(item, f"{path}[{i}]", depth) for i, item in enumerate(messages)) or None


def _condition(message: wire.Condition, path: str, depth: int) -> Condition:
    kind = message.WhichOneof("condition_one_of")
    if kind is None:
        raise Unconvertible("Malformed Condition type")
    if kind == "filter":
        return _filter(message.filter, path, depth + 1)
    if kind == "nested":
        return _nested(message.nested, f"{path}.nested", depth)
    if kind == "field":
        return _field(message.field, path)
    if kind == "slice":
        return rules.slice_of(message.slice.total, message.slice.index, f"{path}.slice")
    return _SIMPLE[kind](getattr(message, kind))


_SIMPLE: Final[dict[str, Callable[[Any], Condition]]] = {
    "is_empty": lambda message: IsEmpty(json_path(message.key)),
    "is_null": lambda message: IsNull(json_path(message.key)),
    "has_id": lambda message: HasId(tuple(dict.fromkeys(point_ids(message.has_id)))),
    "has_vector": lambda message: HasVector(message.has_vector),
}


def _nested(message: wire.NestedCondition, path: str, depth: int) -> Nested:
    if not message.HasField("filter"):
        raise Unconvertible("Nested condition has no filter")
    return Nested(json_path(message.key), _filter(message.filter, f"{path}.filter", depth + 1))


def _field(message: wire.FieldCondition, path: str) -> FieldCondition:
    predicates = {
        name: convert(getattr(message, name))
        for name, convert in _OPERATORS.items()
        if message.HasField(name)
    }
    if message.HasField("geo_polygon"):
        predicates["geo_polygon"] = _polygon(message.geo_polygon, f"{path}.geo_polygon")
    return rules.field_condition(json_path(message.key), predicates, path)


def _match(message: wire.Match) -> Predicate:
    kind = message.WhichOneof("match_value")
    if kind is None:
        raise Unconvertible("Malformed Match condition")
    return _MATCHES[kind](getattr(message, kind))


_MATCHES: Final[dict[str, Callable[[Any], Predicate]]] = {
    "keyword": MatchValue,
    "integer": MatchValue,
    "boolean": MatchValue,
    "text": MatchText,
    "phrase": lambda text: MatchText(text, TextMode.PHRASE),
    "text_any": lambda text: MatchText(text, TextMode.TEXT_ANY),
    "prefix": MatchPrefix,
    "keywords": lambda message: MatchAny(tuple(dict.fromkeys(message.strings))),
    "integers": lambda message: MatchAny(tuple(dict.fromkeys(message.integers))),
    "except_keywords": lambda message: MatchExcept(tuple(dict.fromkeys(message.strings))),
    "except_integers": lambda message: MatchExcept(tuple(dict.fromkeys(message.integers))),
}


def _bounds(message: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in _BOUNDS if message.HasField(name)}


def _range(message: wire.Range) -> Range:
    return Range(**{name: number(bound, "range") for name, bound in _bounds(message).items()})


def _datetime_range(message: wire.DatetimeRange) -> DatetimeRange:
    return DatetimeRange(**{name: microseconds(bound) for name, bound in _bounds(message).items()})


def number(value: float, what: str) -> float:
    """Raises: Unconvertible if it is none."""
    if math.isnan(value):
        raise Unconvertible(f"NaN is not allowed in {what}")
    return value


def microseconds(message: Timestamp) -> int:
    """Since the epoch. Raises: Unconvertible."""
    if abs(message.seconds) > _SECONDS_MAX or not 0 <= message.nanos < _NANOS:
        raise Unconvertible(
            f"Malformed datetime: {message.seconds} s and {message.nanos} ns are out of range"
        )
    return message.seconds * 1_000_000 + message.nanos // 1000


def geo_point_of(message: wire.GeoPoint) -> GeoPoint:
    """Raises: MalformedBody."""
    return rules.geo_point(message.lon, message.lat)


def _geo_bounding_box(message: wire.GeoBoundingBox) -> GeoBoundingBox:
    if not (message.HasField("top_left") and message.HasField("bottom_right")):
        raise Unconvertible("Malformed GeoBoundingBox type")
    return GeoBoundingBox(geo_point_of(message.top_left), geo_point_of(message.bottom_right))


def _geo_radius(message: wire.GeoRadius) -> GeoRadius:
    if not message.HasField("center"):
        raise Unconvertible("Malformed GeoRadius type")
    return GeoRadius(geo_point_of(message.center), number(message.radius, "geo_radius"))


def _polygon(message: wire.GeoPolygon, path: str) -> GeoPolygon:
    if not message.HasField("exterior"):
        raise Unconvertible("Malformed GeoPolygon type")
    return GeoPolygon(
        _ring(message.exterior, f"{path}.exterior"),
        tuple(_ring(ring, f"{path}.interiors[{i}]") for i, ring in enumerate(message.interiors)),
    )


def _ring(message: wire.GeoLineString, path: str) -> tuple[GeoPoint, ...]:
    return rules.ring(tuple(map(geo_point_of, message.points)), path)


_OPERATORS: Final[dict[str, Callable[[Any], Predicate]]] = {
    "match": _match,
    "range": _range,
    "datetime_range": _datetime_range,
    "geo_bounding_box": _geo_bounding_box,
    "geo_radius": _geo_radius,
    "values_count": lambda message: ValuesCount(**_bounds(message)),
    "is_empty": FieldIsEmpty,
    "is_null": FieldIsNull,
}
