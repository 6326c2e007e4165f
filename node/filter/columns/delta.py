"""The recent part of a column: entries appended as they are written, scanned whole by each read.

Lives here: the writer's growing arrays (``Delta``) and what a view sees of them (``DeltaView``).

Invariants: an entry once written is never changed, only marked dead; a view's arrays are prefixes of the
writer's, so taking one copies no entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.bits import Mask
from node.filter.columns.base import SlotColumn, Values

_START: Final = 64


class Codes:
    """Codes of a keyword delta's strings, in order of appearance; only ever grows.

    Shared with views: a string that came after a view has a code that none of its entries has.
    """

    def __init__(self, strings: Iterable[str] = ()) -> None:
        self.strings: list[str] = list(strings)
        self._code = {string: code for code, string in enumerate(self.strings)}

    def add(self, string: str) -> int:
        code = self._code.get(string)
        if code is None:
            code = self._code[string] = len(self.strings)
            self.strings.append(string)
        return code

    def find(self, string: str) -> int | None:
        return self._code.get(string)


class DeltaView(Struct, frozen=True, eq=False):
    """``values`` (n,), ``slots`` (n,) uint32, ``alive`` (n,) or None when all are."""

    values: Values
    slots: SlotColumn
    alive: Mask | None
    codes: Codes | None

    def within(self, intervals: Sequence[tuple[Any, Any]]) -> Mask:
        """Which entries lie in any of the closed intervals, dead ones too."""
        if self.codes is not None:
            found = (self.codes.find(low) for low, _ in intervals)
            intervals = [(code, code) for code in found if code is not None]
        if all(low == high for low, high in intervals):
            equals = np.array([low for low, _ in intervals], dtype=self.values.dtype)
            return self.values == equals[0] if len(equals) == 1 else np.isin(self.values, equals)
        hits = np.zeros(len(self.values), dtype=np.bool_)
        for low, high in intervals:
            hits |= (self.values >= low) & (self.values <= high)
        return hits

    def with_prefix(self, prefix: str) -> Mask:
        assert self.codes is not None, "prefixes are asked of keyword columns"
        starts = [string.startswith(prefix) for string in self.codes.strings[:]]
        return np.array(starts, dtype=np.bool_)[self.values]

    def slots_of(self, hits: Mask) -> SlotColumn:
        """The slots of the live ones among ``hits``, repeated if a slot has several."""
        return self.slots[hits if self.alive is None else hits & self.alive]


class Delta:
    def __init__(self, dtype: npt.DTypeLike, codes: Codes | None) -> None:
        self._values: Values = np.zeros(_START, dtype=dtype)
        self._slots: SlotColumn = np.zeros(_START, dtype=np.uint32)
        self._alive = np.ones(_START, dtype=np.bool_)
        self._any_dead = False
        self._rows: dict[int, range] = {}  # slot -> its live entries
        self._length = 0
        self._codes = codes

    @classmethod
    def restored(cls, view: DeltaView) -> Delta:
        """The writer's side of a view read back from disk."""
        delta = cls(view.values.dtype, view.codes)
        delta._values, delta._slots = view.values.copy(), view.slots.copy()
        delta._alive = np.ones(len(view.values), np.bool_) if view.alive is None else view.alive.copy()
        delta._any_dead = view.alive is not None
        delta._length = len(view.values)
        for row in np.flatnonzero(delta._alive).tolist():
            slot = int(view.slots[row])
            first = delta._rows[slot].start if slot in delta._rows else row
            delta._rows[slot] = range(first, row + 1)
        return delta

    def __len__(self) -> int:
        return self._length

    def put(self, slot: int, values: Iterable[Any]) -> None:
        """Add the entries of a slot that has none alive here."""
        first = self._length
        for value in values:
            if self._length == len(self._values):
                self._grow()
            self._values[self._length] = value if self._codes is None else self._codes.add(value)
            self._slots[self._length] = slot
            self._length += 1
        self._rows[slot] = range(first, self._length)

    def drop(self, slot: int) -> bool:
        """Mark the slot's entries dead; were there any?"""
        rows = self._rows.pop(slot, None)
        if rows is None:
            return False
        self._alive[rows.start : rows.stop] = False
        self._any_dead = True
        return True

    def _grow(self) -> None:
        # Not resized in place: views read the old arrays.
        capacity = max(_START, 2 * len(self._values))
        values, slots = np.zeros(capacity, self._values.dtype), np.zeros(capacity, np.uint32)
        alive = np.ones(capacity, np.bool_)
        length = self._length
        values[:length], slots[:length] = self._values[:length], self._slots[:length]
        alive[:length] = self._alive[:length]
        self._values, self._slots, self._alive = values, slots, alive

    def view(self) -> DeltaView:
        length = self._length
        alive = self._alive[:length].copy() if self._any_dead else None
        return DeltaView(self._values[:length], self._slots[:length], alive, self._codes)
