"""Vectors by slot range: the growing segment, finished ones, and the process that builds them.

Lives here: files of vectors and graphs, their life cycle (grow, seal, index, merge, compact), search within
one segment. May not live here: points, payloads, which slots are live (callers bring packed bits), when to
build what (``node.optimizer``), deletion of directories that readers may still hold.

Invariants: a segment owns a contiguous slot range starting at a multiple of 64; a row never changes; a
directory with a manifest is complete and durable, one without is a growing segment or a leftover.
"""

from node.segments.build import remove_leftovers, run_build
from node.segments.errors import (
    BuildFailed,
    BuildTooLarge,
    SegmentCorrupted,
    SegmentError,
    SegmentFull,
    SegmentIncomplete,
)
from node.segments.growing import GrowingSegment
from node.segments.jobs import BuildJob, BuildResult, CompactJob, IndexJob, MergeJob, Source
from node.segments.schema import VectorSchema, schema_of
from node.segments.sealed import SealedSegment, is_finished, old_slots, seal
from node.segments.view import SegmentView

__all__ = [
    "BuildFailed",
    "BuildJob",
    "BuildResult",
    "BuildTooLarge",
    "CompactJob",
    "GrowingSegment",
    "IndexJob",
    "MergeJob",
    "SealedSegment",
    "SegmentCorrupted",
    "SegmentError",
    "SegmentFull",
    "SegmentIncomplete",
    "SegmentView",
    "Source",
    "VectorSchema",
    "is_finished",
    "old_slots",
    "remove_leftovers",
    "run_build",
    "schema_of",
    "seal",
]
