"""Filters from decoded JSON.

Lives here: the shapes that JSON may give a filter, and the texts of what is wrong with one (reference 1.4,
10, 18.5). May not live here: constraints that hold in every form (``rules``), what a condition means for a
point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protos.datetimes import decode_datetime
from protos.errors import MalformedBody
from protos.filters import rules
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
    IsEmpty,
    IsNull,
    MatchAny,
    MatchExcept,
    MatchPrefix,
    MatchScalar,
    MatchText,
    MatchValue,
    MinShould,
    Nested,
    Predicate,
    Range,
    Slice,
    TextMode,
    ValuesCount,
)
from protos.ids import parse_point_id
from protos.json_path import parse_path

_INT64_MIN, _INT64_MAX, _UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1
_CLAUSES: Final = frozenset({"must", "should", "must_not", "min_should"})


def decode_filter(value: object, *, path: str = "filter") -> Filter:
    """Return the filter for decoded JSON; a null for an optional key means it is absent.

    Args:
        path: where the filter stands in the body, for the texts of broken constraints.
    Raises: MalformedBody (400) for a wrong shape, an unknown key, a bad path, datetime or coordinate;
        InvalidField (422) for a broken constraint.   Source: reference 10, 18.5.
    """
    return _filter(value, path, 0)


def decode_condition(value: object, *, path: str) -> Condition:
    """One condition that stands for itself. Raises: as ``decode_filter``."""
    return _condition(value, path, 0)


def _filter(value: object, path: str, depth: int) -> Filter:
    rules.check_depth(depth)
    fields = checked_object(value, "struct Filter", _CLAUSES)
    clauses = {
        name: _clause(fields[name], f"{path}.{name}", depth)
        for name in ("must", "should", "must_not")
        if name in fields
    }
    min_should = fields.get("min_should")
    return Filter(
        must=clauses.get("must"),
        should=clauses.get("should"),
        must_not=clauses.get("must_not"),
        min_should=None if min_should is None else _min_should(min_should, f"{path}.min_should", depth),
    )


def _clause(value: object, path: str, depth: int) -> tuple[Condition, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(_condition(item, f"{path}[{i}]", depth) for i, item in enumerate(items))


def _min_should(value: object, path: str, depth: int) -> MinShould:
    fields = checked_object(
        value, "struct MinShould", {"conditions", "min_count"}, required=("conditions", "min_count")
    )
    items = checked_list(fields["conditions"], "conditions")
    min_count = _count(fields["min_count"])
    return rules.min_should(_clause(items, f"{path}.conditions", depth), min_count, path)


def _condition(value: object, path: str, depth: int) -> Condition:
    if isinstance(value, dict):
        if "key" in value:
            return _field_condition(value, path)
        for name in (*_KINDS, "slice", "nested"):
            if value.get(name) is not None:
                checked_object(value, f"condition {name}", {name})
                return _kind(name, value[name], f"{path}.{name}", depth)
        if value.keys() <= _CLAUSES:
            return _filter(value, path, depth + 1)
    raise MalformedBody(
        "Expected some form of condition: a field condition (an object with `key` and an operator), is_empty,"
        " is_null, has_id, has_vector, slice, nested, or a filter (must, should, must_not, min_should)"
    )


def _kind(name: str, value: object, path: str, depth: int) -> Condition:
    if name == "slice":
        return _slice(value, path)
    if name == "nested":
        return _nested(value, path, depth)
    return _KINDS[name](value)


def _payload_field(value: object) -> str:
    return checked_path(checked_object(value, "struct PayloadField", {"key"}, required=("key",))["key"])


def _has_id(value: object) -> HasId:
    return HasId(tuple(dict.fromkeys(parse_point_id(item) for item in checked_list(value, "has_id"))))


def _slice(value: object, path: str) -> Slice:
    fields = checked_object(value, "struct Slice", {"total", "index"}, required=("total", "index"))
    total, index = _count(fields["total"], 2**32 - 1), _count(fields["index"], 2**32 - 1)
    return rules.slice_of(total, index, path)


def _nested(value: object, path: str, depth: int) -> Nested:
    fields = checked_object(value, "struct Nested", {"key", "filter"}, required=("key", "filter"))
    return Nested(checked_path(fields["key"]), _filter(fields["filter"], f"{path}.filter", depth + 1))


_KINDS: Final[dict[str, Callable[[object], Condition]]] = {
    "is_empty": lambda value: IsEmpty(_payload_field(value)),
    "is_null": lambda value: IsNull(_payload_field(value)),
    "has_id": _has_id,
    "has_vector": lambda value: HasVector(checked_text(value)),
}


def _field_condition(value: dict[str, Any], path: str) -> FieldCondition:
    if not isinstance(value["key"], str):
        raise MalformedBody("Filter condition 'key' must be a string")
    fields = checked_object(value, "struct FieldCondition", {"key", "geo_polygon", *_OPERATORS})
    key = checked_path(fields.pop("key"))
    predicates = {name: decode(fields[name]) for name, decode in _OPERATORS.items() if name in fields}
    if "geo_polygon" in fields:
        predicates["geo_polygon"] = _geo_polygon(fields["geo_polygon"], f"{path}.geo_polygon")
    return rules.field_condition(key, predicates, path)


def _match(value: object) -> Predicate:
    fields = checked_object(
        value, "Match", {"value", "text", "text_any", "phrase", "prefix", "any", "except"}
    )
    if len(fields) != 1:
        raise MalformedBody(
            "expected exactly one of value, text, text_any, phrase, prefix, any, except in match"
        )
    kind, operand = fields.popitem()
    if kind == "value":
        return MatchValue(_match_scalar(operand))
    if kind == "prefix":
        return MatchPrefix(checked_text(operand))
    if kind in ("any", "except"):
        values = _match_list(operand)
        return MatchAny(values) if kind == "any" else MatchExcept(values)
    return MatchText(checked_text(operand), TextMode(kind))


def _match_scalar(value: object) -> MatchScalar:
    if isinstance(value, bool | str) or _is_int64(value):
        return value  # type: ignore[return-value]  # _is_int64 is no type guard for its negation
    raise MalformedBody("expected a string, an integer or a boolean in match.value")


def _match_list(value: object) -> tuple[str | int, ...]:
    items = checked_list(value, "match")
    if all(isinstance(item, str) for item in items) or all(_is_int64(item) for item in items):
        return tuple(dict.fromkeys(items))
    raise MalformedBody("expected a list of strings or a list of integers in match")


def _range(value: object) -> Predicate:
    bounds = checked_object(value, "RangeInterface", {"lt", "gt", "lte", "gte"})
    if any(isinstance(bound, str) for bound in bounds.values()):
        return DatetimeRange(**{name: decode_datetime(checked_text(bound)) for name, bound in bounds.items()})
    return Range(**{name: checked_number(bound) for name, bound in bounds.items()})


def _values_count(value: object) -> ValuesCount:
    bounds = checked_object(value, "struct ValuesCount", {"lt", "gt", "lte", "gte"})
    return ValuesCount(**{name: _count(bound) for name, bound in bounds.items()})


def decode_geo_point(value: object) -> GeoPoint:
    """Raises: MalformedBody."""
    fields = checked_object(value, "struct GeoPoint", {"lon", "lat"}, required=("lon", "lat"))
    return rules.geo_point(float(checked_number(fields["lon"])), float(checked_number(fields["lat"])))


def _geo_bounding_box(value: object) -> GeoBoundingBox:
    corners = ("top_left", "bottom_right")
    fields = checked_object(value, "struct GeoBoundingBox", set(corners), required=corners)
    return GeoBoundingBox(*(decode_geo_point(fields[corner]) for corner in corners))


def _geo_radius(value: object) -> GeoRadius:
    fields = checked_object(value, "struct GeoRadius", {"center", "radius"}, required=("center", "radius"))
    return GeoRadius(decode_geo_point(fields["center"]), float(checked_number(fields["radius"])))


def _geo_polygon(value: object, path: str) -> GeoPolygon:
    fields = checked_object(value, "struct GeoPolygon", {"exterior", "interiors"}, required=("exterior",))
    interiors = checked_list(fields.get("interiors", []), "interiors")
    return GeoPolygon(
        _ring(fields["exterior"], f"{path}.exterior"),
        tuple(_ring(ring, f"{path}.interiors[{i}]") for i, ring in enumerate(interiors)),
    )


def _ring(value: object, path: str) -> tuple[GeoPoint, ...]:
    fields = checked_object(value, "struct GeoLineString", {"points"}, required=("points",))
    points = tuple(decode_geo_point(point) for point in checked_list(fields["points"], "points"))
    return rules.ring(points, path)


_OPERATORS: Final[dict[str, Callable[[object], Predicate]]] = {
    "match": _match,
    "range": _range,
    "geo_bounding_box": _geo_bounding_box,
    "geo_radius": _geo_radius,
    "values_count": _values_count,
    "is_empty": lambda value: FieldIsEmpty(_boolean(value)),
    "is_null": lambda value: FieldIsNull(_boolean(value)),
}


def checked_object(
    value: object, what: str, allowed: set[str] | frozenset[str], required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The object's entries that are not null, as a new dict."""
    if not isinstance(value, dict):
        raise MalformedBody(f"invalid type: {_json_type(value)}, expected {what}")
    for name in value:
        if name not in allowed:
            expected = ", ".join(f"`{known}`" for known in sorted(allowed))
            raise MalformedBody(f"unknown field `{name}`, expected one of {expected}")
    fields = {name: field for name, field in value.items() if field is not None}
    for name in required:
        if name not in fields:
            raise MalformedBody(f"missing field `{name}`")
    return fields


def checked_list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise MalformedBody(f"invalid type: {_json_type(value)}, expected a list for {what}")
    return value


def checked_path(value: object) -> str:
    text = checked_text(value)
    parse_path(text)
    return text


def checked_text(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedBody(f"invalid type: {_json_type(value)}, expected a string")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise MalformedBody(f"invalid type: {_json_type(value)}, expected a boolean")
    return value


def checked_number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedBody(f"invalid type: {_json_type(value)}, expected a number")
    if isinstance(value, int) and not _INT64_MIN <= value <= _UINT64_MAX:
        return _as_float(value)  # a filter travels, as integers of 64 bits
    return value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise MalformedBody("number out of range") from None


def _count(value: object, maximum: int = 2**64 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise MalformedBody(f"invalid value: {_json_type(value)}, expected an unsigned integer")
    return value


def _is_int64(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and _INT64_MIN <= value <= _INT64_MAX


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'string "{value}"'
    return "a sequence" if isinstance(value, list) else "a map"
