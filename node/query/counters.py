"""Counting and locating vectors on a view: who has one, how many are indexed.

Lives here: what collection info and ``has_vector`` read from segments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from node import bits
from node.bits import PackedBits
from node.query.schema import vector_names
from node.segments.kinds import is_indexed
from protos.shard import SegmentInfo

if TYPE_CHECKING:
    from node.query.view_port import View
    from node.segments import SegmentView


class Counters(Struct, frozen=True):
    """``vectors``: live vectors by name; ``indexed_vectors``: those in an index, over all names."""

    vectors: dict[str, int]
    indexed_vectors: int
    segments: list[SegmentInfo]


def count_vectors(view: View) -> Counters:
    vectors = dict.fromkeys(vector_names(view), 0)
    segments = [_describe(view, segment) for segment in view.segments]
    for segment in segments:
        for name, count in segment.vectors.items():
            vectors[name] += count
    indexed = sum(sum(segment.indexed_vectors.values()) for segment in segments)
    return Counters(vectors, indexed, segments)


def _describe(view: View, segment: SegmentView) -> SegmentInfo:
    names = [name for name in vector_names(view) if name in segment.names]
    vectors = {name: bits.count(_live_with_vector(view, segment, name)) for name in names}
    return SegmentInfo(
        id=segment.id,
        rows=segment.rows,
        points=bits.count(_live(view, segment)),
        vectors=vectors,
        indexed_vectors={name: vectors[name] for name in names if is_indexed(segment.vectors(name))},
        vector_bytes=sum(segment.vectors(name).rows.nbytes for name in names),
        disk_bytes=segment.bytes_on_disk,
        appendable=segment.rows < segment.capacity,
    )


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
    live = _live(view, segment)
    present = segment.vectors(name).present
    return live if present is None else live & present[: len(live)]


def _live(view: View, segment: SegmentView) -> PackedBits:
    return bits.fit(view.live[segment.start >> 3 :], (segment.rows + 7) >> 3)
