"""One replica's files, open in this process: views for reads, checkpoints, the optimizer, the end.

Lives here: the life cycle, the loop that checkpoints, what info says. How writes come in is the business of
who opens it: ``replica`` on a single node, ``node.shard`` in a cluster.
May not live here: what operations do, what searches do.

Invariants: a read answers from one published view and never sees a closed store; after ``close`` returns no
thread touches the replica's files; while ``quiet`` is held nothing but its holder changes the replica.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import msgspec
from msgspec import Struct

from node import query
from node.hardware import Hardware
from node.optimizer.budget import BuildMemory
from node.optimizer.runner import Optimizer
from node.quotas import Quotas
from node.replica.checkpoint import Checkpointer, remove_all
from node.replica.checkpoint import Draft as CheckpointDraft
from node.replica.contents import Contents
from node.replica.gathering import GatheredSearches, may_be_gathered
from node.replica.memory import memory_of
from node.replica.recovery import Opened, open_replica
from node.replica.spreading import search_in_parts
from node.replica.view import View
from node.segments import SealedSegment, SegmentError, VectorSchema
from node.storage.points import PointStore, RecordCorrupted, StoreFailed
from node.workers import SerialExecutor, WorkerPool
from protos.clock import Clock
from protos.collections import CollectionConfig, Memory, OptimizersConfigDiff, overlay
from protos.errors import ServiceError, ShardUnavailable
from protos.facets import FacetHit, FacetRequest
from protos.filters import Filter
from protos.idf import Frequencies, FrequencyRequest
from protos.ids import PointId
from protos.logger import get_logger
from protos.memory import ShardMemory
from protos.shard import (
    Hits,
    Projection,
    Record,
    ScrollRequest,
    SearchRequest,
    ShardInfo,
    ShardStatus,
)
from protos.stages import StagedRequest

log = get_logger()

P = ParamSpec("P")
T = TypeVar("T")

CHECKPOINT_OVERLAY_BYTES = 64 << 20  # a checkpoint does not wait for its interval then
SCRUB_INTERVAL_S = 24 * 3600  # between two readings of all finished segments


def _verify(segment: SealedSegment) -> list[str]:
    try:
        return [str(finding) for finding in segment.verify()]
    except (SegmentError, OSError) as error:
        return [str(error)]


class Machinery(Struct, frozen=True):
    """What replicas of one process share. ``builds`` bounds the builder processes that run at once,
    ``recovery_mode``: no shard is opened, and this is told instead. ``overrides``: of every collection's
    optimizers. ``quotas`` count until others are set. ``hardware`` None: nothing is measured.
    ``ceiling``: no file is kept in memory more than that."""

    search: WorkerPool
    writers: SerialExecutor
    background: WorkerPool
    builds: asyncio.Semaphore
    memory: BuildMemory
    clock: Clock
    cores: int
    quotas: Quotas
    overrides: OptimizersConfigDiff = OptimizersConfigDiff()
    hardware: Hardware | None = None
    ceiling: Memory = Memory.PINNED

    def effective(self, config: CollectionConfig) -> CollectionConfig:
        """``config`` as replicas of this process go by it."""
        optimizers = overlay(config.optimizer_config, self.overrides)
        return msgspec.structs.replace(config, optimizer_config=optimizers)


class ReadGate:
    """Counts reads that run, so that closing can wait for them."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._reads = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._condition:
            if self._closed:
                raise ShardUnavailable("the shard is being closed")
            self._reads += 1

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._reads -= 1
            self._condition.notify_all()

    def close(self) -> None:
        """Refuse further reads and wait for the running ones."""
        with self._condition:
            self._closed = True
            self._condition.wait_for(lambda: self._reads == 0)


class Stored(Struct, frozen=True):
    """A replica's files. ``gate`` is to be held while ``points`` is read."""

    directory: Path
    points: PointStore
    gate: ReadGate


class CheckpointPostponed(Exception):
    """What memory holds may not be stored now, or not any more."""


class Checkpoints(Protocol):
    """What a checkpoint has to do with the log that it shortens."""

    async def before_store(self, seq: int) -> None:
        """Return when a checkpoint of everything up to ``seq`` may be stored. Raises: CheckpointPostponed."""
        ...

    async def checkpointed(self, seq: int) -> None:
        """One is: the log is not needed up to ``seq`` any more, as far as this replica goes."""
        ...


