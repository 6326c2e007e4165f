"""From a filter to a set of slots, by payload indexes; what they leave open is left as a residue.

Each condition becomes bounds of the set of slots where it holds, and clauses combine bounds. Where lower
and upper bound differ, the caller checks the payloads of the slots between them with the residue: the
clauses that no index decides.

Lives here: the meaning of clauses over sets. May not live here: reading payloads, ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node import bits
from node.bits import PackedBits, Slots
from node.filter import predicates, slot_sets
from node.filter.check import compile_check
from node.filter.columns import ColumnsView
from node.filter.columns.view import ColumnView
from node.filter.siphash import number_hashes, uuid_hashes
from node.filter.slot_sets import EMPTY, Bounds, Space, exactly
from node.hardware import counting
from protos.filters import (
    Condition,
    FieldCondition,
    FieldIsEmpty,
    FieldIsNull,
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
    ValuesCount,
    leaves,
)
from protos.ids import PointId, id_key
from protos.json_path import WILDCARD, JsonPath, parse_path

_NUMBER_KEY: Final = 9  # bytes of a storage key: a tag and the id
_UUID_KEY: Final = 17

Residue = Callable[[PointId, dict[str, Any]], bool]


class PointLookup(Protocol):
    """What evaluation needs of ``node.storage.points.PointsView``."""

    def slot_of(self, key: bytes) -> int:
        """-1 if there is no such point."""
        ...

    def slots_of(self, keys: Sequence[bytes]) -> npt.NDArray[np.int64]: ...

    def iter_ids(self, start: bytes | None) -> Iterator[tuple[bytes, int]]:
        """Keys ascending, with their slots."""
        ...


class Context(Struct, frozen=True, eq=False):
    """One view of a shard. ``has_vector`` gives the slots with a vector of a name, none if unknown;
    ``in_buckets`` the live slots of points of these buckets."""

    columns: ColumnsView
    points: PointLookup
    live: PackedBits
    has_vector: Callable[[str], PackedBits]
    in_buckets: Callable[[bytes], PackedBits]


class Selection(Struct, frozen=True, eq=False):
    """Candidates of a filter: every match and, if there is a ``residue``, perhaps others.

    ``slots`` (n,) ascending when few, else None; ``bits``, of the size of ``live``, when ``slots`` is None.
    ``count`` is the number of candidates. ``residue`` decides a candidate by its id and decoded payload;
    it means nothing for other slots. ``definite`` are candidates that need no check.
    """

    bits: PackedBits | None
    slots: Slots | None
    count: int
    residue: Residue | None = None
    definite: PackedBits | None = None

    @property
    def exact(self) -> bool:
        return self.residue is None

    def packed(self, size: int) -> PackedBits:
        """The candidates as a bitmap of ``size`` bytes."""
        if self.bits is not None:
            return self.bits
        assert self.slots is not None
        return bits.pack(self.slots, size)


def evaluate(filter: Filter, context: Context) -> Selection:
    """Select the live slots that satisfy ``filter``."""
    evaluator = _Evaluator(context)
    clauses = evaluator.clauses(filter)
    found = slot_sets.all_of(evaluator.space, [clause.bounds for clause in clauses])
    upper, count = found.upper, found.upper.count
    if found.exact or count == 0:
        return Selection(upper.packed, upper.slots, count)
    return Selection(
        upper.packed,
        upper.slots,
        count,
        _residue(_open(clauses), context),
        found.lower.to_bits(evaluator.space.size),
    )


class _Clause(Struct, frozen=True, eq=False):
    """One of a filter's: a condition of ``must`` or ``must_not``, or all of ``should`` or ``min_should``."""

    bounds: Bounds
    must: Condition | None = None
    must_not: Condition | None = None
    should: tuple[Condition, ...] | None = None
    min_should: MinShould | None = None


