"""Groups in the making: which hits belong together, which groups lack some, which filters find those. Pure.

Lives here: the rules of grouping (reference 9.13). May not live here: asking (``asking``).

A point belongs to a group per value at the key; one that has a value there that is neither a string nor an
integer of 64 bits belongs to none. Groups are ordered by their best hit, hits as the query ranks them; among
equals the first found is first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from protos.filters import Condition, FieldCondition, Filter, HasId, IsEmpty, MatchAny, MatchExcept, Predicate
from protos.ids import PointId
from protos.json_path import flat_values_at, parse_path
from protos.shard import Hits, Record

GroupId = str | int

_INT_MIN, _INT_MAX, _UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1
_decode = msgspec.json.Decoder(dict).decode


class Hit(Struct, frozen=True):
    score: float
    record: Record


class Group(Struct, frozen=True):
    """``hits`` best first; ``lookup``: the point of another collection that has the group's id."""

    id: GroupId
    hits: list[Hit]
    lookup: Record | None = None


class Collector:
    """``ascending``: smaller scores are better."""

    def __init__(self, key: str, *, limit: int, size: int, ascending: bool) -> None:
        self._key, self._path = key, parse_path(key)
        self._limit, self._size = limit, size
        self._sign = 1 if ascending else -1
        self._groups: dict[GroupId, list[Hit]] = {}
        self._seen: dict[PointId, None] = {}

    @property
    def enough(self) -> bool:
        """Are there as many groups as wanted, full or not?"""
        return len(self._groups) >= self._limit

    def add(self, hits: Hits) -> None:
        """Take hits whose payloads have the key; those that are known already are left alone."""
        for record, score in zip(hits.records, hits.scores.tolist()):
            if record.id in self._seen:
                continue
            self._seen[record.id] = None
            hit = Hit(score, record)
            for value in self._values(record):
                self._groups.setdefault(value, []).append(hit)

    def _values(self, record: Record) -> Iterable[GroupId]:
        values = flat_values_at(_decode(record.payload or b"{}"), self._path)
        return dict.fromkeys(values) if all(map(_is_group_id, values)) else ()

    def best(self) -> list[Group]:
        """The groups found, at most as many and as large as wanted."""
        groups = [
            Group(value, sorted(hits, key=self._rank)[: self._size]) for value, hits in self._groups.items()
        ]
        return sorted(groups, key=lambda group: self._rank(group.hits[0]))[: self._limit]

    def _rank(self, hit: Hit) -> float:
        return self._sign * hit.score

    # --- what to ask for next ------------------------------------------------------------------------------

    def missing(self) -> dict[GroupId, int]:
        """How many hits each of the best groups lacks, if it lacks any."""
        lacking = {group.id: self._size - len(group.hits) for group in self.best()}
        return {value: count for value, count in lacking.items() if count}

    def others(self, filter: Filter | None) -> Filter:
        """Points that match ``filter``, were not seen, and may belong to another group than the full ones."""
        full = [value for value, hits in self._groups.items() if len(hits) >= self._size]
        must = _on(self._key, full, MatchExcept)
        return self._unseen(filter, must, (IsEmpty(self._key),))

    def members(self, filter: Filter | None, groups: Iterable[GroupId]) -> Filter:
        """Points of the ``groups`` that match ``filter`` and were not seen."""
        return self._unseen(filter, (Filter(should=_on(self._key, list(groups), MatchAny)),), ())

    def _unseen(
        self, filter: Filter | None, must: tuple[Condition, ...], must_not: tuple[Condition, ...]
    ) -> Filter:
        must = must if filter is None else (filter, *must)
        return Filter(must=must or None, must_not=(*must_not, HasId(tuple(self._seen))))


def _is_group_id(value: Any) -> bool:
    return type(value) is str or (type(value) is int and _INT_MIN <= value <= _UINT_MAX)


def _on(
    key: str, groups: Sequence[GroupId], match: Callable[[tuple[str | int, ...]], Predicate]
) -> tuple[Condition, ...]:
    """A condition on strings and one on integers, if there are any; filters know integers of 64 bits only."""
    texts = tuple(value for value in groups if isinstance(value, str))
    numbers = tuple(value for value in groups if isinstance(value, int) and value <= _INT_MAX)
    return tuple(FieldCondition(key, (match(values),)) for values in (texts, numbers) if values)
