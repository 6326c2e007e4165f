"""How many points a filter is expected to match, from the payload indexes and without evaluating it.

Conditions are taken to be independent, as Qdrant does; what no index tells is between none and all.

Lives here: the arithmetic of estimates. May not live here: reading payloads, sets of slots but their sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct

from node.filter.columns import ColumnsView
from node.filter.predicates import of_values
from protos.filters import (
    Condition,
    FieldCondition,
    FieldIsEmpty,
    Filter,
    HasId,
    MinShould,
    Predicate,
    Slice,
)
from protos.json_path import parse_path

CountOf = Callable[[FieldCondition], "Cardinality | None"]

_UNKNOWN_SHARE: Final = 0.5


class Cardinality(Struct, frozen=True):
    """``least`` <= ``expected`` <= ``most`` points."""

    least: int
    expected: int
    most: int


def estimate(filter: Filter, columns: ColumnsView, points: int, size: int) -> Cardinality:
    """Of ``points`` points in all, those that match. ``size``: bytes of the space of slots."""
    return _Estimator(points, lambda condition: _of_field(condition, columns, points, size)).filter(filter)


class _Estimator:
    def __init__(self, points: int, count_of: CountOf) -> None:
        self._points, self._count_of = points, count_of
        self._unknown = Cardinality(0, round(points * _UNKNOWN_SHARE), points)

    def filter(self, filter: Filter) -> Cardinality:
        parts = self._each(filter.must)
        if filter.should:
            parts.append(any_of(self._each(filter.should), self._points))
        parts += [complement(part, self._points) for part in self._each(filter.must_not)]
        if filter.min_should is not None:
            parts.append(self._min_should(filter.min_should))
        return all_of(parts, self._points)

    def _each(self, conditions: Iterable[Condition] | None) -> list[Cardinality]:
        return [self._condition(condition) for condition in conditions or ()]

    def _min_should(self, clause: MinShould) -> Cardinality:
        return at_least(self._each(clause.conditions), clause.min_count, self._points)

    def _condition(self, condition: Condition) -> Cardinality:
        match condition:
            case FieldCondition():
                return self._count_of(condition) or self._unknown
            case HasId(ids=ids):
                most = min(len(set(ids)), self._points)
                return Cardinality(0, most, most)
            case Slice(total=total):
                return Cardinality(0, self._points // total, self._points)
            case Filter():
                return self.filter(condition)
            case _:
                return self._unknown


def all_of(parts: Sequence[Cardinality], points: int) -> Cardinality:
    least = max(0, sum(part.least for part in parts) - max(0, len(parts) - 1) * points) if parts else points
    share = math.prod(part.expected / max(1, points) for part in parts)
    return _within(least, points * share, min((part.most for part in parts), default=points))


def any_of(parts: Sequence[Cardinality], points: int) -> Cardinality:
    missed = math.prod(1 - part.expected / max(1, points) for part in parts)
    return _within(
        max((part.least for part in parts), default=0),
        points * (1 - missed),
        min(points, sum(part.most for part in parts)),
    )


def complement(part: Cardinality, points: int) -> Cardinality:
    return Cardinality(points - part.most, points - part.expected, points - part.least)


def at_least(parts: Sequence[Cardinality], needed: int, points: int) -> Cardinality:
    """``chances[n]``: that a point satisfies exactly n of the conditions."""
    chances = [1.0]
    for part in parts:
        share = part.expected / max(1, points)
        chances = [
            (chances[n] * (1 - share) if n < len(chances) else 0.0) + (chances[n - 1] * share if n else 0.0)
            for n in range(len(chances) + 1)
        ]
    most = min(points, sum(part.most for part in parts) // max(1, needed))
    return _within(0, points * sum(chances[needed:]), most)


def _within(least: int, expected: float, most: int) -> Cardinality:
    return Cardinality(least, min(max(round(expected), least), most), most)


def _of_field(condition: FieldCondition, columns: ColumnsView, points: int, size: int) -> Cardinality | None:
    """None: no index tells."""
    column = columns.column(parse_path(condition.key))
    if column is None:
        return None
    parts = []
    for predicate in condition.any_of:
        if not _asked_of_single_values(predicate):
            return None
        bounds = column.bounds(predicate, size)
        least, most = min(bounds.lower.count, points), min(bounds.upper.count, points)
        parts.append(Cardinality(least, (least + most) // 2, most))
    return any_of(parts, points)


def _asked_of_single_values(predicate: Predicate) -> bool:
    return not isinstance(predicate, FieldIsEmpty) and of_values(predicate) is None