def _open(clauses: Sequence[_Clause]) -> Filter:
    """Those that are not decided, as one filter; all but ``must`` and ``must_not`` occur once at most."""
    left = [clause for clause in clauses if not clause.bounds.exact]
    return Filter(
        must=tuple(clause.must for clause in left if clause.must is not None),
        should=next((clause.should for clause in left if clause.should), None),
        must_not=tuple(clause.must_not for clause in left if clause.must_not is not None),
        min_should=next((clause.min_should for clause in left if clause.min_should), None),
    )


def _residue(filter: Filter, context: Context) -> Residue:
    check = compile_check(filter, context.columns.fields)
    names = {leaf.name for leaf in leaves(filter) if isinstance(leaf, HasVector)}
    if not names:
        return lambda point_id, payload: check(point_id, payload, ())
    present = {name: context.has_vector(name) for name in names}

    def residue(point_id: PointId, payload: dict[str, Any]) -> bool:
        slot = np.array([context.points.slot_of(id_key(point_id))])
        vectors = [name for name, having in present.items() if bits.contains(having, slot)[0]]
        return check(point_id, payload, vectors)

    return residue


def _ids_by_form(
    ids: Iterable[tuple[bytes, int]],
) -> tuple[tuple[npt.NDArray[np.uint64], Slots], tuple[PackedBits, Slots]]:
    """Numbers (n,) with their slots and UUIDs (m, 16) with theirs; number keys come before UUID keys."""
    keys, slots = [], []
    for key, slot in ids:
        keys.append(key)
        slots.append(slot)
    numbers = sum(len(key) == _NUMBER_KEY for key in keys)
    slot_array = np.array(slots, dtype=np.int64)
    number_keys = np.frombuffer(b"".join(keys[:numbers]), np.uint8).reshape(-1, _NUMBER_KEY)
    uuid_keys = np.frombuffer(b"".join(keys[numbers:]), np.uint8).reshape(-1, _UUID_KEY)
    values = np.ascontiguousarray(number_keys[:, 1:]).view(">u8")[:, 0].astype(np.uint64)
    return (values, slot_array[:numbers]), (uuid_keys[:, 1:], slot_array[numbers:])


