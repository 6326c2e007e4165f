"""Having a shard's log hold the vector names, payload indexes and buckets that the cluster has agreed on.

Lives here: when the primary compares the two, and logging what is missing. May not live here: what is
missing (``node.replica.schema``), what such an operation does.

Invariants: comparing and logging is one step, so nothing is logged twice; a configuration older than what the
log has seen adds nothing, for what it lacks may be in the log already.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from consensus.ownership import ownership_of
from consensus.state import CollectionState
from node.replica.drafting import drafted
from node.replica.ownership import encode_ownership
from node.replica.schema import missing_operations
from node.shard.life import Life
from protos.errors import NotPrimary, ShardUnavailable, VecraftError
from protos.logger import get_logger
from protos.operations import SetOwnership, UpdateResult, UpdateStatus
from protos.tasks import end_all

log = get_logger()


class Shard(Protocol):
    """The replica whose log it is."""

    shard_id: int

    @property
    def collection(self) -> CollectionState:
        """As agreed on, as far as this node has heard."""
        ...

    @property
    def primary(self) -> int: ...


class Settling:
    """``close`` it."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._turn = asyncio.Lock()
        self._seen = shard.collection.config_version  # by the files that are open
        self._running: set[asyncio.Task[None]] = set()

    def opened(self, config_version: int) -> None:
        """Files were opened with that configuration."""
        self._seen = config_version

    def agreed(self, life: Life) -> None:
        """``life`` is to go by the configuration that is agreed on now."""
        if self._shard.collection.config_version != self._seen:
            self.begin(life)

    def begin(self, life: Life) -> None:
        """Configure ``life`` and, if it leads the shard, its log; beside everything else."""
        collection = self._shard.collection
        self._seen = collection.config_version
        task = asyncio.create_task(self._configure(life, collection))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _configure(self, life: Life, collection: CollectionState) -> None:
        try:
            await life.files.update_config(collection.config)
            await self.settle(life)
        except NotPrimary:
            pass
        except VecraftError as error:  # done again when the shard next has a primary
            shard_id = self._shard.shard_id
            log.info("schema_not_settled", collection=collection.name, shard_id=shard_id, error=str(error))

    async def settle(self, life: Life) -> UpdateResult:
        """Log what is missing. The operation id is that of the last one logged.

        Raises: NotPrimary, ShardUnavailable, and what writes raise.
        """
        if not life.machine.is_primary:
            raise NotPrimary("another replica leads the shard", primary=self._shard.primary)
        async with self._turn:
            collection = self._shard.collection
            logged = life.files.contents.applier.config_version
            if collection.config_version < logged:
                raise ShardUnavailable(f"this node has not heard of configuration {logged} yet")
            for operation in missing_operations(life.files, collection):
                async with drafted(life.files, operation):
                    await life.updates.log(operation, config_version=collection.config_version)
            await self._settle_ownership(life)
            return UpdateResult(UpdateStatus.COMPLETED, life.machine.last_seq)

    async def _settle_ownership(self, life: Life) -> None:
        """Log what the shard does with its buckets, if that is another step's. Raises: what writes raise."""
        wanted = ownership_of(self._shard.collection, self._shard.shard_id)
        if wanted is not None and wanted.step > life.files.view.buckets.step:
            await life.updates.log(SetOwnership(encode_ownership(wanted)), config_version=0)

    async def close(self) -> None:
        await end_all(self._running)
