"""Checkpoints of a replica in a cluster: nothing is stored that a cut of the log may take back.

Lives here: which drafts may be stored, and when.
May not live here: making them (``node.replica.checkpoint``).
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from node.replica.opened import CheckpointPostponed
from node.replication.machine import ReplicaMachine
from node.shard.waiting import Milestones

# How long a checkpoint waits to hear that all replicas have what it holds. Without a primary it never will.
COMMITTED_S = 20.0


class Owner(Protocol):
    machine: ReplicaMachine
    committed: Milestones

    async def shorten_log(self, seq: int) -> None:
        """A checkpoint holds everything up to ``seq``."""
        ...


class CommittedCheckpoints:
    """``node.replica.opened.Checkpoints`` of one opening of the files."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._limit: int | None = None
        self._closed = False

    def limit(self, seq: int | None) -> None:
        """What memory holds after ``seq`` is being cut; None: no more."""
        self._limit = seq if self._limit is None or seq is None else min(self._limit, seq)
        if self._limit is not None:
            self._owner.committed.give_up(self._limit)

    def close(self) -> None:
        """Do not wait any more."""
        self._closed = True
        self._owner.committed.give_up()

    async def before_store(self, seq: int) -> None:
        committed = self._owner.machine.committed >= seq
        if not committed and not self._closed and not self._is_cut(seq):
            committed = await self._wait(seq)
        if not committed or self._is_cut(seq):
            raise CheckpointPostponed(f"operation {seq} is not known to be on all replicas in sync")

    async def checkpointed(self, seq: int) -> None:
        await self._owner.shorten_log(seq)

    async def _wait(self, seq: int) -> bool:
        try:
            async with asyncio.timeout(COMMITTED_S):
                return await self._owner.committed.wait(seq)
        except TimeoutError:
            return False

    def _is_cut(self, seq: int) -> bool:
        return self._limit is not None and seq > self._limit
