"""The slots a read may return: packed bits, or sorted slots when they are few.

Lives here: that set, and its cut to one segment. What puts a slot into it is ``matching``'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from node import bits
from node.bits import Mask, PackedBits, Slots

if TYPE_CHECKING:
    from node.query.view_port import View
    from node.segments import SegmentView


class Allowed(Struct, frozen=True, eq=False):
    """At least one of ``packed`` and ``slots`` (ascending) is there; ``count``: how many slots it holds.

    ``every_row``: it holds every row of every segment of its view, so that nothing need be masked.
    """

    count: int
    packed: PackedBits | None = None
    slots: Slots | None = None
    every_row: bool = False

    def part(self, segment: SegmentView) -> tuple[PackedBits | None, int]:
        """Packed bits over the segment's rows (None: all) and how many are set.

        Bits past its last row mean nothing.
        """
        if self.every_row:
            return None, segment.rows
        size = (segment.rows + 7) >> 3
        if self.slots is not None:
            first, last = np.searchsorted(self.slots, (segment.start, segment.start + segment.rows))
            return _pack_few(self.slots[first:last] - segment.start, size), int(last - first)
        assert self.packed is not None
        packed = bits.fit(self.packed[segment.start >> 3 :], size)
        return packed, bits.count(packed)

    def contains(self, slots: Slots) -> Mask:
        if self.packed is not None:
            return bits.contains(self.packed, slots)
        assert self.slots is not None
        return np.isin(slots, self.slots)

    def to_slots(self) -> Slots:
        """Ascending."""
        if self.slots is not None:
            return self.slots
        assert self.packed is not None
        return bits.unpack(self.packed)

    def to_bits(self, size: int) -> PackedBits:
        """In a space of ``size`` bytes."""
        if self.packed is not None:
            return bits.fit(self.packed, size)
        assert self.slots is not None
        return bits.pack(self.slots, size)


def allow_live(view: View) -> Allowed:
    """Every point of the view."""
    points = view.points.count
    rows = sum(segment.rows for segment in view.segments)
    return Allowed(points, packed=view.live, every_row=points == rows)


def allow_slots(slots: Slots) -> Allowed:
    """``slots``: ascending and distinct."""
    return Allowed(len(slots), slots=slots)


def _pack_few(rows: Slots, size: int) -> PackedBits:
    """Cheaper than packing flags while the rows are far fewer than the space."""
    packed = bits.zeros(size)
    np.bitwise_or.at(packed, rows >> 3, np.uint8(1) << (rows & 7).astype(np.uint8))
    return packed
