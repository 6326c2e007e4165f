"""The slot space of one replica: which slots are live, which ranges are free.

Lives here: the writer's growable live bitmap, and the allotment of ranges to segments.
May not live here: what a slot holds.

Invariants: ranges start at multiples of 64 and never overlap; a range that was given back is handed out
again only when no view that could still read the old rows is left; slots stay below ``SLOTS_MAX``.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from node.bits import PackedBits, Slots, bit_of
from protos.errors import InsufficientStorage

ALIGNMENT = 64
SLOTS_MAX = 2**32 - ALIGNMENT


def aligned(slots: int) -> int:
    """``slots`` rounded up to a whole number of 64-slot words."""
    return -(-slots // ALIGNMENT) * ALIGNMENT


class LiveBits:
    """Packed bits the writer changes in place; readers get copies."""

    def __init__(self, bits: PackedBits | None = None) -> None:
        self._bits = np.zeros(0, dtype=np.uint8) if bits is None else bits.copy()

    def cover(self, slots: int) -> None:
        """Make room for slots below ``slots``."""
        size = aligned(slots) >> 3
        if size > len(self._bits):
            grown = np.zeros(max(size, len(self._bits) * 2), dtype=np.uint8)
            grown[: len(self._bits)] = self._bits
            self._bits = grown

    def set_range(self, start: int, count: int) -> None:
        self.cover(start + count)
        first, last = start >> 3, (start + count + 7) >> 3
        ones = np.zeros((last - first) << 3, dtype=np.uint8)
        ones[start - (first << 3) :][:count] = 1
        self._bits[first:last] |= np.packbits(ones, bitorder="little")

    def set(self, slots: Slots) -> None:
        if len(slots):
            self.cover(int(slots.max()) + 1)
            np.bitwise_or.at(self._bits, slots >> 3, bit_of(slots))

    def clear(self, slots: Slots) -> None:
        np.bitwise_and.at(self._bits, slots >> 3, ~bit_of(slots))

    def of_range(self, start: int, rows: int) -> npt.NDArray[np.bool_]:
        """Shape (rows,); ``start`` is aligned."""
        part = self._bits[start >> 3 : (start + rows + 7) >> 3]
        flags = np.zeros(rows, dtype=np.bool_)
        known = np.unpackbits(part, bitorder="little")[:rows]
        flags[: len(known)] = known
        return flags

    def count(self, start: int, rows: int) -> int:
        return int(np.count_nonzero(self.of_range(start, rows)))

    def snapshot(self, slots: int) -> PackedBits:
        """A read-only copy that covers at least the slots below ``slots``."""
        self.cover(slots)
        copy = self._bits[: aligned(slots) >> 3].copy()
        copy.flags.writeable = False
        return copy


class SlotRanges:
    """Hands out aligned ranges: a free one that fits, else new slots at the end."""

    def __init__(self, used: Iterable[tuple[int, int]] = ()) -> None:
        """``used`` holds (start, length) of the ranges in use; the gaps between them are free."""
        self.end = 0
        self._free: list[tuple[int, int]] = []
        self._waiting: list[tuple[int, int, list[weakref.ref[Any]]]] = []
        for start, length in sorted(used):
            assert start >= self.end, "slot ranges overlap"
            if start > self.end:
                self._free.append((self.end, start - self.end))
            self.end = start + aligned(length)

    def allot(self, length: int) -> int:
        """Return the start of a free range of ``length`` slots (rounded up to 64).

        Raises: InsufficientStorage when the slot space is used up.
        """
        self._reclaim()
        length = aligned(max(length, 1))
        for position, (start, size) in enumerate(self._free):
            if size >= length:
                self._free[position : position + 1] = (
                    [(start + length, size - length)] if size > length else []
                )
                return start
        if self.end + length > SLOTS_MAX:
            raise InsufficientStorage("the shard holds as many point versions as it can number")
        start, self.end = self.end, self.end + length
        return start

    def give_back(self, start: int, length: int, holders: Iterable[Any] = ()) -> None:
        """Free a range as soon as every one of ``holders`` (weakly referenced) is gone."""
        if length:
            self._waiting.append((start, aligned(length), [weakref.ref(holder) for holder in holders]))

    def _reclaim(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start, length, holders in waiting:
            if any(holder() is not None for holder in holders):
                self._waiting.append((start, length, holders))
            else:
                self._free.append((start, length))
        self._free = _joined(self._free)
        if self._free and sum(self._free[-1]) == self.end:
            self.end = self._free.pop()[0]


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, length in sorted(ranges):
        if joined and sum(joined[-1]) == start:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((start, length))
    return joined
