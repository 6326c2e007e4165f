"""The buckets of the points at slots, learnt as they are asked for: only reshardings ask.

A slot of a segment is one point's for as long as the segment is there, so what is known of it stays right,
from view to view, until the replica's files are opened anew. Safe from many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from consensus.buckets import BUCKETS, buckets_of, unpack_buckets
from node import bits
from node.bits import PackedBits, Slots

if TYPE_CHECKING:
    from node.segments import SegmentView
    from node.storage.points import PointsView

_UNKNOWN: Final = BUCKETS
_CHUNK: Final = 1024  # records looked at together

Buckets = npt.NDArray[np.uint16]


class SlotBuckets:
    """Of one opening of a replica's files."""

    def __init__(self) -> None:
        self._known: dict[str, Buckets] = {}  # by segment, of each row
        self._lock = threading.Lock()

    def select(
        self, points: PointsView, segments: Sequence[SegmentView], live: PackedBits, packed: bytes
    ) -> PackedBits:
        """The live slots whose points belong to the ``packed`` set of buckets, in the size of ``live``."""
        wanted = np.append(unpack_buckets(packed), False)
        found = bits.zeros(len(live))
        for segment in segments:
            rows = bits.unpack(_live_part(live, segment))
            if not len(rows):
                continue
            known = self._of(segment)
            self._learn(points, known, rows[known[rows] == _UNKNOWN], segment.start)
            part = bits.pack(rows[wanted[known[rows]]], bits.bytes_for(segment.rows))
            found[segment.start >> 3 : (segment.start >> 3) + len(part)] = part
        self._forget(segments)
        return found

    def _of(self, segment: SegmentView) -> Buckets:
        with self._lock:
            known = self._known.get(segment.id)
            if known is None or len(known) < segment.rows:
                grown = np.full(max(segment.capacity, segment.rows), _UNKNOWN, dtype=np.uint16)
                if known is not None:
                    grown[: len(known)] = known
                known = self._known[segment.id] = grown
            return known

    @staticmethod
    def _learn(points: PointsView, known: Buckets, rows: Slots, start: int) -> None:
        for at in range(0, len(rows), _CHUNK):
            chunk = rows[at : at + _CHUNK]
            records = points.records(chunk + start)
            there = [place for place, record in enumerate(records) if record is not None]
            keys = [record.key for record in records if record is not None]
            known[chunk[there]] = buckets_of(keys)

    def _forget(self, segments: Sequence[SegmentView]) -> None:
        """Segments that are gone, when they are many."""
        with self._lock:
            if len(self._known) > 2 * len(segments) + 8:
                kept = {segment.id for segment in segments}
                self._known = {name: known for name, known in self._known.items() if name in kept}


def _live_part(live: PackedBits, segment: SegmentView) -> PackedBits:
    part = bits.fit(live[segment.start >> 3 :], bits.bytes_for(segment.rows))
    return bits.trimmed(part, segment.rows)
