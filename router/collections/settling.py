"""Waiting, as far as it goes, until the whole cluster can use what has just been agreed on.

Best effort (reference 7.2, 14.10): what does not answer in time may be down, which is the controller's
business; requests that come too early for a replica are tried again where they arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from consensus.replica_sets import is_in_sync
from consensus.state import CollectionState, ShardKey, ShardState
from node.client import NodeClient
from node.client.asking import until
from node.client.cluster import ClusterClient
from protos.shard import ReadSession
from router.watch import StateWatch

SETTLING_S = 3.0
BUDGET_SHARE = 0.8  # of the caller's time: what is agreed on must not look as if it were not
UNREACHABLE_S = 1.0  # a peer that gives no answer for so long is not waited for
CALL_S = 1.0  # one question to one peer


class Settling:
    """``cluster`` None: there are no other nodes to wait for."""

    def __init__(self, watch: StateWatch, node: NodeClient, cluster: ClusterClient | None) -> None:
        self._watch, self._node, self._cluster = watch, node, cluster

    async def wait(
        self, budget_ms: int, collection: CollectionState | None = None, key: ShardKey | None = None
    ) -> None:
        """Return when every peer, and every router, knows what this node does, or it has taken long enough.

        Args:
            budget_ms: the caller's whole time, a share of which may be used.
            collection: one whose replicas in sync are to answer, too; with a ``key``, only that key's.
        """
        if self._cluster is None:
            return
        shards = [] if collection is None else collection.shards.values()
        new = [shard for shard in shards if key in (None, shard.key)]
        commit = self._cluster.status().commit
        own = self._watch.peer_id
        tasks = [
            asyncio.create_task(
                self._settled(
                    self._cluster,
                    peer,
                    commit,
                    collection,
                    [one for one in new if is_in_sync(one, peer) and peer != own],
                )
            )
            for peer in self._watch.state.peers  # this one included, for the sake of routers that follow it
        ]
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=min(budget_ms / 1000 * BUDGET_SHARE, SETTLING_S))
        finally:
            for task in tasks:
                task.cancel()

    async def _settled(
        self,
        cluster: ClusterClient,
        peer: int,
        commit: int,
        collection: CollectionState | None,
        shards: Sequence[ShardState],
    ) -> None:
        """``shards`` of ``collection`` are those that the peer holds, and is to be asked for."""

        async def follows() -> bool:
            return await cluster.known_index(peer, timeout_s=CALL_S) >= commit

        if await until(follows, patience_s=UNREACHABLE_S) and collection is not None:
            for shard in shards:
                answers = partial(self._answers, collection, shard.id, peer)
                await until(answers, patience_s=SETTLING_S)

    async def _answers(self, collection: CollectionState, shard_id: int, peer: int) -> bool:
        async with asyncio.timeout(CALL_S):
            await self._node.replica(collection, shard_id, peer).open(ReadSession()).info()
        return True
