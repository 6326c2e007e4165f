"""Bringing this node's shards to the cluster state, and telling when they are there.

Lives here: the order of reconciliations, following changes that others make, waiting for one.
May not live here: what reconciling does (``node.client``), proposing changes.

Invariant: shards are reconciled one at a time and always with the latest state; an older state would
drop what a later command created.
"""

from __future__ import annotations

import asyncio

from consensus.replica_sets import IN_SYNC
from consensus.state import ClusterState, CollectionState, ShardState
from node.client import NodeClient
from protos.logger import get_logger
from router.watch import StateWatch

RETRY_S = 1.0  # after a reconciliation that failed, unless the state changes before

_log = get_logger(__name__)


class Reconciler:
    """``reached`` is the state that the shards were brought to last."""

    def __init__(self, watch: StateWatch, node: NodeClient, *, reached: ClusterState) -> None:
        """The node has been reconciled with ``reached`` already."""
        self._watch, self._node = watch, node
        self._turn = asyncio.Lock()
        self.reached = reached
        self._advance = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        """Return when the shards are what the state says now, or said later."""
        async with self._turn:
            await self._reconcile()

    async def follow(self) -> None:
        """Reconcile after every change of the state, whoever made it. Returns soon after ``stop``.

        Not to be cancelled: what is half opened would be left behind.
        """
        while not self._stopping:
            change = self._watch.next_change()
            patience_s = None if await self._caught_up() else RETRY_S
            if not self._stopping:
                await asyncio.wait((change,), timeout=patience_s)

    def stop(self) -> None:
        self._stopping = True
        self._watch.wake()

    async def _caught_up(self) -> bool:
        """Reconcile if need be. Returns: are the shards what the state said?"""
        try:
            async with self._turn:
                if self.reached is not self._watch.state:
                    await self._reconcile()
        except Exception:  # noqa: BLE001 - whatever it is, the node must go on following
            _log.exception("reconciliation_failed")
            return False
        return True

    async def _reconcile(self) -> None:
        state = self._watch.state
        await self._node.reconcile(state)
        self.reached = state
        advanced, self._advance = self._advance, asyncio.Event()
        advanced.set()

    def has_reached(self, collection: CollectionState) -> bool:
        """Are this node's replicas of the collection open, and those of a namesake before it gone?

        Replicas that are not in sync are not waited for: nobody reads them.
        """
        reached = self.reached.collections.get(collection.name)
        if reached is collection:
            return True
        own = self._watch.peer_id
        held = [shard.id for shard in collection.shards.values() if shard.replicas.get(own) in IN_SYNC]
        if not held:
            return True
        if reached is None or reached.uuid != collection.uuid:
            return False
        return all(_same_files(collection.shards[shard], reached.shards.get(shard), own) for shard in held)

    async def advanced(self) -> None:
        """Return after the next reconciliation."""
        await self._advance.wait()


def _same_files(shard: ShardState, reached: ShardState | None, peer_id: int) -> bool:
    """Had the peer the replica it is to have, and not one that a snapshot's files took the place of?"""
    if reached is None or peer_id not in reached.replicas:
        return False
    return shard.restored.get(peer_id) in (None, reached.restored.get(peer_id))
