"""One recovery of a collection at a time, planned anew when the cluster has moved on meanwhile.

Two at once would each be planned for the terms that the other is about to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

from consensus.events import Outdated

T = TypeVar("T")

OUTDATED_RETRIES_MAX = 3


class Turns:
    """By the collections' real names; a name that nobody waits for takes no room."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[None]:
        """Nobody else's turn within the block."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            yield

    async def take(self, name: str, once: Callable[[], Awaitable[T]]) -> T:
        """What ``once`` returns. It is called again, from its beginning, if it was ``Outdated``."""
        async with self.held(name):
            return await planned_anew(once)


async def planned_anew(once: Callable[[], Awaitable[T]]) -> T:
    """What ``once`` returns. It is called again if it was ``Outdated``."""
    for _ in range(OUTDATED_RETRIES_MAX):
        try:
            return await once()
        except Outdated:
            continue
    return await once()
