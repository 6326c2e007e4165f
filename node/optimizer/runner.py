"""Carrying out the plan beside the writes of one replica.

Lives here: when to plan, how many builds run, retries, and the swap of finished segments into the replica.
May not live here: what to do (``plan``), how a segment is built (``node.segments``).

Builds run in processes of their own; only the swaps run in the replica's writer thread. Deletes that come
during a build need no care: the live bits say what counts. A compaction moves points to new slots in steps,
each of which leaves every point in exactly one segment, so reads and checkpoints may come in between. A build
that needs more memory than its share is split, or waits and says so.

Invariants: a segment that a task works on is ``busy`` until its task ended; a failed task leaves every point
readable; at most ``tasks_max`` tasks run per replica, and a bounded number of builds per process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from node.bits import Slots
from node.measures import BUILDS_FAILED, BUILDS_FINISHED, BUILDS_RUNNING, BUILDS_WAITING
from node.optimizer.budget import BuildMemory, JoinLimit
from node.optimizer.journal import Journal
from node.optimizer.ordering import ordered
from node.optimizer.plan import is_optimized, plan
from node.optimizer.quiet import QuietWatch
from node.optimizer.stats import limits_of, stats_of, wanted_graphs, wanted_sparse, wanted_values
from node.optimizer.tail import SETTLED
from node.optimizer.tasks import Drop, Fold, Index, Limits, SegmentStat, Task, Vacuum
from node.optimizer.values import groups_of
from node.replica.contents import Contents
from node.replica.segment_set import new_segment_id
from node.replica.slots import aligned
from node.segments import BuildTooLarge, SealedSegment, SegmentError, old_slots
from node.segments.building import CompactJob, IndexJob, MergeJob, Source, run_build
from node.segments.building.jobs import AnyJob
from node.segments.placement import placements_of
from node.workers import WorkerPool, to_its_end
from protos.clock import Clock
from protos.collections import Memory
from protos.logger import get_logger
from protos.shard import ShardStatus
from protos.tasks import end_all

log = get_logger()

REMAP_POINTS = 4096  # moved per step of a compaction; writes wait for one step at most
RETRY_MIN_S, RETRY_MAX_S = 1.0, 300.0
PLAN_INTERVAL_S = 0.2  # between two plans at least: each counts all live bits
SETTLING_MIN_S = 0.05  # between two looks at the clock

OnWriter = Callable[..., Awaitable[Any]]


class Optimizer:
    """``on_writer`` runs a function in the replica's writer thread; ``builds`` bounds all builds."""

    def __init__(
        self,
        contents: Contents,
        *,
        on_writer: OnWriter,
        background: WorkerPool,
        builds: asyncio.Semaphore,
        memory: BuildMemory,
        cores: int,
        clock: Clock,
        changed: Callable[[], None],
        ceiling: Memory = Memory.PINNED,
    ) -> None:
        """``changed`` is called after segments have changed: there is something to checkpoint. ``ceiling``:
        no file is kept in memory more than that, whatever the settings of the collection."""
        self._contents, self._on_writer, self._background = contents, on_writer, background
        self._builds, self._cores, self._changed = builds, cores, changed
        self._memory, self._clock, self._ceiling = memory, clock, ceiling
        self._joining = JoinLimit()
        self._quiet = QuietWatch(clock.monotonic_ms())
        self._busy: frozenset[str] = frozenset()  # replaced, never changed: other threads read it
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._triggered = False
        self._retry_s = RETRY_MIN_S
        self._loop: asyncio.Task[None] | None = None
        self.journal = Journal(clock)
        self.error: str | None = None

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="optimizer")

    def wrote(self) -> None:
        """Operations were applied."""
        self._quiet.wrote(self._clock.monotonic_ms())
        self.trigger()

    def trigger(self) -> None:
        """Something changed that may ask for work: a write, the configuration, an empty PATCH."""
        self._triggered = True
        self._wake.set()

    async def close(self) -> None:
        """Stop, killing builds that run."""
        await end_all([*self._running, *([self._loop] if self._loop else [])])

    def status(self) -> ShardStatus:
        """Red, yellow, grey or green (reference 7.3). Counts live bits: not for the event loop."""
        if self.error is not None:
            return ShardStatus.RED
        if self._running:
            return ShardStatus.YELLOW
        if self._is_optimized():
            return ShardStatus.GREEN
        return ShardStatus.YELLOW if self._triggered and self._tasks_max else ShardStatus.GREY

    @property
    def _tasks_max(self) -> int:
        return limits_of(self._contents.view.config, cores=self._cores).tasks_max

    def _limits(self) -> Limits:
        config, buildable = self._contents.view.config, self._memory.buildable_bytes
        limits = limits_of(config, cores=self._cores, buildable_bytes=buildable)
        largest = self._joining.bounded(limits.segment_bytes_max, self._memory.share)
        return msgspec.structs.replace(limits, segment_bytes_max=largest)

    def _is_optimized(self) -> bool:
        stats = stats_of(self._contents.view, self._busy)
        return is_optimized(stats, self._limits(), self._quiet.when_settled().allowance_bytes)

    def _plan(self) -> list[Task]:
        """What to do now."""
        stats, limits, now_ms = (
            stats_of(self._contents.view, self._busy),
            self._limits(),
            self._clock.monotonic_ms(),
        )
        tasks = plan(stats, limits)
        if tasks:
            return tasks
        tail, later = plan(stats, limits, SETTLED), plan(stats, limits, self._quiet.when_settled())
        self._quiet.waits(now_ms, tail=bool(tail), tidying=bool(later))
        return plan(stats, limits, self._quiet.quietness(now_ms))

    # --- the loop --------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._place()
        while True:
            await self._woken()
            await self._place()
            room = self._tasks_max - len(self._running)
            if room <= 0:
                continue
            try:
                tasks = await self._background.run(self._plan)
            except Exception as error:
                self.error = f"planning failed: {error!r}"
                log.exception("optimization_not_planned")
                continue
            for task in tasks[:room]:
                self._start(task)
            await asyncio.sleep(PLAN_INTERVAL_S)

    async def _woken(self) -> None:
        """Return when something changed, or when a tail that waits may have settled."""
        due_ms = self._quiet.due_in_ms(self._clock.monotonic_ms())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due_ms is None else max(due_ms / 1000, SETTLING_MIN_S)):
                await self._wake.wait()
        self._wake.clear()

    async def _place(self) -> None:
        """Have the files of segments lie where the settings want them."""
        try:
            await self._background.run(self._place_segments)
        except Exception:  # they are read when they are touched
            log.exception("segments_not_placed")

    def _place_segments(self) -> None:
        config = self._contents.view.config
        wanted = {name: placements_of(config, name).at_most(self._ceiling) for name in config.all_vectors}
        for segment in list(self._contents.applier.segments.sealed.values()):
            segment.place(wanted)

    def _start(self, task: Task) -> None:
        self._busy |= frozenset(task.segments)
        running = asyncio.create_task(self._supervise(task), name=type(task).__name__)
        self._running.add(running)

    async def _supervise(self, task: Task) -> None:
        try:
            await self._carry_out(task)
            self.error, self._retry_s = None, RETRY_MIN_S
        except BuildTooLarge as error:
            await self._give_way(task, error)
        except (SegmentError, OSError) as error:
            BUILDS_FAILED.inc()
            self.error = f"{type(task).__name__} failed: {error}"
            log.error(
                "optimization_failed", task=type(task).__name__, error=str(error), retry_s=self._retry_s
            )
            await asyncio.sleep(self._retry_s)
            self._retry_s = min(self._retry_s * 2, RETRY_MAX_S)
        except Exception as error:
            BUILDS_FAILED.inc()
            self.error = f"{type(task).__name__} failed: {error!r}"
            log.exception("optimization_failed", task=type(task).__name__)
            await asyncio.sleep(RETRY_MAX_S)
        finally:
            self._busy -= frozenset(task.segments)
            current = asyncio.current_task()
            assert current is not None
            self._running.discard(current)
            self._wake.set()
            self._changed()

    async def _give_way(self, task: Task, error: BuildTooLarge) -> None:
        """Join less next time; a segment that is too large by itself waits until more memory is free."""
        log.warning("build_too_large", needed=error.needed, limit=error.limit, segments=len(task.segments))
        if len(task.segments) > 1:
            self._joining.refused(self._vector_bytes(task), error.needed)
            return
        self.error = f"{type(task).__name__} waits for memory: {error}"
        await asyncio.sleep(self._retry_s)
        self._retry_s = min(self._retry_s * 2, RETRY_MAX_S)

    def _vector_bytes(self, task: Task) -> int:
        stats = stats_of(self._contents.view, ())
        return sum(stat.vector_bytes for stat in stats if stat.id in task.segments)

    async def _carry_out(self, task: Task) -> None:
        target = new_segment_id()
        try:
            await self._do(task, target)
        except BuildTooLarge as error:
            self.journal.end(target, cancelled=str(error))
            raise
        except Exception as error:
            self.journal.end(target, error=str(error) or repr(error))
            raise
        self.journal.end(target)

    async def _do(self, task: Task, target: str) -> None:
        stats = await self._background.run(stats_of, self._contents.view, ())
        if isinstance(task, Drop):
            self.journal.begin(target, task, stats)
            await self._on_writer(self._drop, task.segments)
        else:
            with BUILDS_WAITING.track_inprogress():
                await self._builds.acquire()
            try:
                self.journal.begin(target, task, stats)
                with BUILDS_RUNNING.track_inprogress():
                    await self._rebuild(task, target)
            finally:
                self._builds.release()
            BUILDS_FINISHED.inc()

    # --- in the writer thread --------------------------------------------------------------------------

    def _drop(self, segments: Sequence[str]) -> None:
        """Forget segments without live rows (dead slots never come back to life)."""
        self._replace(segments, None, frozenset())

    def _replace(self, old: Sequence[str], new: SealedSegment | None, hidden: frozenset[str]) -> None:
        contents = self._contents
        holders = list(contents.views)
        contents.applier.segments.replace(old, new, hidden=hidden, holders=holders)
        contents.publish()

    def _sources(self, task: Task) -> list[tuple[SealedSegment, Source, frozenset[str]]]:
        """The segments with their live rows as of now, and the names that are hidden in each."""
        applier = self._contents.applier
        found = []
        for segment_id in task.segments:
            segment = applier.segments.sealed[segment_id]
            live = np.packbits(applier.live.of_range(segment.start, segment.rows), bitorder="little")
            source = Source(str(segment.directory), live.tobytes())
            found.append((segment, source, applier.segments.hidden.get(segment_id, frozenset())))
        return found

    def _begin(self, task: Task, target: str) -> _Build:
        """Choose the job for ``task`` and what its result takes the place of."""
        segments = self._contents.applier.segments
        for segment_id in task.segments:
            segments.seal_one(segment_id)
        self._contents.publish()
        sources = self._sources(task)
        # A hidden name may exist anew; its old rows must not be copied beside others' new ones.
        mixed = len(sources) > 1 and any(hidden & segments.schemas.keys() for _, _, hidden in sources)
        if mixed:
            sources = [next(one for one in sources if one[2] & segments.schemas.keys())]
        hidden = sources[0][2] if len(sources) == 1 else frozenset()
        schemas = tuple(schema for name, schema in segments.schemas.items() if name not in hidden)
        inputs = tuple(source for _, source, _ in sources)
        names = [segment.id for segment, _, _ in sources]
        stats = [one for one in stats_of(self._contents.view, ()) if one.id in names]
        segments.building.add(target)
        common: dict[str, Any] = {
            "target": str(segments.directory / target),
            **self._indexes(task, stats, [schema.name for schema in schemas]),
            "threads": self._threads(),
            "memory_bytes": self._memory.share(),
        }
        if mixed or isinstance(task, Vacuum) or not _adjacent([segment for segment, _, _ in sources]):
            length = max(1, sum(stat.live for stat in stats))
            start = segments.ranges.allot(length)
            job: AnyJob = CompactJob(sources=inputs, schemas=schemas, start=start, **common)
            return _Build(target, job, frozenset(), names, allotted=aligned(length))
        if len(inputs) == 1:
            return _Build(target, IndexJob(source=inputs[0], **common), hidden, names)
        return _Build(target, MergeJob(sources=inputs, schemas=schemas, **common), frozenset(), names)

    def _indexes(self, task: Task, stats: list[SegmentStat], names: list[str]) -> dict[str, Any]:
        view = self._contents.view
        threshold = limits_of(view.config, cores=self._cores).indexing_bytes
        size = sum(stat.vector_bytes * stat.live // max(1, stat.rows) for stat in stats)
        keep = all(stat.indexed for stat in stats) and any(stat.live for stat in stats)
        if not isinstance(task, Index | Fold) and not keep and not (threshold and size > threshold):
            return {}
        return {
            "graphs": wanted_graphs(view.config, names),
            "value_graphs": wanted_values(view.config, view.columns, names),
            "sparse": wanted_sparse(view.config, names),
        }

    def _threads(self) -> int:
        return self._contents.view.config.hnsw_config.max_indexing_threads or self._cores

    # --- rebuilding ------------------------------------------------------------------------------------

    async def _rebuild(self, task: Task, target: str) -> None:
        build: _Build = await self._on_writer(self._begin, task, target)
        stats = stats_of(self._contents.view, ())
        try:
            await run_build(await self._background.run(self._with_payloads, build))
            built = await self._background.run(SealedSegment.open, Path(build.job.target))
            if isinstance(build.job, CompactJob):
                await self._compact(build.segments, built)
            else:
                await self._on_writer(self._replace, build.segments, built, build.hidden)
        finally:
            await to_its_end(self._on_writer(self._end, build))
        self._quiet.done(task, stats)
        log.info("segments_rebuilt", task=type(task).__name__, segments=len(build.segments), rows=built.rows)

    def _with_payloads(self, build: _Build) -> AnyJob:
        """The job, told what payloads say: which rows share values that shall have graphs, and the order."""
        view, job = self._contents.view, build.job
        groups = groups_of(view, build.segments, job.value_graphs.values())
        if isinstance(job, CompactJob):
            return msgspec.structs.replace(job, groups=groups, sources=ordered(view, job.sources))
        return msgspec.structs.replace(job, groups=groups)

    async def _compact(self, old: list[str], built: SealedSegment) -> None:
        """Admit the new segment, move the points over step by step, then forget the old ones."""
        former = (await self._background.run(old_slots, built)).astype(np.int64)
        await self._on_writer(self._contents.applier.segments.add, built)
        for first in range(0, built.rows, REMAP_POINTS):
            await self._on_writer(self._remap, former[first : first + REMAP_POINTS], built.start + first)
        await self._on_writer(self._replace, old, None, frozenset())

    def _remap(self, former: Slots, start: int) -> None:
        self._contents.applier.remap(former, np.arange(start, start + len(former), dtype=np.int64))
        self._contents.publish()

    def _end(self, build: _Build) -> None:
        """Give back what the build reserved and did not use."""
        segments = self._contents.applier.segments
        segments.building.discard(build.target)
        if isinstance(build.job, CompactJob):
            built = segments.sealed.get(build.target)
            used = 0 if built is None else aligned(built.rows)
            segments.ranges.give_back(build.job.start + used, build.allotted - used)


class _Build(Struct, frozen=True):
    """``allotted`` slots are reserved for a compaction; ``segments`` are those the result replaces."""

    target: str
    job: AnyJob
    hidden: frozenset[str]
    segments: list[str]
    allotted: int = 0


def _adjacent(segments: Sequence[SealedSegment]) -> bool:
    """Does each segment's range begin where the one before it ends?"""
    ordered = sorted(segments, key=lambda segment: segment.start)
    return all(left.start + aligned(left.rows) == right.start for left, right in pairwise(ordered))
