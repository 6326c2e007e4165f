"""What one replica would have the cluster agree on, beside everything else it does.

A proposal that comes to nothing was outdated, or is made again as long as it matters: nobody waits for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from consensus.commands import Command
from protos.errors import VecraftError
from protos.logger import get_logger
from protos.tasks import end_all

log = get_logger()

PROPOSALS_MAX = 8  # under way at once; more would only repeat what these ask for


class Proposals:
    """``propose`` raises VecraftError. ``close`` it."""

    def __init__(self, propose: Callable[[Command], Awaitable[None]]) -> None:
        self._propose = propose
        self._running: set[asyncio.Task[None]] = set()

    def make(self, command: Command) -> None:
        """Unless so many are under way that it may as well be made later."""
        if len(self._running) < PROPOSALS_MAX:
            task = asyncio.create_task(self._try(command))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _try(self, command: Command) -> None:
        try:
            await self._propose(command)
        except VecraftError as error:
            log.info("proposal_without_effect", command=type(command).__name__, error=str(error))

    async def close(self) -> None:
        """End those that are under way; whether they are agreed on is not known."""
        await end_all(self._running)
