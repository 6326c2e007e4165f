"""The words of the plan: figures of segments, limits, tasks.

Lives here: structs, and limits out of a collection's settings. May not live here: decisions.
"""

from __future__ import annotations

from msgspec import Struct

KIB = 1024
AUTO_SEGMENTS = 1  # each graph that a search walks costs nearly as much as one of all rows
AUTO_SEGMENT_BYTES_PER_THREAD = 256_000 * KIB  # at least
AUTO_SEGMENT_BYTES_PER_THREAD_MAX = 4 << 30  # linked within half an hour
BARE_SEGMENTS_MAX = 64  # without graphs; a search scores all their rows, however they are divided
MERGE_WIDTH_MAX = 64  # segments joined by one task


class SegmentStat(Struct, frozen=True):
    """``rows`` written and ``live`` current ones; ``vector_bytes`` of the name that has most of them."""

    id: str
    start: int
    rows: int
    live: int
    vector_bytes: int
    indexed: bool  # every vector name that should have a graph or an inverted index has the right one
    graph: bool = False  # some vector name has one, right or not
    relinked: bool = False  # likewise graphs that are built anew whenever it is joined
    growing: bool = False
    busy: bool = False  # a task is rebuilding it now

    @property
    def linked(self) -> bool:
        return self.graph or self.relinked

    @property
    def live_bytes(self) -> int:
        return self.vector_bytes * self.live // max(1, self.rows)


class Limits(Struct, frozen=True):
    """``indexing_bytes`` 0 defers all indexing; ``tasks_max`` 0 switches the optimizer off.

    ``segments`` wanted in all, beside which so many ``bare_segments`` (without graphs) do no harm.
    """

    indexing_bytes: int = 10_000 * KIB
    deleted_ratio: float = 0.2
    vacuum_rows_min: int = 1000
    segments: int = AUTO_SEGMENTS
    bare_segments: int = BARE_SEGMENTS_MAX
    segment_bytes_max: int = AUTO_SEGMENT_BYTES_PER_THREAD
    tasks_max: int = 1


class Task(Struct, frozen=True, tag=True):
    segments: tuple[str, ...]


class Drop(Task, frozen=True):
    """No row is live: forget the segment."""


class Vacuum(Task, frozen=True):
    """Copy the live rows to new slots."""


class Index(Task, frozen=True):
    """Build the graphs of one segment, or of adjacent ones joined into one. Growing ones are sealed first."""


class Fold(Task, frozen=True):
    """Join segments without graphs to a neighbour that has one, and continue its graph; seals likewise."""


class Merge(Task, frozen=True):
    """Join adjacent segments because there are too many."""


def limits(
    *,
    cores: int,
    buildable_bytes: int | None,
    indexing_threshold_kb: int | None,
    deleted_threshold: float,
    vacuum_min_vector_number: int,
    default_segment_number: int,
    max_segment_size_kb: int | None,
    max_optimization_threads: int | None,
) -> Limits:
    """Limits from a collection's optimizer settings; None and 0 mean automatic where Qdrant says so.

    ``buildable_bytes``: vectors of a segment that can be rebuilt here; None: not known.
    """
    defaults = Limits()
    return Limits(
        indexing_bytes=defaults.indexing_bytes
        if indexing_threshold_kb is None
        else indexing_threshold_kb * KIB,
        deleted_ratio=deleted_threshold,
        vacuum_rows_min=vacuum_min_vector_number,
        segments=default_segment_number or AUTO_SEGMENTS,
        bare_segments=0 if default_segment_number else BARE_SEGMENTS_MAX,
        segment_bytes_max=max_segment_size_kb * KIB
        if max_segment_size_kb
        else _auto_segment_bytes(max(1, cores), buildable_bytes),
        tasks_max=max(1, cores // 2) if max_optimization_threads is None else max_optimization_threads,
    )


def _auto_segment_bytes(cores: int, buildable_bytes: int | None) -> int:
    """As much as can be rebuilt in reasonable time and memory, and never less than in Qdrant."""
    least, most = cores * AUTO_SEGMENT_BYTES_PER_THREAD, cores * AUTO_SEGMENT_BYTES_PER_THREAD_MAX
    return max(least, most if buildable_bytes is None else min(most, buildable_bytes))
