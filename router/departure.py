"""Whether this node is about to go, as those who send it requests are told.

From then on it is not ready, its answers end their connections, and gRPC's health check says so; it answers
all the same, until those who balance load have heard of it (``service.shutdown_delay_sec``).
"""

from __future__ import annotations

import asyncio


class Departure:
    """``begun`` stays so."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    @property
    def begun(self) -> bool:
        return self._begun.is_set()

    def begin(self) -> None:
        self._begun.set()

    async def wait(self) -> None:
        """Until it has begun."""
        await self._begun.wait()
