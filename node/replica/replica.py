"""One shard replica of a single node: the ``ShardClient`` that everything above talks to.

Lives here: writes into the writer and their answers; the log is trimmed when a checkpoint has what it held.
May not live here: reads, checkpoints and the life cycle (``opened``), what operations do.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from node.replica.commit import Committer
from node.replica.opened import Machinery, ReplicaFiles, open_files
from node.replica.recovery import Opened
from node.replica.staging import Done, Write
from node.replica.writer import Writer
from protos.collections import CollectionConfig
from protos.errors import NotFound
from protos.operations import AnyLogOperation, UpdateResult, UpdateStatus
from protos.shard import UpdateRequest

UPDATE_TIMEOUT_MS = 60_000  # of writes that name none (reference 8.2)


class ShardReplica(ReplicaFiles):
    """Implements ``protos.shard.ShardClient``. Use ``open``."""

    def __init__(self, opened: Opened, machinery: Machinery, *, term: int) -> None:
        super().__init__(opened, machinery, self)
        term = max(term, opened.contents.applier.terms.last_term)
        self._committer = Committer(opened.contents, opened.wal, reopen_wal=opened.open_wal, term=term)
        self._updates: set[asyncio.Task[Done]] = set()
        self._writer = Writer(self._committer.commit, self.submit, after=self.changed)

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
        opened = await open_files(directory, config, machinery, config_version=config_version)
        return cls(opened, machinery, term=term)

    async def update(self, request: UpdateRequest) -> UpdateResult:
        """Durable on return, and visible: a write is published as soon as it is durable.

        Raises: BadInput, NotFound (only when ``wait``), InsufficientStorage, ServiceError.
        """
        write = Write(change=request.change, operation_id=request.operation_id)
        timeout_ms = UPDATE_TIMEOUT_MS if request.timeout_ms is None else request.timeout_ms
        done = await self._write(write, timeout_ms, wait=request.wait)
        return outcome_of(done, wait=request.wait)

    async def apply_config(self, operation: AnyLogOperation, *, config_version: int = 0) -> UpdateResult:
        """Log and apply a change of payload indexes or vector names."""
        done = await self._writer.write(Write(operation=operation, config_version=config_version))
        return outcome_of(done, wait=True)

    async def _write(self, write: Write, timeout_ms: int, *, wait: bool) -> Done | None:
        """None: the time is over; the write goes on."""
        task = asyncio.create_task(self._writer.write(write))
        self._updates.add(task)
        task.add_done_callback(self._updates.discard)
        await asyncio.wait((task,), timeout=timeout_ms / 1000 if wait else None)
        return task.result() if task.done() else None

    @property
    def queue_length(self) -> int:
        return self._writer.length

    @property
    def failure(self) -> str | None:
        return self._committer.failure or super().failure

    async def close(self, *, checkpoint: bool = True) -> None:
        """Finish what was accepted, store it, and let go of the files."""
        await self._writer.close()
        await super().close(checkpoint=checkpoint)
        await self.on_writer(self._committer.close)

    # --- ``opened.Checkpoints`` ------------------------------------------------------------------------

    async def before_store(self, seq: int) -> None:
        """What is applied here is durable, and nobody else has a say."""

    async def stored(self, seq: int) -> None:
        with contextlib.suppress(OSError):  # the log is trimmed again next time
            await self.on_writer(self._committer.wal.trim, seq + 1)


def outcome_of(done: Done | None, *, wait: bool) -> UpdateResult:
    """The answer to a write. Raises: its error, unless nobody waits and it names a missing point."""
    if done is None:
        return UpdateResult(UpdateStatus.WAIT_TIMEOUT)
    if done.error is not None and (wait or not isinstance(done.error, NotFound)):
        raise done.error
    return UpdateResult(UpdateStatus.COMPLETED if wait else UpdateStatus.ACKNOWLEDGED, done.seq)
