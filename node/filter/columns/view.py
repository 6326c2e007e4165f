"""One payload index as a read sees it.

May not live here: how conditions combine (``node.filter.evaluate``), order (``ordering``), files.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from node import bits
from node.bits import PackedBits, Slots
from node.filter import slot_sets
from node.filter.columns.base import Base, SlotColumn, Spans
from node.filter.columns.delta import DeltaView
from node.filter.columns.kinds import Kind, Others, Wanted
from node.filter.slot_sets import Bounds, SlotSet
from protos.collections import PayloadIndexParams
from protos.filters import Predicate


class ColumnView(Struct, frozen=True, eq=False):
    """``points``: how many slots have at least one held value."""

    kind: Kind
    params: PayloadIndexParams
    base: Base
    delta: DeltaView
    stale: PackedBits  # slots whose entries in the base no longer count
    held: PackedBits
    others: PackedBits
    points: int

    def bounds(self, predicate: Predicate, size: int) -> Bounds:
        """The slots where ``predicate``, one on single values, holds; in a space of ``size`` bytes."""
        wanted = self.kind.wanted(predicate)
        hits = self._hits(wanted, size)
        lower = hits if wanted.sure else slot_sets.EMPTY
        others = bits.fit(self.others, size)
        if wanted.others is Others.NONE or not others.any():
            return Bounds(lower, hits)
        upper = slot_sets.of_bits(hits.to_bits(size) | others)
        if wanted.others is Others.ALL and wanted.sure:
            return Bounds(upper, upper)
        return Bounds(lower, upper)

    def valued(self, size: int) -> PackedBits:
        """The slots that have any value but null at the field."""
        return bits.fit(self.held, size) | bits.fit(self.others, size)

    def _hits(self, wanted: Wanted, size: int) -> SlotSet:
        if wanted.prefix is not None:
            return self._set(
                self.base.spans_of_prefix(wanted.prefix), self.delta.with_prefix(wanted.prefix), size
            )
        if wanted.intervals is None:
            return slot_sets.of_bits(bits.fit(self.held, size))
        spans, recent = self.base.spans(wanted.intervals), self.delta.within(wanted.intervals)
        if wanted.inverted:
            spans, recent = self.base.gaps(spans), ~recent
        return self._set(spans, recent, size)

    def _set(self, spans: Spans, recent: bits.Mask, size: int) -> SlotSet:
        added = self.delta.slots_of(recent)
        total = sum(end - start for start, end in spans) + len(added)
        if total <= slot_sets.sparse_limit(size):
            kept = self.base.slots_of(spans)
            if len(kept):
                kept = kept[~bits.contains(self.stale, kept)]
            return SlotSet(_ascending(np.concatenate([kept, added])), None)
        packed = self.base.bits_of(spans, size) & ~bits.fit(self.stale, size)
        return slot_sets.of_bits(packed | bits.pack(added, size) if len(added) else packed)


def _ascending(slots: SlotColumn) -> Slots:
    """Unique ascending slots; those of one value in the base are that already."""
    if len(slots) > 1 and not np.all(slots[1:] > slots[:-1]):
        slots = np.unique(slots)
    return slots.astype(np.int64)
