"""How the process ends: its exit statuses, who may ask for the end, and the bound on how long it takes.

May not live here: what is closed, and in which order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from protos.logger import get_logger

EXIT_FAILED = 1
EXIT_BOOTSTRAP_REFUSED = 101  # what operators' scripts know it by (reference 18.5)
EXIT_METADATA_FAILED = 102  # the agreed log cannot be gone on with; a restart may find out why
EXIT_REMOVED = 103  # from the cluster; started again with ``--rejoin`` it joins as a new peer
STOP_S_MAX = 60.0  # for everything that is closed; killing is safe, so waiting for ever is not needed

_T = TypeVar("_T")
_log = get_logger(__name__)


def ignore_signals() -> None:
    """The process ends already: being told so once more must not take its status away."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


class CannotStart(Exception):
    """The node cannot run here; the text tells the operator why."""

    def __init__(self, reason: str, *, status: int = EXIT_FAILED) -> None:
        super().__init__(reason)
        self.status = status


class Ended(Exception):
    """The end was asked for while something was being waited for."""


class Ending:
    """Whether the process is to end, and with which status. Make it on a running event loop."""

    def __init__(self) -> None:
        self.status = 0
        self._asked = asyncio.Event()

    def on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):  # no meaning; by default they end us
            signal.signal(number, signal.SIG_IGN)

    def ask(self) -> None:
        """End well."""
        if not self._asked.is_set():
            self._bound()
            self._asked.set()

    def fail(self, status: int, reason: str) -> None:
        """End, because going on would be wrong. The first failure gives the status."""
        _log.error("must_end", reason=reason, status=status)
        self.status = self.status or status
        self.ask()

    async def wait(self) -> None:
        await self._asked.wait()

    async def unless_asked(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What ``work`` returns. Raises: Ended if the end is asked for first; ``work`` is then cancelled."""
        task, asked = asyncio.create_task(work), asyncio.create_task(self.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Ended
            return task.result()
        finally:
            asked.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def _bound(self) -> None:
        """A thread's clock: the event loop may be what hangs."""
        timer = threading.Timer(STOP_S_MAX, self._give_up)
        timer.daemon = True
        timer.start()

    def _give_up(self) -> None:
        _log.error("ended_without_closing_everything", after_s=STOP_S_MAX)
        os._exit(self.status or EXIT_FAILED)
