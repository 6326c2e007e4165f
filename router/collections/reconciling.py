"""Bringing this node's shards to the cluster state, and telling when they are there.

Lives here: the order of reconciliations, waiting for one, following what other members change.
May not live here: what reconciling does (``node.client``), proposing changes.

Invariant: shards are reconciled one at a time and always with the latest state; an older state would
drop what a later command created.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from consensus.log import MetadataLog
from consensus.state import ClusterState, CollectionState
from consensus.transitions import Events
from node.client import NodeClient

RETRY_S = 1.0  # after a reconciliation that failed, if nothing changes before

_log = structlog.get_logger(__name__)


class Reconciler:
    def __init__(self, log: MetadataLog, node: NodeClient, *, opened: bool = True) -> None:
        """``opened``: the node has been reconciled with the log's present state already."""
        self._log, self._node = log, node
        self._turn = asyncio.Lock()
        self._reached = log.state if opened else ClusterState()
        self._advance = asyncio.Event()

    async def follow(self) -> None:
        """Reconcile now and after each change of the state, until cancelled."""
        changed = asyncio.Event()

        def note(_state: ClusterState, _events: Events) -> None:
            changed.set()

        stop = self._log.subscribe(note)
        try:
            while True:
                changed.clear()
                done = await self._try()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), None if done else RETRY_S)
        finally:
            stop()

    async def _try(self) -> bool:
        if self._reached is self._log.state:
            return True
        try:
            await self.run()
        except Exception:  # noqa: BLE001 - whatever it is, the shards are to follow the next state
            _log.exception("reconciliation_failed", version=self._log.state.version)
            return False
        return True

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
