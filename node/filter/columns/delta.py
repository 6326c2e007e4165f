"""The recent part of a column: entries appended as they are written, scanned whole by each read.

Lives here: the writer's growing arrays (``Delta``) and what a view sees of them (``DeltaView``).

Invariants: an entry once written is never changed, only marked dead; the entries of a slot stand together; a
view's arrays are prefixes of the writer's, so taking one copies no entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.bits import Mask, Slots
from node.filter.columns.base import Extras, SlotColumn, Values

_START: Final = 64


class Codes(dict[str, int]):
    """Codes of a delta's strings, in order of appearance; looking one up adds it, ``get`` does not.

    Shared with views: a string that came after a view has a code that none of its entries has.
    """

    def __init__(self, strings: Iterable[str] = ()) -> None:
        self.strings: list[str] = list(strings)
        super().__init__((string, code) for code, string in enumerate(self.strings))

    def __missing__(self, string: str) -> int:
        code = self[string] = len(self.strings)
        self.strings.append(string)
        return code


class Entries(Struct, frozen=True, eq=False):
    """What some slots hold: (slots[i], values[i], each extra's [i]), those of one slot together."""

    slots: Slots
    values: Sequence[Any] | Values
    extras: Extras = {}


class DeltaView(Struct, frozen=True, eq=False):
    """``values`` (n,), ``slots`` (n,) uint32, ``alive`` (n,) or None when all are, ``extras`` (n, ...)."""

    values: Values
    slots: SlotColumn
    alive: Mask | None
    codes: Codes | None
    extras: Extras = {}

    def within(self, intervals: Sequence[tuple[Any, Any]]) -> Mask:
        """Which entries lie in any of the closed intervals, dead ones too."""
        if not len(self.values):
            return np.zeros(0, dtype=np.bool_)
        if self.codes is not None:
            found = (self.codes.get(low) for low, _ in intervals)
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

    def living(self, hits: Mask) -> Mask:
        return hits if self.alive is None else hits & self.alive

    def slots_of(self, hits: Mask) -> SlotColumn:
        """The slots of the live ones among ``hits``, repeated if a slot has several."""
        return self.slots[self.living(hits)] if len(hits) else self.slots


class Delta:
    def __init__(self, dtype: npt.DTypeLike, codes: Codes | None, extras: Extras) -> None:
        """``extras``: arrays of the shapes and types to keep beside each value; their rows are not read."""
        self._arrays: dict[str, npt.NDArray[Any]] = {
            "values": np.zeros(_START, dtype=dtype),
            "slots": np.zeros(_START, dtype=np.uint32),
            "alive": np.ones(_START, dtype=np.bool_),
            **{name: np.zeros((_START, *array.shape[1:]), array.dtype) for name, array in extras.items()},
        }
        self._extras = tuple(extras)
        self._any_dead = False
        self._first: dict[int, int] = {}  # slot -> the first of its live entries
        self._length = 0
        self._codes = codes

    @classmethod
    def restored(cls, view: DeltaView) -> Delta:
        """The writer's side of a view read back from disk, or of the tail of one."""
        delta = cls(view.values.dtype, view.codes, view.extras)
        alive = np.ones(len(view.values), np.bool_) if view.alive is None else view.alive.copy()
        delta._arrays = {"values": view.values.copy(), "slots": view.slots.copy(), "alive": alive}
        delta._arrays |= {name: array.copy() for name, array in view.extras.items()}
        delta._any_dead = view.alive is not None
        delta._length = len(view.values)
        rows = np.flatnonzero(alive)[::-1]  # the first of a slot comes last and stays
        delta._first = dict(zip(view.slots[rows].tolist(), rows.tolist(), strict=True))
        return delta

    def __len__(self) -> int:
        return self._length

    def put(self, entries: Entries) -> None:
        """Add the entries of slots that have none alive here."""
        first, end = self._length, self._length + len(entries.slots)
        if end > len(self._arrays["values"]):
            self._grow(end)
        values = entries.values if self._codes is None else list(map(self._codes.__getitem__, entries.values))
        self._arrays["values"][first:end] = values
        self._arrays["slots"][first:end] = entries.slots
        for name in self._extras:
            self._arrays[name][first:end] = entries.extras[name]
        if end - first == 1:
            self._first[int(entries.slots[0])] = first
        else:
            self._index(entries.slots, first)
        self._length = end

    def _index(self, slots: Slots, first: int) -> None:
        begins = np.flatnonzero(np.diff(slots, prepend=-1))
        self._first.update(zip(slots[begins].tolist(), (begins + first).tolist(), strict=True))

    def drop(self, slots: Sequence[int]) -> list[int]:
        """Mark the slots' entries dead; those of ``slots`` that had none here."""
        missing = []
        for slot in slots:
            row = self._first.pop(slot, None)
            if row is None:
                missing.append(slot)
                continue
            self._any_dead = True
            held, alive = self._arrays["slots"], self._arrays["alive"]
            while row < self._length and held[row] == slot:
                alive[row] = False
                row += 1
        return missing

    def _grow(self, needed: int) -> None:
        # Not resized in place: views read the old arrays.
        capacity = max(needed, 2 * len(self._arrays["values"]))
        for name, old in self._arrays.items():
            grown = np.zeros((capacity, *old.shape[1:]), old.dtype)
            grown[: self._length] = old[: self._length]
            if name == "alive":
                grown[self._length :] = True
            self._arrays[name] = grown

    def view(self) -> DeltaView:
        length, arrays = self._length, self._arrays
        return DeltaView(
            arrays["values"][:length],
            arrays["slots"][:length],
            arrays["alive"][:length].copy() if self._any_dead else None,
            self._codes,
            {name: arrays[name][:length] for name in self._extras},
        )

    def after(self, start: int) -> Delta:
        """The entries from ``start`` on, as a delta of its own, with the codes it needs."""
        view = self.view()
        values, codes = view.values[start:], self._codes
        if codes is not None:
            fresh = Codes()
            values = np.array([fresh[codes.strings[code]] for code in values.tolist()], values.dtype)
            codes = fresh
        alive = None if view.alive is None else view.alive[start:]
        extras = {name: array[start:] for name, array in view.extras.items()}
        return Delta.restored(DeltaView(values, view.slots[start:], alive, codes, extras))
