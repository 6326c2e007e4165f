"""What the optimizer should do next: a pure function of segment figures and limits.

Lives here: the tasks, and the rules that choose them (reference 7.2, optimizers).
May not live here: clocks, threads, files, the running of tasks.

Invariants: the tasks of one plan name each segment at most once; a segment that is being rebuilt is never
named; carrying out a plan and planning again ends (every task removes what asked for it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

KIB = 1024
AUTO_SEGMENT_BYTES_PER_THREAD = 256_000 * KIB
AUTO_SEGMENTS_MIN, AUTO_SEGMENTS_MAX = 2, 8
MERGE_WIDTH_MAX = 16  # segments joined by one task


class SegmentStat(Struct, frozen=True):
    """``rows`` written and ``live`` current ones; ``vector_bytes`` of the name that has most of them."""

    id: str
    start: int
    rows: int
    live: int
    vector_bytes: int
    indexed: bool  # every vector name that should have a graph has the right one
    growing: bool = False
    busy: bool = False  # a task is rebuilding it now


class Limits(Struct, frozen=True):
    """``indexing_bytes`` 0 defers all indexing; ``tasks_max`` 0 switches the optimizer off."""

    indexing_bytes: int = 10_000 * KIB
    deleted_ratio: float = 0.2
    vacuum_rows_min: int = 1000
    segments: int = 2
    segment_bytes_max: int = AUTO_SEGMENT_BYTES_PER_THREAD
    tasks_max: int = 1


class Task(Struct, frozen=True, tag=True):
    segments: tuple[str, ...]


class Seal(Task, frozen=True):
    """Close the growing segment; a later plan indexes it."""


class Drop(Task, frozen=True):
    """No row is live: forget the segment."""


class Vacuum(Task, frozen=True):
    """Copy the live rows to new slots."""


class Index(Task, frozen=True):
    """Build the graphs of one segment, or of adjacent ones joined into one."""


class Merge(Task, frozen=True):
    """Join adjacent segments because there are too many."""


def limits(
    *,
    cores: int,
    indexing_threshold_kb: int | None,
    deleted_threshold: float,
    vacuum_min_vector_number: int,
    default_segment_number: int,
    max_segment_size_kb: int | None,
    max_optimization_threads: int | None,
) -> Limits:
    """Limits from a collection's optimizer settings; None and 0 mean automatic where Qdrant says so."""
    defaults = Limits()
    threads = max(1, cores)
    return Limits(
        indexing_bytes=defaults.indexing_bytes
        if indexing_threshold_kb is None
        else indexing_threshold_kb * KIB,
        deleted_ratio=deleted_threshold,
        vacuum_rows_min=vacuum_min_vector_number,
        segments=default_segment_number or min(max(cores, AUTO_SEGMENTS_MIN), AUTO_SEGMENTS_MAX),
        segment_bytes_max=max_segment_size_kb * KIB
        if max_segment_size_kb
        else threads * AUTO_SEGMENT_BYTES_PER_THREAD,
        tasks_max=max(1, cores // 2) if max_optimization_threads is None else max_optimization_threads,
    )


def plan(stats: Sequence[SegmentStat], limits: Limits) -> list[Task]:
    """Every task worth doing now, most urgent first. How many run at once is the runner's business."""
    ordered = sorted(stats, key=lambda stat: stat.start)
    tasks: list[Task] = []
    rest: list[SegmentStat] = []
    for stat in ordered:
        task = _alone(stat, limits)
        if task is not None:
            tasks.append(task)
            stat = replace(stat, busy=True)  # breaks the runs it stood in
        rest.append(stat)
    joined = _index(rest, limits)
    tasks += joined
    if not joined and not any(stat.busy for stat in rest):
        tasks += _merge(rest, limits)
    return tasks


def _alone(stat: SegmentStat, limits: Limits) -> Task | None:
    if stat.busy:
        return None
    if stat.growing:
        full_enough = limits.indexing_bytes and stat.vector_bytes > limits.indexing_bytes
        return Seal((stat.id,)) if full_enough else None
    if stat.live == 0:
        return Drop((stat.id,))
    deleted = stat.rows - stat.live
    if stat.rows > limits.vacuum_rows_min and deleted / stat.rows > limits.deleted_ratio:
        return Vacuum((stat.id,))
    return None


def _index(stats: Sequence[SegmentStat], limits: Limits) -> list[Task]:
    """Runs of adjacent segments without graphs, joined while they fit: one build instead of many."""
    if not limits.indexing_bytes:
        return []
    return [
        Index(tuple(stat.id for stat in run))
        for run in _runs(stats, limits, lambda stat: not stat.indexed)
        if sum(stat.vector_bytes for stat in run) > limits.indexing_bytes
    ]


def _merge(stats: Sequence[SegmentStat], limits: Limits) -> list[Task]:
    """One run around the lightest adjacent pair: repeated, this copies each row O(log n) times."""
    settled = [stat for stat in stats if not stat.growing]
    if len(settled) <= limits.segments:
        return []
    pairs = [
        (left.vector_bytes + right.vector_bytes, position)
        for position, (left, right) in enumerate(pairwise(settled))
    ]
    weight, first = min(pairs)
    if weight > limits.segment_bytes_max:
        return []
    last = first + 1
    surplus = len(settled) - limits.segments
    while last + 1 < len(settled) and last - first < min(surplus, MERGE_WIDTH_MAX - 1):
        heavier = settled[last + 1].vector_bytes
        if heavier > weight or weight + heavier > limits.segment_bytes_max:
            break
        weight, last = weight + heavier, last + 1
    return [Merge(tuple(stat.id for stat in settled[first : last + 1]))]


def _runs(
    stats: Sequence[SegmentStat], limits: Limits, wanted: Callable[[SegmentStat], bool]
) -> Iterator[list[SegmentStat]]:
    """Neighbours by slot that are all ``wanted``, free to be rebuilt, and together not too large."""
    run: list[SegmentStat] = []
    weight = 0
    for stat in stats:
        fits = weight + stat.vector_bytes <= limits.segment_bytes_max and len(run) < MERGE_WIDTH_MAX
        free = wanted(stat) and not stat.busy and not stat.growing
        if run and not (free and fits):
            yield run
            run, weight = [], 0
        if free:
            run.append(stat)
            weight += stat.vector_bytes
    if run:
        yield run
