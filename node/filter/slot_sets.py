"""Sets of slots, sparse or dense, and bounds of sets that are not fully known.

A ``SlotSet`` is sorted slots when few and packed bits when many; operations keep that choice. ``Bounds``
encloses an unknown set between two known ones, and its operations are those of interval arithmetic.

Invariants: nothing is changed after it is made; sparse slots are ascending and unique; dense bits have
the size of the space, and no set has slots outside of it; in ``Bounds`` the lower set is part of the
upper one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from node import bits
from node.bits import PackedBits, Slots

_SPARSE_SHARE: Final = 32  # fewer than one slot in so many: a list of slots is the cheaper form


class SlotSet(Struct, frozen=True, eq=False):
    """Exactly one of ``slots`` and ``packed`` is not None."""

    slots: Slots | None
    packed: PackedBits | None

    @property
    def count(self) -> int:
        if self.slots is not None:
            return len(self.slots)
        assert self.packed is not None
        return bits.count(self.packed)

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in (self.slots, self.packed) if part is not None)

    def to_bits(self, size: int) -> PackedBits:
        if self.packed is not None:
            return self.packed
        assert self.slots is not None
        return bits.pack(self.slots, size)


EMPTY: Final = SlotSet(np.empty(0, dtype=np.int64), None)


def sparse_limit(size: int) -> int:
    """The most slots worth listing in a space of ``size`` bytes."""
    return max(64, size * 8 // _SPARSE_SHARE)


def of_bits(packed: PackedBits) -> SlotSet:
    return SlotSet(None, packed)


def of_slots(slots: Slots, size: int) -> SlotSet:
    """The set of unique ascending ``slots``."""
    if len(slots) > sparse_limit(size):
        return SlotSet(None, bits.pack(slots, size))
    return SlotSet(slots, None)


def intersection(a: SlotSet, b: SlotSet) -> SlotSet:
    """Of sets in one space."""
    if a.packed is not None and b.packed is not None:
        return of_bits(a.packed & b.packed)
    if a.slots is None or (b.slots is not None and len(b.slots) < len(a.slots)):
        a, b = b, a
    assert a.slots is not None
    if b.slots is not None:
        return SlotSet(_common(a.slots, b.slots), None)
    assert b.packed is not None
    return SlotSet(a.slots[bits.contains(b.packed, a.slots)], None)


def _common(few: Slots, many: Slots) -> Slots:
    """What two ascending arrays of unique slots share."""
    if not len(few):
        return few
    at = np.minimum(np.searchsorted(many, few), len(many) - 1)
    common: Slots = few[many[at] == few]
    return common


class Space(Struct, frozen=True, eq=False):
    """Operations on sets in a space of ``live`` slots, which is also the set of all."""

    live: PackedBits

    @property
    def size(self) -> int:
        return len(self.live)

    @property
    def everything(self) -> SlotSet:
        return SlotSet(None, self.live)

    def intersect(self, a: SlotSet, b: SlotSet) -> SlotSet:
        if a.packed is self.live:
            return b
        return a if b.packed is self.live else intersection(a, b)

    def union(self, a: SlotSet, b: SlotSet) -> SlotSet:
        if a.slots is not None and b.slots is not None:
            if not len(a.slots) or not len(b.slots):
                return b if not len(a.slots) else a
            return of_slots(np.union1d(a.slots, b.slots), self.size)
        if a is EMPTY or b is EMPTY:
            return b if a is EMPTY else a
        return of_bits(a.to_bits(self.size) | b.to_bits(self.size))

    def subtract(self, a: SlotSet, b: SlotSet) -> SlotSet:
        if a.slots is not None:
            if b.slots is not None:
                return SlotSet(np.setdiff1d(a.slots, b.slots, assume_unique=True), None)
            assert b.packed is not None
            return SlotSet(a.slots[~bits.contains(b.packed, a.slots)], None)
        assert a.packed is not None
        return of_bits(a.packed & ~b.to_bits(self.size))

    def at_least(self, sets: Sequence[SlotSet], needed: int) -> SlotSet:
        """The slots that are in at least ``needed`` of ``sets``."""
        if needed > len(sets):
            return EMPTY
        hits = np.zeros(self.size * 8, dtype=np.uint32)
        for each in sets:
            hits += np.unpackbits(each.to_bits(self.size), bitorder="little")
        return of_bits(np.packbits(hits >= needed, bitorder="little"))


class Bounds(Struct, frozen=True, eq=False):
    """A set that holds all of ``lower`` and nothing outside ``upper``; known exactly when they are one."""

    lower: SlotSet
    upper: SlotSet

    @property
    def exact(self) -> bool:
        return self.lower is self.upper


def exactly(known: SlotSet) -> Bounds:
    return Bounds(known, known)


def all_of(space: Space, parts: Sequence[Bounds]) -> Bounds:
    lower = upper = space.everything
    exact = True
    for part in parts:
        upper = space.intersect(upper, part.upper)
        exact = exact and part.exact
        lower = upper if exact else space.intersect(lower, part.lower)
    return Bounds(lower, upper)


def any_of(space: Space, parts: Sequence[Bounds]) -> Bounds:
    lower = upper = EMPTY
    exact = True
    for part in parts:
        upper = space.union(upper, part.upper)
        exact = exact and part.exact
        lower = upper if exact else space.union(lower, part.lower)
    return Bounds(lower, upper)


def complement(space: Space, part: Bounds) -> Bounds:
    upper = space.subtract(space.everything, part.lower)
    return Bounds(upper if part.exact else space.subtract(space.everything, part.upper), upper)


def at_least(space: Space, parts: Sequence[Bounds], needed: int) -> Bounds:
    upper = space.at_least([part.upper for part in parts], needed)
    if all(part.exact for part in parts):
        return exactly(upper)
    return Bounds(space.at_least([part.lower for part in parts], needed), upper)
