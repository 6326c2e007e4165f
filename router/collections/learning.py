"""Whether this node knows by now of all that was agreed on before it started.

A member that starts has what it had put into a snapshot; what came after, it learns from the leader to be
agreed on. Until then it must not say that there is no collection of a name. May not live here: readiness
(``router.cluster.readiness``), which asks for more.
"""

from __future__ import annotations

import asyncio
from typing import Final

from node.client.cluster import ClusterClient
from protos.errors import ShardUnavailable, VecraftError
from protos.tasks import end_all

AGAIN_S: Final = 0.5


class Learning:
    """``over`` from the first on, unless it is begun."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._over.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        return self._over.is_set()

    def begin(self, cluster: ClusterClient) -> None:
        self._over.clear()
        self._task = asyncio.create_task(self._learn(cluster), name="learn what was agreed on")

    async def wait(self, timeout_s: float) -> None:
        """Raises: TimeoutError."""
        async with asyncio.timeout(timeout_s):
            await self._over.wait()

    async def close(self) -> None:
        if self._task is not None:
            await end_all([self._task])

    async def _learn(self, cluster: ClusterClient) -> None:
        while not self.over:
            try:
                await cluster.catch_up()
                self._over.set()
            except VecraftError:  # there is no leader yet
                await asyncio.sleep(AGAIN_S)


def not_known_yet(name: str) -> ShardUnavailable:
    return ShardUnavailable(
        f"this node has just started and does not know yet whether there is a collection `{name}`"
    )
