"""When a tail is settled, and the plan under long runs of writes: what is copied, built and left over."""

from __future__ import annotations

import math
import random

import pytest
from msgspec.structs import replace

from node.optimizer.plan import LEVELS_MAX, plan
from node.optimizer.quiet import PATIENCE_MS, QUIET_MS, QuietWatch
from node.optimizer.tail import EARNED_RATIO, GRAPH_BYTES_MIN, SETTLED, SETTLED_RATIO
from node.optimizer.tasks import Fold, Index, Limits, Merge, SegmentStat, Task

ROW_BYTES = 1024
LIMITS = Limits(segment_bytes_max=1 << 40)
THRESHOLD_ROWS = LIMITS.indexing_bytes // ROW_BYTES
GROWING_ROWS = (32 << 20) // ROW_BYTES
COPY_MS_PER_MIB, LINK_MS_PER_MIB = 5, 200


def test_a_tail_settles_when_writes_cease() -> None:
    watch = QuietWatch(0)
    watch.waits(0, tail=True, tidying=False)
    watch.wrote(1000)
    assert watch.due_in_ms(1000) == QUIET_MS
    assert not watch.quietness(999 + QUIET_MS).settled
    assert watch.quietness(1000 + QUIET_MS).settled


def test_a_tail_settles_after_long_under_writes_that_never_cease() -> None:
    watch = QuietWatch(0)
    for now in range(0, PATIENCE_MS, 1000):
        watch.wrote(now)
        watch.waits(now, tail=True, tidying=True)
        assert not watch.quietness(now).settled
    assert watch.quietness(PATIENCE_MS).settled


def test_the_allowance_is_kept_until_writes_cease() -> None:
    watch, old = QuietWatch(0), SegmentStat("old", 0, 640, 640, 1000, indexed=False)
    watch.done(Index(("old",)), [old])
    for now in range(0, PATIENCE_MS + 1, 1000):
        watch.wrote(now)
        watch.waits(now, tail=True, tidying=True)
    assert watch.quietness(now) == SETTLED
    assert watch.quietness(now + QUIET_MS) == watch.when_settled() != SETTLED
    watch.waits(now, tail=False, tidying=True)
    assert not watch.quietness(now).settled
    assert watch.due_in_ms(now) == QUIET_MS


def test_nothing_is_due_when_no_tail_waits() -> None:
    watch = QuietWatch(0)
    assert watch.due_in_ms(5) is None
    watch.waits(5, tail=True, tidying=True)
    watch.waits(6, tail=False, tidying=False)
    assert watch.due_in_ms(7) is None


def test_first_graphs_earn_what_tidying_spends() -> None:
    watch = QuietWatch(0)
    old = SegmentStat("old", 0, 640, 640, 1000, indexed=False)
    watch.done(Index(("old",)), [old])
    assert watch.when_settled().allowance_bytes == EARNED_RATIO * 1000
    graph, fresh = replace(old, indexed=True, graph=True), replace(old, id="new", start=640, vector_bytes=1)
    watch.done(Fold(("old", "new")), [graph, fresh])
    left = (EARNED_RATIO - 1) * 1000 + EARNED_RATIO
    assert watch.when_settled().allowance_bytes == left
    watch.done(Merge(("old", "new")), [graph, replace(fresh, graph=True)])
    assert watch.when_settled().allowance_bytes == left - 1000
    watch.done(Merge(("old", "new")), [graph, replace(graph, id="new", start=640)])
    assert watch.when_settled().allowance_bytes == left - 1000


