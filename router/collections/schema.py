"""Changes of payload indexes and vector names: first the agreed state, then every shard's log.

Lives here: the order of the two, and what the caller hears of it. May not live here: which changes there
are (``operations``), what a shard lacks (its primary finds out).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from consensus.commands import Command
from consensus.transitions import Events
from protos.errors import collection_not_found
from protos.operations import UpdateResult, UpdateStatus
from router.background import Background
from router.collections.reconciling import Reconciler
from router.collections.settling import Settling
from router.primaries import PrimaryCalls

SCHEMA_TIMEOUT_MS = 60_000


class SchemaOptions(Struct, frozen=True):
    """Options of index and vector-name changes (reference 8.2)."""

    wait: bool = False
    timeout_ms: int | None = None


NO_WAIT = SchemaOptions()


class SchemaChanges:
    """``propose`` returns when the command is applied and this node reconciled with it."""

    def __init__(
        self,
        propose: Callable[[Command], Awaitable[Events]],
        shards: Reconciler,
        primaries: PrimaryCalls,
        settling: Settling,
        background: Background,
    ) -> None:
        self._propose, self._shards, self._primaries = propose, shards, primaries
        self._settling, self._background = settling, background

    async def change(self, real: str, command: Command, options: SchemaOptions) -> UpdateResult:
        """Change the state of collection ``real``, then log what each shard lacks of it.

        Raises: the error of a rejected command; what the shards raise.
        """
        timeout_ms = SCHEMA_TIMEOUT_MS if options.timeout_ms is None else options.timeout_ms
        call = self._everywhere(real, command, timeout_ms)
        try:
            ids = await self._background.finish(call, what="Update schema", timeout_s=timeout_ms / 1000)
        except TimeoutError:
            return UpdateResult(UpdateStatus.WAIT_TIMEOUT if options.wait else UpdateStatus.ACKNOWLEDGED)
        if not ids:
            return UpdateResult(UpdateStatus.ACKNOWLEDGED)
        return UpdateResult(UpdateStatus.COMPLETED if options.wait else UpdateStatus.ACKNOWLEDGED, max(ids))

    async def _everywhere(self, real: str, command: Command, timeout_ms: int) -> list[int]:
        """The shards are asked even if the state had it already: a crash may have come in between."""
        await self._propose(command)
        collection = self._shards.reached.collections.get(real)
        if collection is None:
            raise collection_not_found(real)
        results = await asyncio.gather(
            *(
                self._primaries.settle_schema(collection, shard_id, collection.config_version)
                for shard_id in sorted(collection.shards)
            )
        )
        await self._settling.wait(timeout_ms)
        return [result.operation_id for result in results if result.operation_id is not None]
