"""What the optimizer should do next: a pure function of segment figures and limits.

Lives here: the tasks, and the rules that choose them (reference 7.2, optimizers).
May not live here: clocks, threads, files, the running of tasks; which rows without a graph are to get one
(``tail``).

Invariants: the tasks of one plan name each segment at most once; a segment that is being rebuilt is never
named; carrying out a plan and planning again ends (every task removes what asked for it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from node.optimizer.tail import BUSY, SETTLED, Quietness, are_alike, are_paid, runs, task_for
from node.optimizer.tasks import MERGE_WIDTH_MAX, Drop, Limits, Merge, SegmentStat, Task, Vacuum

LEVELS_MAX = 4  # segments of ever smaller sizes, above the wanted number; more are merged whatever it costs


def plan(stats: Sequence[SegmentStat], limits: Limits, quietness: Quietness = BUSY) -> list[Task]:
    """Every task worth doing now, most urgent first. How many run at once is the runner's business."""
    ordered = sorted(stats, key=lambda stat: stat.start)
    tasks = [task for stat in ordered if (task := _alone(stat, limits)) is not None]
    rest = _taken(ordered, tasks)
    joined = _index(rest, limits, quietness)
    tasks += joined
    if not joined and not any(stat.busy for stat in rest):
        tasks += _merge(rest, limits, quietness.allowance_bytes)
    return tasks


def is_optimized(stats: Sequence[SegmentStat], limits: Limits, allowance_bytes: int) -> bool:
    """Is nothing to be done, now or when writes cease, that searches would notice?

    Not: folding what is so little that scoring it costs nothing.
    """
    ordered = sorted(stats, key=lambda stat: stat.start)
    return not plan(stats, limits, SETTLED) and not _merge(ordered, limits, allowance_bytes)


def _taken(stats: Sequence[SegmentStat], tasks: Iterable[Task]) -> list[SegmentStat]:
    """Segments of ``tasks`` are busy, which breaks the runs they stood in."""
    named = {segment for task in tasks for segment in task.segments}
    return [replace(stat, busy=True) if stat.id in named else stat for stat in stats]


def _alone(stat: SegmentStat, limits: Limits) -> Task | None:
    if stat.busy or stat.growing:
        return None
    if stat.live == 0:
        return Drop((stat.id,))
    deleted = stat.rows - stat.live
    if stat.rows > limits.vacuum_rows_min and deleted / stat.rows > limits.deleted_ratio:
        return Vacuum((stat.id,))
    return None


def _index(stats: Sequence[SegmentStat], limits: Limits, quietness: Quietness) -> list[Task]:
    """Runs of adjacent segments without graphs, joined while they fit: one build instead of many."""
    if not limits.indexing_bytes:
        return []
    tasks: list[Task] = []
    for run in runs(stats, limits, lambda stat: not stat.indexed):
        task = task_for(run, _taken(stats, tasks), limits, quietness)
        tasks += [task] if task is not None else []
    return tasks


def _merge(stats: Sequence[SegmentStat], limits: Limits, allowance_bytes: int) -> list[Task]:
    """The lightest neighbours that are worth it: repeated, this copies each row O(log n) times.

    A segment that is small beside its neighbours is left until it has grown, or there are far too many, or
    the allowance (``tail``) covers the copying. Without graphs nothing is won as long as there are not many.
    """
    settled = [stat for stat in stats if not stat.growing]
    bare = sum(not stat.linked for stat in settled)
    surplus = len(settled) - (bare if bare <= limits.bare_segments else 0) - limits.segments
    if surplus <= 0:
        return []
    width_max = min(MERGE_WIDTH_MAX, len(settled) - limits.segments + 1)

    def is_worth_it(run: Sequence[SegmentStat]) -> bool:
        if bare <= limits.bare_segments and not any(stat.linked for stat in run):
            return False
        far_too_many = surplus > LEVELS_MAX and len(run) == 2
        return far_too_many or are_alike(run) or are_paid(run, allowance_bytes)

    worth = _neighbours(settled, width_max, limits.segment_bytes_max, is_worth_it)
    run = min(worth, key=_weight, default=None)
    if run is None:
        return []
    following = settled[settled.index(run[-1]) + 1 :][: width_max - len(run)]
    for stat in following:
        if not stat.vector_bytes <= _weight(run) <= limits.segment_bytes_max - stat.vector_bytes:
            break
        run = [*run, stat]
    return [Merge(tuple(stat.id for stat in run))]


def _neighbours(
    stats: Sequence[SegmentStat],
    width_max: int,
    bytes_max: int,
    wanted: Callable[[Sequence[SegmentStat]], bool],
) -> Iterator[Sequence[SegmentStat]]:
    """Runs of two and more, of those that begin with the same segment the shortest that is ``wanted``."""
    for first in range(len(stats) - 1):
        for end in range(first + 2, min(first + width_max, len(stats)) + 1):
            run = stats[first:end]
            if _weight(run) > bytes_max:
                break
            if wanted(run):
                yield run
                break


def _weight(stats: Iterable[SegmentStat]) -> int:
    return sum(stat.vector_bytes for stat in stats)
