"""What one predicate says of the values at a path (reference 10.2), compiled to a closure.

May not live here: how conditions combine (``check``), sets of slots (``evaluate``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from node.filter import geo
from protos.datetimes import parse_datetime
from protos.errors import MalformedBody
from protos.filters import (
    DatetimeRange,
    FieldIsEmpty,
    FieldIsNull,
    GeoBoundingBox,
    GeoPolygon,
    GeoRadius,
    MatchAny,
    MatchExcept,
    MatchPrefix,
    MatchText,
    MatchValue,
    Predicate,
    Range,
    TextMode,
    ValuesCount,
)
from protos.ids import parse_point_id

_Match = MatchValue | MatchAny | MatchExcept
OfValue = Callable[[Any], bool]  # of one value, arrays flattened
OfValues = Callable[[list[Any]], bool]  # of all values at the path, arrays as they are


def of_values(predicate: Predicate) -> OfValues | None:
    """The predicates that look at the values as a whole; None for the others."""
    if isinstance(predicate, ValuesCount):
        return _values_count(predicate)
    if isinstance(predicate, FieldIsEmpty):
        return _any_is(_is_empty_value, predicate.expected, of_missing=True)
    if isinstance(predicate, FieldIsNull):
        return _any_is(_is_null_value, predicate.expected, of_missing=False)
    return None


def _any_is(test: OfValue, expected: bool, *, of_missing: bool) -> OfValues:
    """Field forms ask it of each value a wildcard leads to, and are true if any answers as expected."""
    return lambda values: (
        any(test(value) is expected for value in values) if values else of_missing is expected
    )


def _is_empty_value(value: Any) -> bool:
    return value is None or value == []


def _is_null_value(value: Any) -> bool:
    return value is None or (isinstance(value, list) and None in value)


def is_empty(values: list[Any]) -> bool:
    """Nothing there, or only nulls and empty arrays; ``[null]`` is something."""
    return all(map(_is_empty_value, values))


def is_null(values: list[Any]) -> bool:
    return any(value is None for value in values)


def _values_count(bounds: ValuesCount) -> OfValues:
    inside = within(bounds)
    return lambda values: any(inside(_length(value)) for value in values) if values else inside(0)


def _length(value: Any) -> int:
    if isinstance(value, list):
        return len(value)
    return 0 if value is None else 1


def of_value(predicate: Predicate, *, uuid_index: bool) -> OfValue:
    """The closure for a predicate on single values.

    Args:
        uuid_index: the field has one, so strings are compared as UUIDs where they are some.
    """
    match predicate:
        case MatchValue() | MatchAny() | MatchExcept():
            return _match_uuid(predicate) if uuid_index else _match(predicate)
        case MatchText():
            return _match_text(predicate)
        case MatchPrefix(prefix=prefix):
            return lambda value: isinstance(value, str) and value.startswith(prefix)
        case Range():
            inside = within(predicate)
            return lambda value: type(value) in (int, float) and inside(value)
        case DatetimeRange():
            return _datetime_range(predicate)
        case GeoBoundingBox():
            return _geo(geo.in_bounding_box(predicate))
        case GeoRadius():
            return _geo(geo.in_radius(predicate))
        case GeoPolygon():
            return _geo(geo.in_polygon(predicate))
    raise AssertionError(f"{predicate} is about all values")


def _match(predicate: _Match) -> OfValue:
    """Types must be equal too: Python's 1 == 1.0 == True is not Qdrant's."""
    if isinstance(predicate, MatchValue):
        wanted, kind = predicate.value, type(predicate.value)
        return lambda value: type(value) is kind and value == wanted
    listed = frozenset(predicate.values)
    kinds = {type(value) for value in listed}
    if isinstance(predicate, MatchAny):
        return lambda value: type(value) in kinds and value in listed
    return lambda value: value is not None and not (type(value) in kinds and value in listed)


def uuid_of(value: str) -> str | None:
    """The canonical text of a UUID in one of the forms simple, hyphenated, urn or braced; else None."""
    try:
        return str(parse_point_id(value))
    except MalformedBody:
        return None


def _match_uuid(predicate: _Match) -> OfValue:
    test = _match(_canonical_operands(predicate))
    return lambda value: test((uuid_of(value) or value) if isinstance(value, str) else value)


def _canonical_operands(
    predicate: MatchValue | MatchAny | MatchExcept,
) -> _Match:
    if isinstance(predicate, MatchValue):
        value = predicate.value
        return MatchValue((uuid_of(value) or value) if isinstance(value, str) else value)
    strings = tuple(uuid_of(value) or value for value in predicate.values if isinstance(value, str))
    return type(predicate)(strings) if strings else predicate


def _match_text(predicate: MatchText) -> OfValue:
    if predicate.mode is TextMode.TEXT_ANY:
        tokens = predicate.text.split()
        return lambda value: isinstance(value, str) and any(token in value for token in tokens)
    text = predicate.text
    return lambda value: isinstance(value, str) and text in value


def within(bounds: Range | DatetimeRange | ValuesCount) -> Callable[[int | float], bool]:
    lt, gt, lte, gte = bounds.lt, bounds.gt, bounds.lte, bounds.gte

    def inside(value: int | float) -> bool:
        return (
            (lt is None or value < lt)
            and (gt is None or value > gt)
            and (lte is None or value <= lte)
            and (gte is None or value >= gte)
        )

    return inside


def _datetime_range(bounds: DatetimeRange) -> OfValue:
    inside = within(bounds)

    def test(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        micros = parse_datetime(value)
        return micros is not None and inside(micros)

    return test


def _geo(contains: geo.Contains) -> OfValue:
    def test(value: Any) -> bool:
        point = geo.point_of(value)
        return point is not None and contains(*point)

    return test
