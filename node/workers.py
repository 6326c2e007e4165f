"""Fixed pools of threads, and serial queues on top of them.

FAISS and numpy work runs here and never on the event loop. Each thread uses one OpenMP thread, so a pool's
size is the number of cores it can keep busy. ``SerialExecutor`` gives each key (a shard) a queue whose
functions run one at a time, in order, on whichever thread is free: a writer without a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from node.index import set_threads

P = ParamSpec("P")
T = TypeVar("T")


async def to_its_end(call: Awaitable[T]) -> T:
    """Wait for ``call`` even while being cancelled: what it works on is the caller's again afterwards."""
    task = asyncio.ensure_future(call)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        _ = task.cancelled() or task.exception()  # seen, so not complained about
        raise asyncio.CancelledError
    return task.result()


class WorkerPool:
    """``threads`` threads that share one unbounded queue."""

    def __init__(self, threads: int, name: str) -> None:
        self.threads = threads
        self._executor = ThreadPoolExecutor(threads, name, initializer=set_threads, initargs=(1,))

    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``fn`` in a thread, in the caller's context. Cancelled before it starts: it never does."""
        return await asyncio.wrap_future(self.submit(fn, *args, **kwargs))

    def submit(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The same from any thread. Raises: RuntimeError after ``close``."""
        context = contextvars.copy_context()
        return self._executor.submit(lambda: context.run(fn, *args, **kwargs))

    def close(self) -> None:
        """Finish what is queued, then end the threads; blocks."""
        self._executor.shutdown()


class SerialExecutor:
    """Per key: first in, first out, one at a time. Keys run side by side and take turns."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._queues: dict[Hashable, deque[Callable[[], None]]] = {}  # a key is in it while it has work

    async def run(self, key: Hashable, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``fn`` after everything given before under ``key``."""
        return await asyncio.wrap_future(self.submit(key, fn, *args, **kwargs))

    def submit(self, key: Hashable, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The same from any thread. Raises: RuntimeError after the pool was closed."""
        future: Future[T] = Future()
        context = contextvars.copy_context()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = context.run(fn, *args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever awaits the future gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            queue = self._queues.setdefault(key, deque())
            if not queue:
                self._start(key)
            queue.append(call)
        return future

    def _start(self, key: Hashable) -> None:
        try:
            self._pool.submit(self._step, key)
        except RuntimeError:
            del self._queues[key]
            raise

    def _step(self, key: Hashable) -> None:
        """Run the first of the queue. It stays in place meanwhile, which marks the key as busy."""
        while True:
            with self._lock:
                call = self._queues[key][0]
            call()
            with self._lock:
                self._queues[key].popleft()
                if not self._queues[key]:
                    del self._queues[key]
                    return
            try:
                self._pool.submit(self._step, key)
            except RuntimeError:
                continue  # the pool is closing and finishes what is queued: here
            return
