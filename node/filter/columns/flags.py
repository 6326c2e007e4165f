"""Bitmaps of slots as a column's writer changes them.

``Shape`` tells slots by what stands at the field: null, an array, an array with a null in it. Only of a path
without wildcards, where at most one value stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from node import bits
from node.bits import PackedBits

_MANY: Final = 24  # slots that are worth an array


SlotsGiven = Sequence[int] | bits.Slots


def as_set(slots: Sequence[int]) -> SlotsGiven:
    """In the form in which bitmaps look so many up the fastest."""
    return slots if len(slots) < _MANY else np.array(slots, dtype=np.int64)


class Flags:
    """A growing bitmap with one writer; a copy is taken of it for views, only after changes."""

    def __init__(self, packed: PackedBits | None = None) -> None:
        self._bytes = bytearray() if packed is None else bytearray(packed)
        self._frozen: PackedBits | None = None

    def add(self, slots: Sequence[int]) -> None:
        if not slots:
            return
        self._frozen = None
        most = max(slots)
        if most >> 3 >= len(self._bytes):
            self._bytes.extend(bytes(bits.size_for(most * 5 // 4 + 512) - len(self._bytes)))
        if len(slots) < _MANY:
            for slot in slots:
                self._bytes[slot >> 3] |= 1 << (slot & 7)
            return
        array = np.array(slots, dtype=np.int64)
        np.bitwise_or.at(np.frombuffer(self._bytes, np.uint8), array >> 3, bits.bit_of(array))

    def discard(self, slots: SlotsGiven) -> list[int]:
        """Those that were in the set."""
        if not self._bytes:
            return []
        if not isinstance(slots, Sequence):
            slots = slots[bits.contains(np.frombuffer(self._bytes, np.uint8), slots)].tolist()
        found = []
        for slot in slots:
            byte, bit = slot >> 3, 1 << (slot & 7)
            if byte < len(self._bytes) and self._bytes[byte] & bit:
                self._bytes[byte] ^= bit
                found.append(slot)
        if found:
            self._frozen = None
        return found

    def packed(self) -> PackedBits:
        if self._frozen is None:
            self._frozen = np.frombuffer(bytes(self._bytes), dtype=np.uint8)
        return self._frozen

    @property
    def nbytes(self) -> int:
        return len(self._bytes)


class ShapeView(Struct, frozen=True, eq=False):
    nulls: PackedBits
    arrays: PackedBits
    arrays_with_null: PackedBits


class Shape:
    """The writer's side."""

    def __init__(self, view: ShapeView | None = None) -> None:
        self.nulls = Flags(None if view is None else view.nulls)
        self.arrays = Flags(None if view is None else view.arrays)
        self.arrays_with_null = Flags(None if view is None else view.arrays_with_null)

    def discard(self, slots: SlotsGiven) -> bool:
        """Was there anything to forget?"""
        found = [flags.discard(slots) for flags in (self.nulls, self.arrays, self.arrays_with_null)]
        return any(found)

    def view(self) -> ShapeView:
        return ShapeView(self.nulls.packed(), self.arrays.packed(), self.arrays_with_null.packed())
