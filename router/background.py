"""Calls that go on when their caller stops waiting.

A change of metadata that has begun must reach its end (a collection that is half created serves no
one), so it runs as a task of its own: a timeout or a disconnected client ends the waiting only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from protos.logger import get_logger

T = TypeVar("T")

_log = get_logger(__name__)


class Background:
    """Keeps tasks alive until they end, and tells of failures nobody waited for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def finish(self, call: Coroutine[Any, Any, T], *, what: str, timeout_s: float) -> T:
        """Return what ``call`` returns, or leave it running.

        Raises: TimeoutError after ``timeout_s``; what ``call`` raises.
        """
        task = asyncio.create_task(call, name=what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.wait((task,), timeout=timeout_s)  # which cancels nothing
        finally:
            if not task.done():
                task.add_done_callback(_tell)
        if not task.done():
            raise TimeoutError
        return task.result()

    async def drain(self) -> None:
        """Wait until every task that was left running has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)


def _tell(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("background_call_failed", call=task.get_name(), error=str(task.exception()))
