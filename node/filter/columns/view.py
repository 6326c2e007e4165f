"""One payload index as a read sees it.

May not live here: how conditions combine (``node.filter.evaluate``), order (``ordering``), files.
"""

from __future__ import annotations

import numpy as np

from node import bits
from node.bits import PackedBits
from node.filter import slot_sets
from node.filter.columns import places, postings, sizes
from node.filter.columns.kinds import Others, Wanted
from node.filter.columns.parts import ColumnParts, ascending
from node.filter.columns.places import Region
from node.filter.columns.sizes import Cardinality, IndexMemory
from node.filter.slot_sets import Bounds, SlotSet, Space
from protos.filters import Predicate


class ColumnView(ColumnParts, frozen=True, eq=False):
    """The parts, and what is asked of them."""

    def bounds(self, predicate: Predicate, size: int) -> Bounds:
        """The slots where ``predicate``, one on single values, holds; in a space of ``size`` bytes."""
        wanted = self.kind.wanted(predicate)
        hits = self._hits(wanted, size)
        lower = hits if wanted.sure else slot_sets.EMPTY
        if wanted.others is Others.NONE:
            return Bounds(lower, hits)
        others = bits.fit(self.others, size)
        if not others.any():
            return Bounds(lower, hits)
        upper = slot_sets.of_bits(hits.to_bits(size) | others)
        if wanted.others is Others.ALL and wanted.sure:
            return Bounds(upper, upper)
        return Bounds(lower, upper)

    def cardinality(self, predicate: Predicate) -> Cardinality:
        """How many slots ``predicate``, one on single values, holds for; without finding them."""
        return sizes.cardinality(self, self.kind.wanted(predicate))

    def memory(self) -> IndexMemory:
        return sizes.memory(self)

    def valued(self, size: int) -> PackedBits:
        """The slots that have any value but null at the field."""
        return bits.fit(self.held, size) | bits.fit(self.others, size)

    def is_empty(self, space: Space) -> Bounds:
        """Nothing stands there but nulls and empty arrays; ``[null]`` is something."""
        valued = self.valued(space.size)
        if self.shape is None:
            return Bounds(slot_sets.EMPTY, space.subtract(space.everything, slot_sets.of_bits(valued)))
        some = valued | bits.fit(self.shape.arrays_with_null, space.size)
        return slot_sets.exactly(space.subtract(space.everything, slot_sets.of_bits(some)))

    def is_null(self, space: Space, *, inside: bool) -> Bounds:
        """A null stands there, or, if ``inside``, an array with a null in it."""
        if self.shape is None:
            return Bounds(slot_sets.EMPTY, space.everything)
        nulls = bits.fit(self.shape.nulls, space.size)
        if inside:
            nulls = nulls | bits.fit(self.shape.arrays_with_null, space.size)
        return slot_sets.exactly(space.intersect(space.everything, slot_sets.of_bits(nulls)))

    def has_count(self, space: Space, *, none: bool, one: bool) -> Bounds:
        """A predicate on the number of values, true of ``none``, of ``one`` or not; arrays are left open."""
        if self.shape is None:
            return Bounds(slot_sets.EMPTY, space.everything)
        arrays = slot_sets.of_bits(bits.fit(self.shape.arrays, space.size))
        plain = space.subtract(space.everything, arrays)
        if not (none and one):
            valued = slot_sets.of_bits(self.valued(space.size))
            with_one = space.intersect(plain, valued)
            without = space.subtract(plain, valued)
            plain = with_one if one else without if none else slot_sets.EMPTY
        if not bits.count(self.shape.arrays):
            return slot_sets.exactly(plain)
        return Bounds(plain, space.union(plain, space.intersect(space.everything, arrays)))

    def _hits(self, wanted: Wanted, size: int) -> SlotSet:
        if wanted.tokens is not None:
            return postings.having(self, wanted.tokens, size, in_a_row=wanted.phrase)
        if wanted.region is not None:
            return self._within(wanted.region, size)
        if wanted.prefix is not None:
            return self.set_of(
                self.base.spans_of_prefix(wanted.prefix), self.delta.with_prefix(wanted.prefix), size
            )
        if wanted.intervals is None:
            return slot_sets.of_bits(bits.fit(self.held, size))
        spans, recent = self.base.spans(wanted.intervals), self.delta.within(wanted.intervals)
        if wanted.inverted:
            spans, recent = self.base.gaps(spans), ~recent
        return self.set_of(spans, recent, size)

    def _within(self, region: Region, size: int) -> SlotSet:
        at = self.base.positions_of(places.spans_within(self.base, region))
        inside = region.contains(places.points_of(self.base.extras, at))
        slots = self.base.slots[at][inside]
        if len(self.stale):
            slots = slots[~bits.contains(self.stale, slots)]
        hits = region.contains(places.points_of(self.delta.extras))
        found = np.concatenate([slots, self.delta.slots_of(hits)])
        if len(found) > slot_sets.sparse_limit(size):
            return slot_sets.of_bits(bits.pack(found, size))
        return SlotSet(ascending(found), None)
