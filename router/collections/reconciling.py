"""Bringing this node's shards to the cluster state, and telling when they are there.

Lives here: the order of reconciliations, and waiting for one.
May not live here: what reconciling does (``node.client``), proposing changes.

Invariant: shards are reconciled one at a time and always with the latest state; an older state would
drop what a later command created.
"""

from __future__ import annotations

import asyncio

from consensus.log import MetadataLog
from consensus.state import ClusterState, CollectionState
from node.client import NodeClient


class Reconciler:
    def __init__(self, log: MetadataLog, node: NodeClient) -> None:
        """The node has been reconciled with the log's present state already."""
        self._log, self._node = log, node
        self._turn = asyncio.Lock()
        self._reached: ClusterState = log.state
        self._advance = asyncio.Event()

    async def run(self) -> None:
        """Return when the shards are what the state says now, or said later."""
        async with self._turn:
            state = self._log.state
            await self._node.reconcile(state)
            self._reached = state
            advanced, self._advance = self._advance, asyncio.Event()
            advanced.set()

    def has_reached(self, collection: CollectionState) -> bool:
        """Are this node's shards of the collection open, and those of a namesake before it gone?"""
        reached = self._reached.collections.get(collection.name)
        return (
            reached is not None
            and reached.uuid == collection.uuid
            and reached.shards.keys() >= collection.shards.keys()
        )

    async def advanced(self) -> None:
        """Return after the next reconciliation."""
        await self._advance.wait()
