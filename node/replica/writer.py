"""The queue in front of a replica: writes wait here, and leave in groups.

Lives here: the asyncio side of writing: bounds, grouping, futures, timeouts.
May not live here: what a write does (``commit``).

Invariants: at most ``QUEUE_OPERATIONS_MAX`` writes and about ``QUEUE_BYTES_MAX`` bytes wait; writes leave in
the order they came; a write that was taken up is done even if nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence

import structlog
from msgspec import Struct

from node.replica.staging import Done, Write
from protos.errors import ServiceError
from protos.operations import UpdateVectors, Upsert

log = structlog.get_logger()

QUEUE_OPERATIONS_MAX = 4096
QUEUE_BYTES_MAX = 256 << 20
GROUP_OPERATIONS_MAX = 256
GROUP_BYTES_MAX = 16 << 20
_WRITE_BYTES = 512  # of a small write

Commit = Callable[[Sequence[Write]], list[Done]]
Submit = Callable[[Callable[[], None]], object]


class _Waiting(Struct, frozen=True):
    write: Write
    size_bytes: int
    future: asyncio.Future[Done]


class Writer:
    """``submit`` runs a function in the replica's serial executor; ``commit`` does a group there."""

    def __init__(self, commit: Commit, submit: Submit, *, after: Callable[[], None]) -> None:
        """``after`` is called in the event loop after each group."""
        self._commit, self._submit, self._after = commit, submit, after
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._draining = False
        self._room = asyncio.Condition()
        self._operations = 0
        self._bytes = 0
        self._closed = False

    @property
    def length(self) -> int:
        """Writes accepted and not yet done."""
        return self._operations

    async def write(self, write: Write) -> Done:
        """Do ``write`` after all before it; returns when it is durable and visible, or has failed.

        Cancelled while it waits for room it is not done; later it is.
        """
        size = size_bytes(write)
        async with self._room:
            await self._room.wait_for(lambda: self._closed or self._has_room(size))
            if self._closed:
                raise ServiceError("the shard is being closed")
            self._operations += 1
            self._bytes += size
        future: asyncio.Future[Done] = self._loop.create_future()
        with self._lock:
            self._queue.append(_Waiting(write, size, future))
            start = not self._draining
            self._draining = True
        if start:
            self._submit(self._drain)
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Refuse new writes and wait for those that were taken up."""
        async with self._room:
            self._closed = True
            self._room.notify_all()
            await self._room.wait_for(lambda: self._operations == 0)

    def _has_room(self, size: int) -> bool:
        if not self._operations:
            return True
        return self._operations < QUEUE_OPERATIONS_MAX and self._bytes + size <= QUEUE_BYTES_MAX

    def _drain(self) -> None:
        """Do one group; the executor gets the next as a new task, so other shards have their turn."""
        group = self._take()
        try:
            done = self._commit([waiting.write for waiting in group])
        except BaseException as error:
            log.exception("group_failed", operations=len(group))
            done = [Done(None, ServiceError(f"{type(error).__name__}: {error}"))] * len(group)
        self._loop.call_soon_threadsafe(self._settle, group, done)
        with self._lock:
            more = self._draining = bool(self._queue)
        if more:
            self._submit(self._drain)

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        with self._lock:
            while self._queue and len(group) < GROUP_OPERATIONS_MAX:
                size += self._queue[0].size_bytes
                if group and size > GROUP_BYTES_MAX:
                    break
                group.append(self._queue.popleft())
        return group

    def _settle(self, group: list[_Waiting], done: list[Done]) -> None:
        for waiting, outcome in zip(group, done, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(outcome)
            self._operations -= 1
            self._bytes -= waiting.size_bytes
        self._after()
        self._wake = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._room:
            self._room.notify_all()


def size_bytes(write: Write) -> int:
    """About the memory that ``write`` holds."""
    change = write.change
    size = _WRITE_BYTES
    if isinstance(change, Upsert | UpdateVectors):
        size += sum(len(batch.data) for batch in change.vectors)
    if isinstance(change, Upsert):
        size += sum(map(len, change.payloads))
    return size
