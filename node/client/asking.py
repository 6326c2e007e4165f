"""Asking another node until the answer is yes, or until there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from protos.errors import VecraftError

POLL_S = 0.02
POLL_S_MAX = 0.25


async def until(ask: Callable[[], Awaitable[bool]], *, patience_s: float) -> bool:
    """Ask until it is so. False: there was no answer at all for ``patience_s``."""
    loop = asyncio.get_running_loop()
    answered, pause_s = loop.time(), POLL_S
    while True:
        try:
            if await ask():
                return True
            answered = loop.time()
        except (VecraftError, TimeoutError):
            if loop.time() - answered >= patience_s:
                return False
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, POLL_S_MAX)
