"""Vectors by slot range: the growing segment, and finished ones.

Lives here: files of vectors and graphs, growing and sealing, search within one segment; how finished ones are
made of others (indexed, merged, compacted) is in ``building``, which nothing else here knows of.
May not live here: points, payloads, which slots are live (callers bring packed bits), when to build what
(``node.optimizer``), deletion of directories that readers may still hold.

Invariants: a segment owns a contiguous slot range starting at a multiple of 64; a row never changes; a
directory with a manifest is complete and durable, one without is a growing segment or a leftover.
"""

from node.segments.errors import (
    BuildFailed,
    BuildTooLarge,
    SegmentCorrupted,
    SegmentError,
    SegmentFull,
    SegmentIncomplete,
)
from node.segments.growing import GrowingSegment
from node.segments.schema import VectorSchema, schema_of
from node.segments.sealed import SealedSegment, is_finished, old_slots, seal
from node.segments.view import SegmentView

__all__ = [
    "BuildFailed",
    "BuildTooLarge",
    "GrowingSegment",
    "SealedSegment",
    "SegmentCorrupted",
    "SegmentError",
    "SegmentFull",
    "SegmentIncomplete",
    "SegmentView",
    "VectorSchema",
    "is_finished",
    "old_slots",
    "schema_of",
    "seal",
]
