"""Ends of tasks, and the way from another thread to an event loop, for every floor that has some."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any


async def end_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel ``tasks`` and return when all of them have ended, whatever with."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


def heed(task: asyncio.Task[Any]) -> None:
    """A callback of tasks that perhaps nobody waits for: their errors are not reported as unseen."""
    if not task.cancelled():
        task.exception()


def post(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *arguments: object) -> None:
    """Have ``loop`` call ``callback``; from any thread. Once the loop is closed nobody waits for that."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *arguments)
