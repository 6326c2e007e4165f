"""What the optimizer should do next: a pure function of segment figures and limits.

Lives here: the tasks, and the rules that choose them (reference 7.2, optimizers).
May not live here: clocks, threads, files, the running of tasks; which rows without a graph are to get one
(``tail``).

Invariants: the tasks of one plan name each segment at most once; a segment that is being rebuilt is never
named; carrying out a plan and planning again ends (every task removes what asked for it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec.structs import replace

from node.optimizer.tail import BUSY, RELINKING_RATIO, Quietness, runs, task_for
from node.optimizer.tasks import MERGE_WIDTH_MAX, Drop, Limits, Merge, SegmentStat, Task, Vacuum

MERGE_RATIO = 16  # of two segments that are merged the larger is at most so many times the smaller
LEVELS_MAX = 4  # segments of ever smaller sizes, above the wanted number; more are merged whatever it costs


def plan(stats: Sequence[SegmentStat], limits: Limits, quietness: Quietness = BUSY) -> list[Task]:
    """Every task worth doing now, most urgent first. How many run at once is the runner's business."""
    ordered = sorted(stats, key=lambda stat: stat.start)
    tasks = [task for stat in ordered if (task := _alone(stat, limits)) is not None]
    rest = _taken(ordered, tasks)
    joined = _index(rest, limits, quietness)
    tasks += joined
    if not joined and not any(stat.busy for stat in rest):
        tasks += _merge(rest, limits)
    return tasks


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


def _merge(stats: Sequence[SegmentStat], limits: Limits) -> list[Task]:
    """One run around the lightest adjacent pair: repeated, this copies each row O(log n) times.

    A segment that is small beside its neighbours is left until it has grown, or there are far too many.
    """
    settled = [stat for stat in stats if not stat.growing]
    surplus = len(settled) - limits.segments
    if surplus <= 0:
        return []
    weight, first = min(
        (left.vector_bytes + right.vector_bytes, i) for i, (left, right) in enumerate(pairwise(settled))
    )
    if weight > limits.segment_bytes_max or not (surplus > LEVELS_MAX or _alike(*settled[first : first + 2])):
        return []
    last = first + 1
    while last + 1 < len(settled) and last - first < min(surplus, MERGE_WIDTH_MAX - 1):
        heavier = settled[last + 1].vector_bytes
        if heavier > weight or weight + heavier > limits.segment_bytes_max:
            break
        weight, last = weight + heavier, last + 1
    return [Merge(tuple(stat.id for stat in settled[first : last + 1]))]


def _alike(left: SegmentStat, right: SegmentStat) -> bool:
    sizes = sorted((left.vector_bytes, right.vector_bytes))
    ratio = RELINKING_RATIO if left.relinked or right.relinked else MERGE_RATIO
    return sizes[0] * ratio >= sizes[1]
