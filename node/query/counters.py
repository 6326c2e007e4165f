"""Counting and locating vectors on a view: who has one, how many are indexed.

Lives here: what collection info and ``has_vector`` read from segments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from node import bits
from node.bits import PackedBits
from node.query.schema import vector_names

if TYPE_CHECKING:
    from node.query.view_port import View
    from node.segments import SegmentView


class Counters(Struct, frozen=True):
    """``vectors``: live vectors by name; ``indexed_vectors``: those in a graph, over all names."""

    vectors: dict[str, int]
    indexed_vectors: int


def count_vectors(view: View) -> Counters:
    vectors = dict.fromkeys(vector_names(view), 0)
    indexed = 0
    for segment in view.segments:
        for name in vectors:
            if name not in segment.names:
                continue
            live = bits.count(_live_with_vector(view, segment, name))
            vectors[name] += live
            if segment.graph(name) is not None:
                indexed += live
    return Counters(vectors, indexed)


def present_bits(view: View, name: str) -> PackedBits:
    """The live slots that have this vector; none when the collection has no vector of that name."""
    whole = bits.zeros(len(view.live))
    if name not in vector_names(view):
        return whole
    for segment in view.segments:
        if name in segment.names:
            part = _live_with_vector(view, segment, name)
            whole[segment.start >> 3 : (segment.start >> 3) + len(part)] = part
    return whole


def _live_with_vector(view: View, segment: SegmentView, name: str) -> PackedBits:
    live = bits.fit(view.live[segment.start >> 3 :], (segment.rows + 7) >> 3)
    present = segment.dense(name)[1]
    return live if present is None else live & present[: len(live)]