class Shard:
    """A shard in figures: what runner and builder do to segments, a task at a time, in virtual time."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.now_ms = 0
        self.watch = QuietWatch(0)
        self.segments: list[SegmentStat] = []
        self.written = self.copied = self.linked = self.tasks = 0  # bytes, and tasks that copy
        self.worst_tail = 0
        self._ends_ms: int | None = None
        self._task: tuple[Task, list[SegmentStat]] | None = None
        self._ids = iter(range(1 << 30))

    def write(self, rows: int) -> None:
        self.written += rows * ROW_BYTES
        self.watch.wrote(self.now_ms)
        while rows:
            last = self.segments[-1] if self.segments else None
            if last is None or not last.growing or last.rows == GROWING_ROWS:
                if last is not None and last.growing:
                    self.segments[-1] = replace(last, growing=False)
                start = 0 if last is None else last.start + -(-last.rows // 64) * 64
                last = SegmentStat(str(next(self._ids)), start, 0, 0, 0, indexed=False, growing=True)
                self.segments.append(last)
            part = min(rows, GROWING_ROWS - last.rows)
            count = last.rows + part
            self.segments[-1] = replace(last, rows=count, live=count, vector_bytes=count * ROW_BYTES)
            rows -= part

    def run(self, duration_ms: int) -> None:
        """Let time pass: plans are made when something is written, is finished or may have settled."""
        end = self.now_ms + duration_ms
        while True:
            if self._ends_ms is not None and self.now_ms >= self._ends_ms:
                self._finish()
            if self._ends_ms is None:
                self._begin()
            if any(stat.graph for stat in self.segments):
                self.worst_tail = max(self.worst_tail, self.tail)
            if self.now_ms >= end:
                return
            due_ms = self.watch.due_in_ms(self.now_ms)
            if self._ends_ms is not None:
                self.now_ms = min(end, self._ends_ms)
            else:
                self.now_ms = end if due_ms is None else min(end, self.now_ms + max(1, due_ms))

    @property
    def tail(self) -> int:
        return sum(stat.vector_bytes for stat in self.segments if not stat.graph and not stat.busy)

    def _plan(self) -> list[Task]:
        tasks = plan(self.segments, self.limits)
        if tasks:
            return tasks
        tail, later = (
            plan(self.segments, self.limits, each) for each in (SETTLED, self.watch.when_settled())
        )
        self.watch.waits(self.now_ms, tail=bool(tail), tidying=bool(later))
        return plan(self.segments, self.limits, self.watch.quietness(self.now_ms))

    def _begin(self) -> None:
        for task in self._plan()[:1]:
            named = [replace(stat, growing=False) for stat in self.segments if stat.id in task.segments]
            busy = {stat.id: replace(stat, busy=True) for stat in named}
            self.segments = [busy.get(stat.id, stat) for stat in self.segments]
            graphs = [stat.vector_bytes for stat in named if stat.graph]
            copied = sum(stat.vector_bytes for stat in named) if len(named) > 1 else 0
            linked = sum(stat.vector_bytes for stat in named) - max(graphs, default=0)
            self.copied, self.linked, self.tasks = self.copied + copied, self.linked + linked, self.tasks + 1
            took = (copied * COPY_MS_PER_MIB + linked * LINK_MS_PER_MIB) >> 20
            self._task, self._ends_ms = (task, named), self.now_ms + took + 500

    def _finish(self) -> None:
        assert self._task is not None
        task, named = self._task
        self.watch.done(task, named)
        first, last = named[0], named[-1]
        rows = last.start + last.rows - first.start
        size = sum(stat.vector_bytes for stat in named)
        one = SegmentStat(first.id, first.start, rows, rows, size, indexed=True, graph=True)
        at = next(i for i, stat in enumerate(self.segments) if stat.id == first.id)
        self.segments[at : at + len(named)] = [one]
        self._task = self._ends_ms = None


def loaded(rows: int, per_second: int, limits: Limits = LIMITS) -> Shard:
    shard = Shard(limits)
    for _ in range(-(-rows // per_second)):
        shard.write(min(per_second, rows))
        shard.run(1000)
    return shard


def test_loading_less_than_the_threshold_builds_nothing_however_long_it_is_quiet() -> None:
    shard = loaded(THRESHOLD_ROWS, 2000)
    shard.run(3_600_000)
    assert shard.tasks == 0


@pytest.mark.parametrize("per_second", [500, 10_000, 100_000])
def test_a_bulk_load_links_rows_once_and_ends_with_all_in_one_graph(per_second: int) -> None:
    shard = loaded(300_000, per_second)
    shard.run(300_000)
    assert shard.tail == 0
    assert shard.linked <= 1.5 * shard.written
    assert len(shard.segments) == 1
    done = shard.tasks
    shard.run(3_600_000)
    assert shard.tasks == done


# Rows per write, and milliseconds between two: slower than ``QUIET_MS``, and faster.
TRICKLES = [(1, 10_000), (1, 500), (20, 5_000), (200, 4_000), (50, 200), (1000, 30_000)]


@pytest.mark.parametrize(("rows", "every_ms"), TRICKLES)
def test_a_trickle_after_a_bulk_load_costs_a_bounded_number_of_copies(rows: int, every_ms: int) -> None:
    shard = loaded(200_000, 50_000)
    shard.run(300_000)
    base, allowance = shard.written, shard.watch.when_settled().allowance_bytes
    shard.copied = shard.linked = shard.written = shard.worst_tail = 0
    for _ in range(2000):
        shard.write(rows)
        shard.run(every_ms)
    levels = math.ceil(math.log(base / GRAPH_BYTES_MIN, SETTLED_RATIO)) + 1
    assert shard.copied <= allowance + levels * (SETTLED_RATIO + 1) * shard.written
    assert shard.linked <= (levels + 1) * shard.written
    assert shard.worst_tail <= LIMITS.indexing_bytes + 2 * GROWING_ROWS * ROW_BYTES
    assert len(shard.segments) <= LIMITS.segments + LEVELS_MAX + 1
    shard.run(300_000)
    assert shard.tail < GRAPH_BYTES_MIN


def test_random_bursts_and_pauses_stay_within_the_same_bounds() -> None:
    for seed in range(8):
        rng = random.Random(seed)
        shard = Shard()
        for _ in range(150):
            for _ in range(rng.choice([1, 5, 40])):
                shard.write(int(10 ** rng.uniform(0, 4.3)))
                shard.run(int(10 ** rng.uniform(2, 3.5)))
            shard.run(rng.choice([0, 5_000, 120_000]))
        assert shard.linked <= 4 * shard.written, seed
        assert shard.copied <= 2 * SETTLED_RATIO * shard.written, seed
        assert len(shard.segments) <= LIMITS.segments + LEVELS_MAX + 1, seed
        shard.run(600_000)
        assert shard.tail < GRAPH_BYTES_MIN or not any(stat.graph for stat in shard.segments), seed


@pytest.mark.parametrize("segments", [1, 3, 8])
def test_given_numbers_and_sizes_of_segments_are_kept_to(segments: int) -> None:
    """By loads and bursts; what is in the graphs at the end is in about as few as may be."""
    for seed in range(4):
        rng, largest = random.Random(seed), 64 << 20
        given = replace(LIMITS, segments=segments, bare_segments=0, segment_bytes_max=largest)
        shard = loaded(rng.randrange(100_000, 400_000), rng.choice([500, 5_000, 100_000]), given)
        for _ in range(20):
            shard.write(rng.randrange(1, 20_000))
            shard.run(rng.choice([500, 20_000]))
            assert all(stat.vector_bytes <= largest for stat in shard.segments)
        shard.run(3_600_000)
        graphs = [stat for stat in shard.segments if stat.graph]
        assert len(graphs) <= max(segments + LEVELS_MAX, 2 * shard.written / largest + 1), seed
        done = shard.tasks
        shard.run(3_600_000)
        assert shard.tasks == done, seed


def test_a_deferred_load_is_copied_once_and_linked_in_one_build() -> None:
    shard = loaded(400_000, 20_000, replace(LIMITS, indexing_bytes=0))
    assert shard.copied == 0
    shard.limits = LIMITS
    shard.run(600_000)
    assert (len(shard.segments), shard.linked) == (1, shard.written)
    assert shard.copied == shard.written
