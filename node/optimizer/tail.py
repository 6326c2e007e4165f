"""Which rows without a graph get one, and in which segment: a pure function, like the rest of the plan.

Rows that no graph holds are the tail: every search scores all of them. A shard that has no graph keeps its
tail until it is above the indexing threshold, as Qdrant's does. In a shard that has one, a tail above the
threshold is taken at once, a smaller one when writes have ceased or it has waited long
(``Quietness.settled``). It is folded into a neighbour's graph where that is worth the copying, or else
becomes a small graph of its own, which later merges take.

The copying is amortised. A fold copies at most ``BUSY_RATIO`` (settled: ``SETTLED_RATIO``) bytes per byte of
tail, so a slow trickle of writes does not copy a large segment again and again. Only out of an allowance,
which first graphs earn and such folds spend, is a smaller tail folded: so what is left over after a bulk load
goes into its graph. Out of the same allowance a small graph is merged with a large one when writes have
ceased.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from node.optimizer.tasks import KIB, MERGE_WIDTH_MAX, Fold, Index, Limits, Merge, SegmentStat, Task

BUSY_RATIO, SETTLED_RATIO = 16, 64
MERGE_RATIO = 16  # of segments that are merged the largest is at most so many times the others
RELINKING_RATIO = 4  # where joining means more than copying
EARNED_RATIO = 4  # bytes that may be copied to tidy up, for each that got its first graph
GRAPH_BYTES_MIN = 1024 * KIB  # scoring less costs no more than walking another graph
_ALIGNMENT = 64  # slots; segments start at multiples of it


class Quietness(Struct, frozen=True):
    """``settled``: the tail is to be taken in though it is small. ``allowance_bytes``: see the module."""

    settled: bool = False
    allowance_bytes: int = 0


BUSY, SETTLED = Quietness(), Quietness(settled=True)


def task_for(
    run: Sequence[SegmentStat], stats: Sequence[SegmentStat], limits: Limits, quietness: Quietness
) -> Task | None:
    """What to do now with ``run``, neighbours among ``stats`` (ascending) whose rows should be in graphs."""
    live = sum(stat.live_bytes for stat in run)
    if not live:
        return None
    above = live > limits.indexing_bytes
    if not above and not any(stat.linked for stat in (stats if quietness.settled else run)):
        return None
    ids = tuple(stat.id for stat in run)
    home = _home(run, stats, limits, quietness)
    if home is not None:
        return Fold((home.id, *ids) if home.start < run[0].start else (*ids, home.id))
    large_enough = above or live >= GRAPH_BYTES_MIN or any(stat.linked for stat in run)
    return Index(ids) if large_enough else None


def spent_bytes(task: Task, stats: Sequence[SegmentStat]) -> int:
    """What ``task`` takes from the allowance; below 0: it adds to it."""
    named = [stat for stat in stats if stat.id in task.segments]
    fresh = sum(stat.vector_bytes for stat in named if not stat.linked)
    copied = sum(stat.vector_bytes for stat in named if stat.linked)
    if isinstance(task, Merge):
        return 0 if are_alike(named) else _largest(named)
    earned = fresh * EARNED_RATIO if isinstance(task, Index | Fold) else 0
    return copied - earned if isinstance(task, Fold) and fresh * SETTLED_RATIO < copied else -earned


def are_alike(stats: Sequence[SegmentStat]) -> bool:
    """Is the largest of these segments so small beside the others that joining them is worth the copying?"""
    ratio = RELINKING_RATIO if any(stat.relinked for stat in stats) else MERGE_RATIO
    return (sum(stat.vector_bytes for stat in stats) - _largest(stats)) * ratio >= _largest(stats)


def are_paid(stats: Sequence[SegmentStat], allowance_bytes: int) -> bool:
    """Does the allowance cover joining these segments, though they are not alike?"""
    return _largest(stats) <= allowance_bytes and not any(stat.relinked for stat in stats)


def _largest(stats: Sequence[SegmentStat]) -> int:
    return max(stat.vector_bytes for stat in stats)


def runs(
    stats: Sequence[SegmentStat], limits: Limits, wanted: Callable[[SegmentStat], bool]
) -> Iterator[list[SegmentStat]]:
    """Neighbours by slot that are all ``wanted``, free to be rebuilt, and together not too large."""
    run: list[SegmentStat] = []
    weight = 0
    for stat in stats:
        fits = weight + stat.vector_bytes <= limits.segment_bytes_max and len(run) < MERGE_WIDTH_MAX
        free = wanted(stat) and not stat.busy and stat.rows > 0
        if run and not (free and fits):
            yield run
            run, weight = [], 0
        if free:
            run.append(stat)
            weight += stat.vector_bytes
    if run:
        yield run


def _home(
    run: Sequence[SegmentStat], stats: Sequence[SegmentStat], limits: Limits, quietness: Quietness
) -> SegmentStat | None:
    """The lightest neighbour whose graph may take ``run``, so that all slots stay as they are."""
    ids = [stat.id for stat in stats]
    first, last = ids.index(run[0].id), ids.index(run[-1].id)
    sides = [(stat, [stat, *run]) for stat in stats[max(0, first - 1) : first]]
    sides += [(stat, [*run, stat]) for stat in stats[last + 1 : last + 2]]
    fresh = sum(stat.vector_bytes for stat in run)
    fitting = [
        stat
        for stat, joined in sides
        if stat.linked
        and stat.indexed
        and not stat.busy
        and stat.vector_bytes <= min(_copied_max(stat, fresh, quietness), limits.segment_bytes_max - fresh)
        and _adjacent(joined)
    ]
    return min(fitting, key=lambda stat: stat.vector_bytes, default=None)


def _copied_max(home: SegmentStat, fresh: int, quietness: Quietness) -> int:
    if home.relinked:
        return fresh * RELINKING_RATIO
    return max(fresh * (SETTLED_RATIO if quietness.settled else BUSY_RATIO), quietness.allowance_bytes)


def _adjacent(stats: Sequence[SegmentStat]) -> bool:
    """Does each one's range begin where the one before it ends (growing ones: will end)?"""
    ends = [stat.start + -(-stat.rows // _ALIGNMENT) * _ALIGNMENT for stat in stats]
    return all(end == stat.start for end, stat in zip(ends[:-1], stats[1:], strict=True))