class Pauses(Protocol):
    """Where a checkpoint waits for somebody else's."""

    async def before(self) -> None:
        """Most of what it needs is on disk; writes go on. What is raised ends it."""
        ...

    async def still(self, seq: int) -> None:
        """It will hold everything up to ``seq``; no write is taken before this returns. Soon, it should."""
        ...


class ReplicaFiles:
    """See the module. The reads are those of ``protos.shard_client.ShardClient``."""

    def __init__(
        self, opened: Opened, machinery: Machinery, checkpoints: Checkpoints, *, collection: str = ""
    ) -> None:
        """``collection``: its uuid, whose replicas' hardware is measured together."""
        self.contents: Contents = opened.contents
        hardware = machinery.hardware
        self._meter = None if hardware is None else hardware.meter(collection)
        self.contents.applier.meter = self._meter
        self._checkpointer: Checkpointer = opened.checkpointer
        self._checkpoints = checkpoints
        self._machinery = machinery
        self.quiet = asyncio.Lock()
        self._gate = ReadGate()
        self._gathered = GatheredSearches(machinery.search, self._search_now, self._answer_now)
        self._damage: str | None = None
        self._checkpoint_failure: str | None = None
        self._checkpointing = asyncio.Lock()
        self._closed = False
        self._dirty = asyncio.Event()
        self._urgent = asyncio.Event()
        self._optimizer = Optimizer(
            self.contents,
            on_writer=self.undisturbed,
            background=machinery.background,
            builds=machinery.builds,
            memory=machinery.memory,
            cores=machinery.cores,
            clock=machinery.clock,
            changed=self._dirty.set,
            ceiling=machinery.ceiling,
        )
        self._optimizer.start()
        self._loop = asyncio.create_task(self._checkpoint_loop(), name="checkpoints")
        self._scrubbing = asyncio.create_task(self._scrub_loop(), name="scrub")
        if self._checkpointer.due:
            self._dirty.set()

    # --- changes ----------------------------------------------------------------------------------------

    async def update_config(self, config: CollectionConfig) -> None:
        """Use ``config`` for reads, checkpoints and the optimizer from now on."""

        def change() -> None:
            self.contents.applier.config = self._machinery.effective(config)
            self.contents.publish()

        await self.undisturbed(change)
        self._optimizer.trigger()

    def touch(self) -> None:
        self._optimizer.trigger()

    async def on_writer(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in the thread that alone changes this replica."""
        return await self._machinery.writers.run(self, call, *args, **kwargs)

    async def undisturbed(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, between two groups of writes."""
        async with self.quiet:
            return await self.on_writer(call, *args, **kwargs)

    def changed(self) -> None:
        """Operations were applied."""
        self._dirty.set()
        self._optimizer.wrote()
        if self.contents.applier.points.overlay_bytes > CHECKPOINT_OVERLAY_BYTES:
            self._urgent.set()

    # --- reads -----------------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """The last published state."""
        return self.contents.view

    @property
    def schemas(self) -> dict[str, VectorSchema]:
        """The vector names that new points may have."""
        return dict(self.contents.applier.segments.schemas)

    def search_soon(self, request: SearchRequest) -> Hits | asyncio.Future[Hits] | None:
        """On the event loop: what a plain search finds, if it need not wait, else where that will be.

        None: it is not plain, ask ``search``. Raises: as ``search``.
        """
        if self._meter is not None or not may_be_gathered(request):
            return None
        return self._gathered.answer(request)

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        soon = self.search_soon(requests[0]) if len(requests) == 1 else None
        if soon is None:
            return await self.search_in(self.view, requests)
        return [soon if isinstance(soon, Hits) else await soon]

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self.read(self.view, query.scroll, request)

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        return await self.read(self.view, query.retrieve, ids, projection)

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self.read(self.view, query.count, filter, exact=exact)

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        return await self.read(self.view, query.run_stages, requests)

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        return await self.read(self.view, query.facet, request)

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        return await self.read(self.view, query.frequencies, requests)

    async def info(self) -> ShardInfo:
        return await self._machinery.search.run(
            partial(self._read_now, self.view, lambda _: self._describe())
        )

    async def search_in(self, view: View, requests: list[SearchRequest]) -> list[Hits]:
        """``search`` in a view that was taken before."""
        return await search_in_parts(self._search_in, view, requests, workers=self._machinery.search.threads)

    async def _search_in(
        self, view: View, requests: list[SearchRequest], known: query.Known | None
    ) -> list[Hits]:
        return await self.read(view, query.search, requests, known)

    def _search_now(self, requests: list[SearchRequest]) -> list[Hits]:
        return self._read_now(self.view, query.search, requests)

    def _answer_now(self, request: SearchRequest) -> Hits | None:
        """On the event loop."""
        return self._read_now(self.view, query.quick_hits, request)

    async def memory(self) -> ShardMemory:
        return await self._machinery.search.run(partial(self._read_now, self.view, self._measure))

    async def read(
        self, view: View, call: Callable[Concatenate[View, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Answer from ``view`` in a search thread."""
        work = partial(self._read_now, view, call, *args, **kwargs)
        if self._meter is None:
            return await self._machinery.search.run(work)
        return await self._machinery.search.run(self._meter.read, work)

    def charge_write(self, seq: int) -> None:
        """What the operation at ``seq`` has cost here, to the request under way; if that is measured."""
        if self._meter is not None:
            self._meter.charge_write(seq)

    async def beside(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a background thread, with what is stored there to be read."""
        work = partial(self._read_now, self.view, lambda _: call(*args, **kwargs))
        return await self._machinery.background.run(work)

    def _read_now(
        self, view: View, call: Callable[Concatenate[View, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        with self._gate:
            try:
                return call(view, *args, **kwargs)
            except (RecordCorrupted, StoreFailed) as error:
                self._damage = str(error)
                raise ServiceError(f"stored data is damaged: {error}") from error

    def _describe(self) -> ShardInfo:
        error = self.failure
        status = ShardStatus.RED if error else self._optimizer.status()
        view = self.view  # no older than the status: green promises what has been built
        counters = query.count_vectors(view)
        return ShardInfo(
            status=status,
            points=own_points(view),
            vectors=counters.vectors,
            indexed_vectors=counters.indexed_vectors,
            segments=len(view.segments),
            index_points={field: view.columns.points(field) for field in view.columns.fields},
            operations_applied=view.seq + 1,
            update_queue_length=self.queue_length,
            optimizer_error=error or self._optimizer.error,
            segment_infos=counters.segments,
            optimizations=list(self._optimizer.journal.entries),
        )

    def _measure(self, view: View) -> ShardMemory:
        applier = self.contents.applier
        return memory_of(view, dict(applier.segments.sealed), applier.points)

    @property
    def queue_length(self) -> int:
        """Writes accepted and not yet done."""
        return 0

    @property
    def failure(self) -> str | None:
        """Why the replica is red, apart from its optimizer."""
        parted = self.contents.parted
        return (
            self._damage
            or (str(parted) if parted else None)
            or self._checkpointer.failure
            or self._checkpoint_failure
        )

    # --- checkpoints and the end -----------------------------------------------------------------------

    async def _checkpoint_loop(self) -> None:
        while True:
            await self._dirty.wait()
            interval = max(1, self.view.config.optimizer_config.flush_interval_sec)
            # Not wait_for: in Python 3.11 it can swallow the cancellation that ends this loop.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._urgent.wait()
            self._dirty.clear()
            self._urgent.clear()
            try:
                await self.checkpoint()
            except (OSError, CheckpointPostponed):
                self._dirty.set()  # tried again after the interval; a failure was logged and is shown
            except Exception as error:
                self._checkpoint_failure = f"checkpoint failed: {error!r}"
                log.exception("checkpoint_failed")

    async def checkpoint(self) -> None:
        """Make the files hold everything applied so far. Raises: OSError, CheckpointPostponed."""
        async with self._checkpointing:
            await self._checkpoint()

    async def _checkpoint(
        self, pauses: Pauses | None = None, settled: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        if self._closed:
            raise CheckpointPostponed("the shard is being closed")
        if not self._checkpointer.usable and pauses is not None:
            raise CheckpointPostponed(self.failure or "what memory holds may not be stored")
        if pauses is None and not self._checkpointer.due:
            return
        background = self._machinery.background
        try:
            await background.run(self._checkpointer.presync)
            draft = await self._begun(pauses, settled)
            await self._checkpoints.before_store(draft.meta.seq)
            meta = await background.run(self._checkpointer.store, draft)
        except OSError as error:
            self._checkpoint_failure = f"checkpoint failed: {error}"
            log.error("checkpoint_failed", error=str(error))
            raise
        self._checkpoint_failure = None
        paths = await self.undisturbed(self._checkpointer.finish, draft, meta)
        await background.run(remove_all, paths)
        await self._checkpoints.checkpointed(meta.seq)

    async def _begun(
        self, pauses: Pauses | None, settled: Callable[[], Awaitable[None]] | None
    ) -> CheckpointDraft:
        if pauses is None:
            return await self.undisturbed(self._checkpointer.begin)
        await pauses.before()
        async with self.quiet:
            if settled is not None:
                await settled()
            draft = await self.on_writer(self._checkpointer.begin)
            await pauses.still(draft.meta.seq)
            return draft

    @contextlib.asynccontextmanager
    async def stored_at(
        self, pauses: Pauses, settled: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncIterator[Stored]:
        """As ``stored``, of a checkpoint made now, with pauses. ``settled``, awaited while no write is taken,
        returns when all that was logged is applied.

        Raises: OSError, CheckpointPostponed, what they raise.
        """
        async with self._checkpointing:
            await self._checkpoint(pauses, settled)
            with self._gate:  # closed?
                points = self.contents.applier.points
            yield Stored(self._checkpointer.directory, points, self._gate)

    @contextlib.asynccontextmanager
    async def stored(self) -> AsyncIterator[Stored]:
        """The last checkpoint; its files stay as they are, and where they are, within this block."""
        async with self._checkpointing:
            with self._gate:  # closed?
                points = self.contents.applier.points
            yield Stored(self._checkpointer.directory, points, self._gate)

    async def verify(self) -> list[str]:
        """Compare finished segments with their checksums; what is damaged makes the replica red."""
        found = []
        for segment in await self.on_writer(lambda: list(self.contents.applier.segments.sealed.values())):
            findings = await self._machinery.background.run(_verify, segment)
            if segment.directory.exists():  # it may have been replaced meanwhile
                found += findings
        if found:
            self._damage = found[0]
            log.error("damage_found", findings=found)
        return found

    async def _scrub_loop(self) -> None:
        while True:
            await asyncio.sleep(SCRUB_INTERVAL_S)
            try:
                await self.verify()
            except Exception:
                log.exception("scrub_failed")

    async def close(self, *, checkpoint: bool = True) -> None:
        """Store what was applied, and let go of the files. No writes may be under way."""
        await self._optimizer.close()
        self._scrubbing.cancel()
        async with self._checkpointing:  # never in the middle of one
            self._loop.cancel()
        await asyncio.gather(self._loop, self._scrubbing, return_exceptions=True)
        if checkpoint:
            with contextlib.suppress(OSError, CheckpointPostponed):  # the log has it all
                await self.checkpoint()
        async with self._checkpointing:  # others may want one, too
            self._closed = True
        await self._machinery.background.run(self._gate.close)
        await self.on_writer(self._release)

    def _release(self) -> None:
        self.contents.applier.segments.close()
        self.contents.applier.points.close()


async def open_files(
    directory: Path, config: CollectionConfig, machinery: Machinery, *, config_version: int
) -> Opened:
    """Open the replica in ``directory``, which is created if need be. Raises: ``recovery.DAMAGE``."""
    return await machinery.background.run(
        open_replica,
        directory,
        machinery.effective(config),
        config_version=config_version,
        readers=machinery.search.threads + machinery.background.threads + 3,  # and the event loop
        clock=machinery.clock,
        ceiling=machinery.ceiling,
    )


def own_points(view: View) -> int:
    """How many points are the shard's own."""
    own = view.buckets.own
    return view.points.count if own is None else query.count(view, own, exact=True)
