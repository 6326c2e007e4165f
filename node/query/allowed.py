"""The slots a read may return: packed bits, or sorted slots when they are few.

Lives here: that set, and its cut to one segment. What puts a slot into it is ``matching``'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from node import bits
from node.bits import Mask, PackedBits, Slots
from node.query.per_view import PerView

if TYPE_CHECKING:
    from node.query.view_port import View
    from node.segments import SegmentView


class Part(Struct, frozen=True, eq=False):
    """Rows of one segment: ``packed`` bits (those past its last row mean nothing) or ``rows`` (ascending),
    whichever they are known by; neither: all. ``count`` of them."""

    count: int
    packed: PackedBits | None = None
    rows: Slots | None = None


class Allowed(Struct, frozen=True, eq=False):
    """At least one of ``packed`` and ``slots`` (ascending) is there; ``count``: how many slots it holds.

    ``every_row``: it holds every row of every segment of its view, so that nothing need be masked.
    """

    count: int
    packed: PackedBits | None = None
    slots: Slots | None = None
    every_row: bool = False

    def part(self, segment: SegmentView) -> Part:
        """What of it lies in the segment."""
        if self.every_row:
            return Part(segment.rows)
        if self.slots is not None:
            start, slots = segment.start, self.slots
            first = int(slots.searchsorted(start)) if start else 0
            rows = slots[first : int(slots.searchsorted(start + segment.rows))]
            return Part(len(rows), rows=rows - start if start else rows)
        assert self.packed is not None
        packed = bits.fit(self.packed[segment.start >> 3 :], bits.bytes_for(segment.rows))
        return Part(bits.count(packed), packed=packed)

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


def _allow_live(view: View) -> Allowed:
    points = view.points.count
    rows = sum(segment.rows for segment in view.segments)
    return Allowed(points, packed=view.live, every_row=points == rows)


live_of = PerView(_allow_live)
"""Every point of the view."""


def allow_slots(slots: Slots) -> Allowed:
    """``slots``: ascending and distinct."""
    return Allowed(len(slots), slots=slots)
