"""Fixed pools of threads, and serial queues on top of them.

FAISS and numpy work runs here and never on the event loop. Each thread uses one OpenMP thread, so a pool's
size is the number of cores it can keep busy. ``SerialExecutor`` gives each key (a shard) a queue whose
functions run one at a time, in order, on whichever thread is free: a writer without a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

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
    """``threads`` threads that share one unbounded queue.

    Not a ThreadPoolExecutor: a hop to one of its threads and back costs a search a fifth of its time. Of idle
    threads the one that worked last is woken, whose core still holds what the next call is likely to need.
    """

    def __init__(self, threads: int, name: str) -> None:
        self.threads = threads
        self._name = name
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()  # not empty only while no thread is idle
        self._idle: list[_Worker] = []
        self._started: list[threading.Thread] = []
        self._closed = False

    @property
    def busy(self) -> int:
        """Threads at work."""
        return len(self._started) - len(self._idle)

    @property
    def waiting(self) -> int:
        """Calls that no thread has taken up yet."""
        return len(self._waiting)

    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``fn`` in a thread, in the caller's context. Cancelled before it starts: it never does."""
        return await self._begin(partial(contextvars.copy_context().run, fn, *args, **kwargs))

    def _begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        self.start(_Job(work, loop, waiter))
        return waiter

    def submit(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The same from any thread. Raises: RuntimeError after ``close``."""
        future: Future[T] = Future()
        job = partial(contextvars.copy_context().run, fn, *args, **kwargs)
        self.start(partial(_run_for, future, job))
        return future

    def start(self, call: Callable[[], None]) -> None:
        """``call`` raises nothing, and nobody waits for it. Raises: RuntimeError after ``close``."""
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the pool {self._name!r} is closed")
            if self._idle:
                worker = self._idle.pop()
                worker.call = call
            elif len(self._started) < self.threads:
                self._start_thread(call)
                return
            else:
                self._waiting.append(call)
                return
        worker.wake.release()

    def close(self) -> None:
        """Finish what is queued, then end the threads; blocks."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.wake.release()
        for thread in self._started:
            thread.join()

    def _start_thread(self, call: Callable[[], None]) -> None:
        # Daemons: a process that ends without ``close`` does not wait for them.
        name = f"{self._name}_{len(self._started)}"
        thread = threading.Thread(target=self._serve, args=(_Worker(call),), name=name, daemon=True)
        self._started.append(thread)
        thread.start()

    def _serve(self, worker: _Worker) -> None:
        set_threads(1)
        while (call := worker.call) is not None:
            worker.call = None
            call()
            del call  # it holds on to what it was given, such as a view
            with self._lock:
                if self._waiting:
                    worker.call = self._waiting.popleft()
                    continue
                if self._closed:
                    return
                self._idle.append(worker)
            worker.wake.acquire()


class _Worker:
    """A thread of a pool: what it is to do next, and the lock it sleeps on. Woken for nothing, it ends."""

    __slots__ = ("call", "wake")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call
        self.wake = threading.Lock()
        self.wake.acquire()


class _Job:
    """A call in a thread that a future of a loop waits for.

    An error keeps the frames it came through, and those what they name. So that it does not keep itself, and
    all that the function was given, no frame here names it, and the future is let go with it.
    """

    __slots__ = ("_loop", "_waiter", "_work")

    def __init__(
        self, work: Callable[[], object], loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[Any]
    ) -> None:
        self._work, self._loop = work, loop
        self._waiter: asyncio.Future[Any] | None = waiter

    def __call__(self) -> None:
        if self._waiter is not None and not self._waiter.cancelled():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._settle, *self._outcome())

    def _outcome(self) -> tuple[object, BaseException | None]:
        try:
            return self._work(), None
        except BaseException as error:  # noqa: BLE001 - whoever awaits the future gets it
            return None, error

    def _settle(self, result: object, error: BaseException | None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(result)
        else:
            waiter.set_exception(error)


def _run_for(future: Future[Any], job: Callable[[], object]) -> None:
    """Run ``job`` unless ``future`` was cancelled, and settle the future."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = job()
    except BaseException as error:  # noqa: BLE001 - whoever awaits the future gets it
        future.set_exception(error)
    else:
        future.set_result(result)


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
        call = partial(_run_for, future, partial(contextvars.copy_context().run, fn, *args, **kwargs))
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
