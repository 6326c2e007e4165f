"""Constraints on the parts of a filter, whatever form it came in: parts that exist keep them.

``path`` is where the part stands in the request, for the texts of broken constraints.
Source: reference 1.4, 10, 18.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protos.errors import InvalidField, MalformedBody
from protos.filters.tree import (
    Condition,
    FieldCondition,
    GeoPoint,
    MinShould,
    Predicate,
    Slice,
)

FILTER_DEPTH_MAX: Final = 32  # filters within filters; bounds every later recursion
_EXCLUSIVE: Final = ("values_count", "is_empty", "is_null")


def check_depth(depth: int) -> None:
    """Raises: MalformedBody."""
    if depth > FILTER_DEPTH_MAX:
        raise MalformedBody(f"filters may be nested at most {FILTER_DEPTH_MAX} deep")


def min_should(conditions: tuple[Condition, ...], min_count: int, path: str) -> MinShould:
    """Raises: InvalidField."""
    if min_count < 1:
        raise InvalidField(
            f"{path}.min_count", f"value {min_count} invalid, min_count must be greater than 0"
        )
    return MinShould(conditions, min_count)


def slice_of(total: int, index: int, path: str) -> Slice:
    """Raises: InvalidField."""
    if total < 1:
        raise InvalidField(f"{path}.total", f"value {total} invalid, must be 1 or larger")
    if index >= total:
        raise InvalidField(f"{path}.index", f"value {index} invalid, must be {total - 1} or smaller")
    return Slice(total, index)


def field_condition(key: str, predicates: Mapping[str, Predicate], path: str) -> FieldCondition:
    """``predicates`` by the API's name of the operator; some of them leave no room for others.

    Raises: InvalidField if there are none.
    """
    if not predicates:
        raise InvalidField(path, "At least one field condition must be specified")
    for exclusive in _EXCLUSIVE:
        if exclusive in predicates:
            return FieldCondition(key, (predicates[exclusive],))
    return FieldCondition(key, tuple(predicates.values()))


def geo_point(lon: float, lat: float) -> GeoPoint:
    """Raises: MalformedBody."""
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise MalformedBody(
            f"Wrong geo point: expected `lat` = {lat} within [-90;90] and `lon` = {lon} within [-180;180]"
        )
    return GeoPoint(lon, lat)


def ring(points: tuple[GeoPoint, ...], path: str) -> tuple[GeoPoint, ...]:
    """Raises: InvalidField unless it is closed."""
    if len(points) < 4:
        raise InvalidField(path, f"value invalid, the size must be at least 4, got {len(points)}")
    if points[0] != points[-1]:
        raise InvalidField(
            path, "value invalid, the first and the last points should be same to form a closed line"
        )
    return points
