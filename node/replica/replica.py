"""One shard replica of a single node: the ``ShardClient`` that everything above talks to.

Lives here: writes into the writer and their answers; the log is trimmed when a checkpoint has what it held.
May not live here: reads, checkpoints and the life cycle (``opened``), what operations do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from node.replica.commit import Committer
from node.replica.drafting import drafted
from node.replica.opened import Machinery, ReplicaFiles, open_files
from node.replica.recovery import Opened
from node.replica.staging import Done, Write
from node.replica.updates import Updates
from node.replica.writer import Writer
from protos.collections import CollectionConfig
from protos.operations import AnyLogOperation, UpdateResult
from protos.shard import Position, UpdateRequest


class ShardReplica(ReplicaFiles):
    """Implements ``protos.shard_client.ShardClient``. Use ``open``."""

    def __init__(self, opened: Opened, machinery: Machinery, *, term: int, collection: str = "") -> None:
        super().__init__(opened, machinery, self, collection=collection)
        term = max(term, opened.contents.applier.terms.last_term)
        self._committer = Committer(opened.contents, opened.wal, reopen_wal=opened.open_wal, term=term)
        self._writer = Writer(self._commit)
        self._updates = Updates(self._writer, machinery.quotas.admit)

    @classmethod
    async def open(
        cls,
        directory: Path,
        config: CollectionConfig,
        machinery: Machinery,
        *,
        term: int = 1,
        config_version: int = 1,
        collection: str = "",
    ) -> ShardReplica:
        """Open the replica in ``directory``, which is created if need be; ``collection``: its uuid.

        Raises: ``recovery.DAMAGE``.
        """
        opened = await open_files(directory, config, machinery, config_version=config_version)
        return cls(opened, machinery, term=term, collection=collection)

    async def update(self, request: UpdateRequest) -> UpdateResult:
        """Durable on return, and visible: a write is published as soon as it is durable.

        Raises: BadInput, NotFound (only when ``wait``), InsufficientStorage, ServiceError.
        """
        return await self._updates.update(request)

    def position(self, seq: int) -> Position:
        """Of an operation in the log; term 0 if the log tells no more of it."""
        return Position(self.contents.applier.terms.term_at(seq) or 0, seq)

    async def apply_config(self, operation: AnyLogOperation, *, config_version: int = 0) -> UpdateResult:
        """Log and apply a change of payload indexes or vector names."""
        async with drafted(self, operation):
            return await self._updates.log(operation, config_version=config_version)

    async def _commit(self, writes: Sequence[Write]) -> Sequence[Done]:
        done = await self.on_writer(self._committer.commit, writes)
        self.changed()
        return done

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

    async def checkpointed(self, seq: int) -> None:
        with contextlib.suppress(OSError):  # the log is trimmed again next time
            await self.on_writer(self._committer.wal.trim, seq + 1)
