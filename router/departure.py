"""Whether this node is about to go, as those who send it requests are told.

From then on it is not ready, its answers end their connections, and gRPC's health check says so; it answers
all the same, until those who balance load have heard of it (``service.shutdown_delay_sec``).

A node that is being drained may leave the cluster when it is empty, and then answers nothing more. So it ends
connections, too, that are made anew elsewhere if it is no longer an endpoint; otherwise it serves as ever.
"""

from __future__ import annotations

import asyncio


class Departure:
    """``begun`` stays so. Use on one event loop."""

    def __init__(self) -> None:
        self._begun, self._ends_connections = asyncio.Event(), asyncio.Event()

    @property
    def begun(self) -> bool:
        return self._begun.is_set()

    @property
    def ends_connections(self) -> bool:
        return self._ends_connections.is_set()

    def begin(self) -> None:
        self._begun.set()
        self._ends_connections.set()

    def drained(self, draining: bool) -> None:
        """This node is being drained, or no longer."""
        if draining or self.begun:
            self._ends_connections.set()
        else:
            self._ends_connections.clear()

    async def wait(self) -> None:
        """Until it has begun."""
        await self._begun.wait()

    async def until_connections_end(self) -> None:
        await self._ends_connections.wait()
