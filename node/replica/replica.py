"""One shard replica in this process: the ``ShardClient`` that everything above talks to.

Lives here: the asyncio face (writes to the writer, reads to the search threads), the life cycle, the loop
that checkpoints, what info says.
May not live here: what operations do, what searches do.

Invariants: a read answers from one published view and never sees a closed store; after ``close`` returns no
thread touches the replica's files.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import structlog
from msgspec import Struct

from node import query
from node.optimizer.runner import Optimizer
from node.replica.checkpoint import Checkpointer, remove_all
from node.replica.commit import Committer, Done, Write
from node.replica.recovery import Opened, open_replica
from node.replica.view import View
from node.replica.writer import Writer
from node.segments import SealedSegment, SegmentError, VectorSchema
from node.storage.points import PointStore, RecordCorrupted, StoreFailed
from node.workers import SerialExecutor, WorkerPool
from protos.clock import Clock
from protos.collections import CollectionConfig
from protos.errors import NotFound, ServiceError, ShardUnavailable
from protos.filters import Filter
from protos.ids import PointId
from protos.operations import AnyLogOperation, UpdateResult, UpdateStatus
from protos.shard import (
    Hits,
    Projection,
    Record,
    ScrollRequest,
    SearchRequest,
    ShardInfo,
    ShardStatus,
    UpdateRequest,
)

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

CHECKPOINT_OVERLAY_BYTES = 64 << 20  # a checkpoint does not wait for its interval then
UPDATE_TIMEOUT_MS = 60_000  # of writes that name none (reference 8.2)


SCRUB_INTERVAL_S = 24 * 3600  # between two readings of all finished segments


def _verify(segment: SealedSegment) -> list[str]:
    try:
        return [str(finding) for finding in segment.verify()]
    except (SegmentError, OSError) as error:
        return [str(error)]


class Machinery(Struct, frozen=True):
    """What replicas of one process share. ``builds`` bounds the builder processes that run at once."""

    search: WorkerPool
    writers: SerialExecutor
    background: WorkerPool
    builds: asyncio.Semaphore
    clock: Clock
    cores: int


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


class ShardReplica:
    """Implements ``protos.shard.ShardClient``. Use ``open``."""

    def __init__(self, opened: Opened, machinery: Machinery) -> None:
        self._committer: Committer = opened.committer
        self._checkpointer: Checkpointer = opened.checkpointer
        self._machinery = machinery
        self._gate = ReadGate()
        self._damage: str | None = None
        self._checkpoint_failure: str | None = None
        self._checkpointing = asyncio.Lock()
        self._dirty = asyncio.Event()
        self._urgent = asyncio.Event()
        self._updates: set[asyncio.Task[Done]] = set()
        self._writer = Writer(self._committer.commit, self._submit, after=self._after_group)
        self._optimizer = Optimizer(
            self._committer,
            on_writer=self._on_writer,
            background=machinery.background,
            builds=machinery.builds,
            cores=machinery.cores,
            changed=self._dirty.set,
        )
        self._optimizer.start()
        self._loop = asyncio.create_task(self._checkpoint_loop(), name="checkpoints")
        self._scrubbing = asyncio.create_task(self._scrub_loop(), name="scrub")
        if self._checkpointer.due:
            self._dirty.set()

    @classmethod
    async def open(
        cls,
        directory: Path,
        config: CollectionConfig,
        machinery: Machinery,
        *,
        term: int = 1,
        config_version: int = 1,
    ) -> ShardReplica:
        """Open the replica in ``directory``, which is created if need be. Raises: ``recovery.DAMAGE``."""
        opened = await machinery.background.run(
            open_replica,
            directory,
            config,
            term=term,
            config_version=config_version,
            readers=machinery.search.threads + machinery.background.threads + 2,
            clock=machinery.clock,
        )
        return cls(opened, machinery)

    # --- writes ----------------------------------------------------------------------------------------

    async def update(self, request: UpdateRequest) -> UpdateResult:
        """Durable on return, and visible: a write is published as soon as it is durable.

        Raises: BadInput, NotFound (only when ``wait``), InsufficientStorage, ServiceError.
        """
        write = Write(change=request.change, operation_id=request.operation_id)
        timeout_ms = UPDATE_TIMEOUT_MS if request.timeout_ms is None else request.timeout_ms
        done = await self._write(write, timeout_ms, wait=request.wait)
        if done is None:
            return UpdateResult(UpdateStatus.WAIT_TIMEOUT)
        if done.error is not None and (request.wait or not isinstance(done.error, NotFound)):
            raise done.error
        status = UpdateStatus.COMPLETED if request.wait else UpdateStatus.ACKNOWLEDGED
        return UpdateResult(status, done.seq)

    async def apply_config(self, operation: AnyLogOperation, *, config_version: int = 0) -> UpdateResult:
        """Log and apply a change of payload indexes or vector names."""
        done = await self._writer.write(Write(operation=operation, config_version=config_version))
        if done.error is not None:
            raise done.error
        return UpdateResult(UpdateStatus.COMPLETED, done.seq)

    async def update_config(self, config: CollectionConfig) -> None:
        """Use ``config`` for reads, checkpoints and the optimizer from now on."""

        def change() -> None:
            self._committer.applier.config = config
            self._committer.publish()

        await self._on_writer(change)
        self._optimizer.trigger()

    def touch(self) -> None:
        self._optimizer.trigger()

    async def _write(self, write: Write, timeout_ms: int, *, wait: bool) -> Done | None:
        """None: the time is over; the write goes on."""
        task = asyncio.create_task(self._writer.write(write))
        self._updates.add(task)
        task.add_done_callback(self._updates.discard)
        await asyncio.wait((task,), timeout=timeout_ms / 1000 if wait else None)
        return task.result() if task.done() else None

    def _submit(self, call: Callable[[], None]) -> object:
        return self._machinery.writers.submit(self, call)

    async def _on_writer(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._machinery.writers.run(self, call, *args, **kwargs)

    def _after_group(self) -> None:
        self._dirty.set()
        self._optimizer.trigger()
        if self._committer.applier.points.overlay_bytes > CHECKPOINT_OVERLAY_BYTES:
            self._urgent.set()

    # --- reads -----------------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """The last published state."""
        return self._committer.view

    @property
    def schemas(self) -> dict[str, VectorSchema]:
        """The vector names that new points may have."""
        return dict(self._committer.applier.segments.schemas)

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        return await self._read(query.search, requests)

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self._read(query.scroll, request)

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        return await self._read(query.retrieve, ids, projection)

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._read(query.count, filter, exact=exact)

    async def info(self) -> ShardInfo:
        return await self._read(self._describe)

    async def _read(self, call: Callable[Concatenate[View, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._machinery.search.run(partial(self._read_now, call, *args, **kwargs))

    def _read_now(self, call: Callable[Concatenate[View, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._gate:
            try:
                return call(self.view, *args, **kwargs)
            except (RecordCorrupted, StoreFailed) as error:
                self._damage = str(error)
                raise ServiceError(f"stored data is damaged: {error}") from error

    def _describe(self, view: View) -> ShardInfo:
        counters = query.count_vectors(view)
        error = self.failure
        return ShardInfo(
            status=ShardStatus.RED if error else self._optimizer.status(),
            points=view.points.count,
            vectors=counters.vectors,
            indexed_vectors=counters.indexed_vectors,
            segments=len(view.segments),
            index_points={field: view.columns.points(field) for field in view.columns.fields},
            operations_applied=view.seq + 1,
            update_queue_length=self._writer.length,
            optimizer_error=error or self._optimizer.error,
            segment_infos=counters.segments,
        )

    @property
    def failure(self) -> str | None:
        """Why the replica is red, apart from its optimizer."""
        return (
            self._damage or self._committer.failure or self._checkpointer.failure or self._checkpoint_failure
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
            except OSError:
                continue  # logged and shown; tried again after the interval
            except Exception as error:
                self._checkpoint_failure = f"checkpoint failed: {error!r}"
                log.exception("checkpoint_failed")

    async def checkpoint(self) -> None:
        """Make the files hold everything applied so far. Raises: OSError."""
        async with self._checkpointing:
            if not self._checkpointer.due:
                return
            background = self._machinery.background
            try:
                await background.run(self._checkpointer.presync)
                draft = await self._on_writer(self._checkpointer.begin)
                meta = await background.run(self._checkpointer.store, draft)
            except OSError as error:
                self._checkpoint_failure = f"checkpoint failed: {error}"
                log.error("checkpoint_failed", error=str(error))
                self._dirty.set()
                raise
            self._checkpoint_failure = None
            paths = await self._on_writer(self._checkpointer.finish, draft, meta)
            await background.run(remove_all, paths)

    @contextlib.asynccontextmanager
    async def stored(self) -> AsyncIterator[Stored]:
        """The last checkpoint; its files stay as they are, and where they are, within this block."""
        async with self._checkpointing:
            with self._gate:  # closed?
                points = self._committer.applier.points
            yield Stored(self._checkpointer.directory, points, self._gate)

    async def verify(self) -> list[str]:
        """Compare finished segments with their checksums; what is damaged makes the replica red."""
        found = []
        for segment in await self._on_writer(lambda: list(self._committer.applier.segments.sealed.values())):
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
        """Finish what was accepted, store it, and let go of the files."""
        await self._writer.close()
        await self._optimizer.close()
        self._scrubbing.cancel()
        async with self._checkpointing:  # never in the middle of one
            self._loop.cancel()
        await asyncio.gather(self._loop, self._scrubbing, return_exceptions=True)
        if checkpoint:
            with contextlib.suppress(OSError):  # the log has it all
                await self.checkpoint()
        await self._machinery.background.run(self._gate.close)
        await self._on_writer(self._release)

    def _release(self) -> None:
        self._committer.wal.close()
        self._committer.applier.segments.close()
        self._committer.applier.points.close()
