"""Which slots have which value of a payload index, for the values that many slots have.

May not live here: what such groups are for (``node.optimizer``).
"""

from __future__ import annotations

from collections.abc import Iterator

from node import bits
from node.bits import PackedBits, Slots
from node.filter.columns.tally import tally
from node.filter.columns.view import ColumnView
from node.filter.slot_sets import Space
from protos.facets import FacetValue
from protos.filters import MatchValue


def groups(view: ColumnView, among: PackedBits, least: int) -> Iterator[tuple[FacetValue, Slots]]:
    """Each value that at least ``least`` of the slots ``among`` have, with those slots, ascending.

    A slot with several values is in several groups.
    """
    space = Space(among)
    for value, count in tally(view, among, None):
        if count < least:
            return  # by descending count
        having = view.bounds(MatchValue(value), space.size).upper
        yield value, bits.unpack(space.intersect(having, space.everything).to_bits(space.size))
