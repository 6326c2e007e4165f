"""How many points a filter matches, from the sizes of index ranges alone: no set of slots is made.

Lives here: bounds and expectation of clauses. May not live here: the sizes themselves (``columns``), what is
done with an estimate.

Invariant: the number of matches is between ``least`` and ``most``; ``expected`` is too, and takes conditions
for independent of each other.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

from node import bits
from node.filter import predicates
from node.filter.columns import Cardinality
from node.filter.evaluate import Context
from node.filter.slot_sets import Bounds, Space
from protos.filters import (
    Condition,
    FieldCondition,
    Filter,
    HasId,
    HasVector,
    InBuckets,
    IsEmpty,
    IsNull,
    MinShould,
    Nested,
    Predicate,
    Slice,
)
from protos.ids import id_key
from protos.json_path import JsonPath, parse_path


def estimate(filter: Filter, context: Context) -> Cardinality:
    """Of the live points that match; in microseconds per condition."""
    return _Estimator(context, bits.count(context.live)).filter(filter)


class _Estimator(Struct, frozen=True):
    """``total``: of live points."""

    context: Context
    total: int

    def filter(self, filter: Filter) -> Cardinality:
        parts = [self.condition(each) for each in filter.must or ()]
        if filter.should:
            parts.append(self._any(self._each(filter.should)))
        parts += [_inverse(self.condition(each), self.total) for each in filter.must_not or ()]
        if filter.min_should is not None:
            parts.append(self._min_should(filter.min_should))
        return self._all(parts)

    def _each(self, conditions: Iterable[Condition]) -> list[Cardinality]:
        return [self.condition(condition) for condition in conditions]

    def condition(self, condition: Condition) -> Cardinality:
        match condition:
            case FieldCondition(key=key, any_of=any_of):
                path = parse_path(key)
                return self._any([self._predicate(path, predicate) for predicate in any_of])
            case Filter():
                return self.filter(condition)
            case HasId(ids=ids):
                found = self.context.points.slots_of([id_key(point_id) for point_id in ids])
                return _exactly(len(set(found[found >= 0].tolist())))
            case HasVector(name=name):
                having = bits.fit(self.context.has_vector(name), len(self.context.live))
                return _exactly(bits.count(having & self.context.live))
            case InBuckets(buckets=buckets):
                return _exactly(bits.count(self.context.in_buckets(buckets)))
            case Slice(total=total):
                return Cardinality(0, self.total // total, self.total)
            case IsEmpty(key=key):
                column = self.context.columns.column(parse_path(key))
                return self._unknown if column is None else self._counted(column.is_empty(self._space))
            case IsNull(key=key):
                column = self.context.columns.column(parse_path(key))
                return (
                    self._unknown
                    if column is None
                    else self._counted(column.is_null(self._space, inside=False))
                )
            case Nested(key=key, filter=filter):
                return self._nested(parse_path(key).elements(), filter)

    @property
    def _space(self) -> Space:
        return Space(self.context.live)

    @property
    def _unknown(self) -> Cardinality:
        return Cardinality(0, self.total // 2, self.total)

    def _counted(self, bounds: Bounds) -> Cardinality:
        least, most = bounds.lower.count, bounds.upper.count
        return Cardinality(least, (least + most) // 2, most)

    def _predicate(self, path: JsonPath, predicate: Predicate) -> Cardinality:
        column = self.context.columns.column(path)
        if column is None or predicates.of_values(predicate) is not None:
            return self._unknown
        found = column.cardinality(predicate)
        return Cardinality(*(min(each, self.total) for each in (found.least, found.expected, found.most)))

    def _nested(self, base: JsonPath, filter: Filter) -> Cardinality:
        """Only from above: an element must satisfy all of it, and each of ``must`` bounds it."""
        most = self.total
        for condition in filter.must or ():
            if isinstance(condition, FieldCondition):
                path = base.extended(parse_path(condition.key))
                parts = [self._predicate(path, predicate) for predicate in condition.any_of]
                most = min(most, self._any(parts).most)
        return Cardinality(0, most // 2, most)

    def _all(self, parts: Sequence[Cardinality]) -> Cardinality:
        total = self.total
        least = max(0, sum(part.least for part in parts) - (len(parts) - 1) * total) if parts else total
        most = min((part.most for part in parts), default=total)
        share = math.prod(_share(part, total) for part in parts)
        return _between(least, share * total, most)

    def _any(self, parts: Sequence[Cardinality]) -> Cardinality:
        total = self.total
        least = max((part.least for part in parts), default=0)
        most = min(total, sum(part.most for part in parts))
        share = 1 - math.prod(1 - _share(part, total) for part in parts)
        return _between(least, share * total, most)

    def _min_should(self, clause: MinShould) -> Cardinality:
        """By counting: ``n`` conditions are true ``sum`` times in all, at most ``n`` times of one point."""
        parts, total, needed = self._each(clause.conditions), self.total, clause.min_count
        if needed > len(parts):
            return _exactly(0)
        surplus = sum(part.least for part in parts) - (needed - 1) * total
        least = max(0, math.ceil(surplus / (len(parts) - needed + 1)))
        most = min(total, sum(part.most for part in parts) // needed)
        chances = functools.reduce(_one_more, (_share(part, total) for part in parts), [1.0])
        return _between(least, sum(chances[needed:]) * total, most)


def _exactly(count: int) -> Cardinality:
    return Cardinality(count, count, count)


def _inverse(part: Cardinality, total: int) -> Cardinality:
    return Cardinality(total - part.most, total - part.expected, total - part.least)


def _between(least: int, expected: float, most: int) -> Cardinality:
    return Cardinality(least, min(max(round(expected), least), most), most)


def _share(part: Cardinality, total: int) -> float:
    return part.expected / total if total else 0.0


def _one_more(chances: list[float], share: float) -> list[float]:
    """The chances of 0, 1, ... conditions being true, one condition more."""
    grown = [chance * (1 - share) for chance in chances] + [0.0]
    for count, chance in enumerate(chances):
        grown[count + 1] += chance * share
    return grown
