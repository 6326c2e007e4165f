"""Waiting, as far as it goes, until the whole cluster can use what has just been agreed on.

Best effort (reference 7.2, 14.10): what does not answer in time may be down, which is the controller's
business; requests that come too early for a replica are tried again where they arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from consensus.replica_sets import IN_SYNC
from consensus.state import CollectionState
from node.client import NodeClient
from node.client.cluster import ClusterClient
from protos.errors import VecraftError
from protos.shard import ReadSession
from router.watch import StateWatch

SETTLING_S = 3.0
POLL_S = 0.02
POLL_S_MAX = 0.25
CALL_S = 1.0  # one question to one peer


class Settling:
    def __init__(self, watch: StateWatch, node: NodeClient, cluster: ClusterClient) -> None:
        self._watch, self._node, self._cluster = watch, node, cluster

    async def wait(self, collection: CollectionState, shard_ids: Iterable[int], *, timeout_s: float) -> None:
        """Return when the shards' replicas in sync answer and every peer knows of them, or time is over."""
        own = self._watch.peer_id
        replicas = [
            (shard_id, peer)
            for shard_id in shard_ids
            for peer, state in collection.shards[shard_id].replicas.items()
            if peer != own and state in IN_SYNC
        ]
        commit = self._cluster.status().commit
        others = [peer for peer in self._watch.state.peers if peer != own]
        waits = [_until(self._answers(collection, *replica)) for replica in replicas]
        waits += [_until(self._has_reached(peer, commit)) for peer in others]
        tasks = [asyncio.create_task(wait) for wait in waits]
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=min(timeout_s, SETTLING_S))
        finally:
            for task in tasks:
                task.cancel()

    def _answers(
        self, collection: CollectionState, shard_id: int, peer: int
    ) -> Callable[[], Awaitable[bool]]:
        async def ask() -> bool:
            async with asyncio.timeout(CALL_S):
                await self._node.replica(collection, shard_id, peer).open(ReadSession()).info()
            return True

        return ask

    def _has_reached(self, peer: int, commit: int) -> Callable[[], Awaitable[bool]]:
        async def ask() -> bool:
            return await self._cluster.commit_index(peer, timeout_s=CALL_S) >= commit

        return ask


async def _until(ask: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again, until cancelled."""
    pause_s = POLL_S
    while True:
        try:
            if await ask():
                return
        except (VecraftError, TimeoutError):
            pass
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, POLL_S_MAX)
