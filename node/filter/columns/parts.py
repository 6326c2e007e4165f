"""What one payload index consists of at a moment, and the slots of some of its entries.

May not live here: what a predicate wants of it (``view``, ``postings``, ``sizes``).
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from node import bits
from node.bits import PackedBits, Slots
from node.filter import slot_sets
from node.filter.columns.base import Base, SlotColumn, Spans
from node.filter.columns.delta import DeltaView
from node.filter.columns.flags import ShapeView
from node.filter.columns.kinds import Kind
from node.filter.slot_sets import SlotSet
from protos.collections import PayloadIndexParams


class ColumnParts(Struct, frozen=True, eq=False):
    """``points``: how many slots have at least one held value."""

    kind: Kind
    params: PayloadIndexParams
    base: Base
    delta: DeltaView
    stale: PackedBits  # slots whose entries in the base no longer count
    held: PackedBits
    others: PackedBits
    points: int
    shape: ShapeView | None = None

    def set_of(self, spans: Spans, recent: bits.Mask, size: int) -> SlotSet:
        """The slots of base entries at ``spans`` and of the delta's ``recent`` ones, where they count."""
        added = self.delta.slots_of(recent)
        total = sum(end - start for start, end in spans) + len(added)
        if total <= slot_sets.sparse_limit(size):
            kept = self.base.slots_of(spans)
            if len(kept) and len(self.stale):
                kept = kept[~bits.contains(self.stale, kept)]
            return SlotSet(ascending(np.concatenate([kept, added]) if len(added) else kept), None)
        packed = self.base.bits_of(spans, size)
        if len(self.stale):
            packed = packed & ~bits.fit(self.stale, size)
        return slot_sets.of_bits(packed | bits.pack(added, size) if len(added) else packed)


def ascending(slots: SlotColumn) -> Slots:
    """Unique ascending slots; those of one value in the base are that already."""
    if len(slots) > 1 and not (slots[1:] > slots[:-1]).all():
        slots = np.sort(slots)
        slots = slots[np.concatenate([[True], slots[1:] != slots[:-1]])]
    return slots.astype(np.int64)
