"""The agreed state, and waiting for it to change.

Lives here: waking who waits for the metadata log. May not live here: proposing, what a change means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from consensus.log import MetadataLog
from consensus.state import ClusterState, CollectionState
from consensus.transitions import Events


class StateWatch:
    """For one event loop. ``close`` ends it."""

    def __init__(self, log: MetadataLog) -> None:
        self._log = log
        self._next: asyncio.Future[None] | None = None
        self.close = log.subscribe(self._changed)

    @property
    def peer_id(self) -> int:
        """This member's."""
        return self._log.peer_id

    @property
    def state(self) -> ClusterState:
        return self._log.state

    def same(self, collection: CollectionState) -> CollectionState | None:
        """The collection as it is now; None if it is gone, though there may be another of its name."""
        now = self.state.collections.get(collection.name)
        return now if now is not None and now.uuid == collection.uuid else None

    def next_change(self) -> asyncio.Future[None]:
        """Done at the next change. Many wait for it: give it to ``asyncio.wait``, which cancels nothing.

        Take it before looking at the state, or a change in between is missed. May be done without a change.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    async def until(self, condition: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait until ``condition`` holds, which is asked again at each change. Returns: does it hold?"""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while True:
            change = self.next_change()
            if condition():
                return True
            left = end - loop.time()
            if left <= 0:
                return False
            await asyncio.wait((change,), timeout=left)

    def wake(self) -> None:
        """End the waiting for ``next_change``."""
        change, self._next = self._next, None
        if change is not None and not change.done():
            change.set_result(None)

    def _changed(self, _state: ClusterState, _events: Events) -> None:
        self.wake()
