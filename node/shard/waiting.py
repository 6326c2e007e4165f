"""Waiting until a number that only grows has reached another."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class Milestones:
    """On one event loop."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._waiting: list[tuple[int, int, asyncio.Future[bool]]] = []
        self._order = itertools.count()

    def reached(self, now: int) -> None:
        """The number is ``now``. It may fall when a log is cut; that wakes nobody."""
        self._now = now
        while self._waiting and self._waiting[0][0] <= now:
            _settle(heapq.heappop(self._waiting)[2], True)

    def give_up(self, above: int | None = None) -> None:
        """End the waiting for what is above ``above`` (None: all)."""
        kept = []
        for waiting in self._waiting:
            if above is None or waiting[0] > above:
                _settle(waiting[2], False)
            else:
                kept.append(waiting)
        heapq.heapify(kept)
        self._waiting = kept

    async def wait(self, goal: int) -> bool:
        """Return True when the number is ``goal`` or more, False when that was given up."""
        if self._now >= goal:
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (goal, next(self._order), future))
        return await future


def _settle(future: asyncio.Future[bool], result: bool) -> None:
    if not future.done():
        future.set_result(result)