class _Evaluator:
    def __init__(self, context: Context) -> None:
        self._context = context
        self.space = Space(context.live)
        self._unknown = Bounds(EMPTY, self.space.everything)

    def clauses(self, filter: Filter) -> list[_Clause]:
        """The filter's clauses, ``must`` and ``must_not`` one by one."""
        space = self.space
        found = [_Clause(self.condition(each), must=each) for each in filter.must or ()]
        if filter.should:
            bounds = slot_sets.any_of(space, self._each(filter.should))
            found.append(_Clause(bounds, should=filter.should))
        for each in filter.must_not or ():
            bounds = slot_sets.complement(space, self.condition(each))
            found.append(_Clause(bounds, must_not=each))
        if filter.min_should is not None:
            bounds = self._min_should(filter.min_should)
            found.append(_Clause(bounds, min_should=filter.min_should))
        return found

    def _each(self, conditions: Iterable[Condition]) -> list[Bounds]:
        return [self.condition(condition) for condition in conditions]

    def _min_should(self, clause: MinShould) -> Bounds:
        return slot_sets.at_least(self.space, self._each(clause.conditions), clause.min_count)

    def condition(self, condition: Condition) -> Bounds:
        match condition:
            case FieldCondition(key=key, any_of=any_of):
                path = parse_path(key)
                return slot_sets.any_of(self.space, [self._predicate(path, each) for each in any_of])
            case IsEmpty(key=key):
                return self._is_empty(parse_path(key))
            case HasId(ids=ids):
                return exactly(self._has_id(ids))
            case HasVector(name=name):
                having = bits.fit(self._context.has_vector(name), self.space.size)
                return exactly(slot_sets.of_bits(having))
            case InBuckets(buckets=buckets):
                return exactly(
                    slot_sets.of_bits(bits.fit(self._context.in_buckets(buckets), self.space.size))
                )
            case Filter():
                parts = [clause.bounds for clause in self.clauses(condition)]
                return slot_sets.all_of(self.space, parts)
            case Nested(key=key, filter=filter):
                return self._nested(parse_path(key).elements(), filter)
            case Slice():
                return exactly(self._slice(condition))
            case IsNull(key=key):
                return self._is_null(parse_path(key))

    def _predicate(self, path: JsonPath, predicate: Predicate) -> Bounds:
        column = self._context.columns.column(path)
        if column is None:
            return self._unknown
        match predicate:
            case FieldIsEmpty(expected=expected):
                # Asked of each value a wildcard leads to, so there it can be both.
                known = column.is_empty(self.space)
                if expected and WILDCARD in path.steps:
                    return self._unknown
                return known if expected else slot_sets.complement(self.space, known)
            case FieldIsNull(expected=expected):
                known = column.is_null(self.space, inside=True)
                return known if expected else slot_sets.complement(self.space, known)
            case ValuesCount():
                count_is = predicates.within(predicate)
                return column.has_count(self.space, none=count_is(0), one=count_is(1))
        return self._of_values(column, predicate)

    def _of_value(self, path: JsonPath, predicate: Predicate) -> Bounds:
        """Of one element of a nested condition, whose other values the column cannot tell apart."""
        column = self._context.columns.column(path)
        if column is None or predicates.of_values(predicate) is not None:
            return self._unknown
        return self._of_values(column, predicate)

    def _of_values(self, column: ColumnView, predicate: Predicate) -> Bounds:
        found, usage = column.bounds(predicate, self.space.size), counting()
        if usage is not None:
            usage.payload_index_io_read += found.upper.nbytes
        return found

    def _is_empty(self, path: JsonPath) -> Bounds:
        column = self._context.columns.column(path)
        return self._unknown if column is None else column.is_empty(self.space)

    def _is_null(self, path: JsonPath) -> Bounds:
        column = self._context.columns.column(path)
        return self._unknown if column is None else column.is_null(self.space, inside=False)

    def _has_id(self, ids: Sequence[PointId]) -> slot_sets.SlotSet:
        slots = self._context.points.slots_of([id_key(point_id) for point_id in ids])
        return slot_sets.of_slots(np.unique(slots[slots >= 0]), self.space.size)

    def _slice(self, condition: Slice) -> slot_sets.SlotSet:
        numbers, uuids = _ids_by_form(self._context.points.iter_ids(None))
        parts = [
            slots[siphash % np.uint64(condition.total) == condition.index]
            for slots, siphash in ((numbers[1], number_hashes(numbers[0])), (uuids[1], uuid_hashes(uuids[0])))
        ]
        return slot_sets.of_slots(np.sort(np.concatenate(parts)), self.space.size)

    def _nested(self, base: JsonPath, filter: Filter) -> Bounds:
        """Only an upper bound: that an index has matching values does not say they share an element."""
        return Bounds(EMPTY, self._nested_upper(base, filter))

    def _nested_upper(self, base: JsonPath, filter: Filter) -> slot_sets.SlotSet:
        upper = self.space.everything
        for condition in filter.must or ():
            upper = self.space.intersect(upper, self._element_upper(base, condition))
        if filter.should:
            some = EMPTY
            for condition in filter.should:
                some = self.space.union(some, self._element_upper(base, condition))
            upper = self.space.intersect(upper, some)
        return upper

    def _element_upper(self, base: JsonPath, condition: Condition) -> slot_sets.SlotSet:
        """Slots outside of it have no element where ``condition`` holds."""
        match condition:
            case FieldCondition(key=key, any_of=any_of):
                path = base.extended(parse_path(key))
                parts = [self._of_value(path, predicate) for predicate in any_of]
                return slot_sets.any_of(self.space, parts).upper
            case Filter():
                return self._nested_upper(base, condition)
            case Nested(key=key, filter=filter):
                return self._nested_upper(base.extended(parse_path(key).elements()), filter)
            case HasId() | HasVector() | Slice() | InBuckets():
                return EMPTY
            case _:
                return self.space.everything
