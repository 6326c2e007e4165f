"""The queue in front of a replica: writes wait here, and leave in groups.

Lives here: the asyncio side of writing: bounds, grouping, futures.
May not live here: what a write does (``commit``, or ``node.shard`` in a cluster), how long its caller waits
(``updates``).

Invariants: at most ``QUEUE_OPERATIONS_MAX`` writes and about ``QUEUE_BYTES_MAX`` bytes wait; writes leave in
the order they came; a write that was taken up is done even if nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context

from msgspec import Struct

from node.replica.staging import Done, Write
from protos.errors import ServiceError
from protos.logger import get_logger
from protos.operations import UpdateVectors, Upsert

log = get_logger()

QUEUE_OPERATIONS_MAX = 4096
QUEUE_BYTES_MAX = 256 << 20
GROUP_OPERATIONS_MAX = 256
GROUP_BYTES_MAX = 16 << 20
_WRITE_BYTES = 512  # of a small write

Outcome = Done | asyncio.Future[Done]
Commit = Callable[[Sequence[Write]], Awaitable[Sequence[Outcome]]]


class _Waiting(Struct, frozen=True):
    write: Write
    size_bytes: int
    future: asyncio.Future[Done]


class Writer:
    """Gives the writes to ``commit``, a group at a time."""

    def __init__(self, commit: Commit) -> None:
        """``commit`` has an outcome for each write, perhaps a later one; when it returns, the next group may
        be committed."""
        self._commit = commit
        self._queue: deque[_Waiting] = deque()
        self._draining: asyncio.Task[None] | None = None
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
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(write, size, future))
        if self._draining is None:
            # In a context of its own: the group is not the business of the request that happens to begin it.
            self._draining = asyncio.create_task(self._drain(), context=Context())
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

    async def _drain(self) -> None:
        while self._queue:
            group = self._take()
            try:
                outcomes = await self._commit([waiting.write for waiting in group])
            except Exception as error:
                log.exception("group_failed", operations=len(group))
                outcomes = [Done(None, ServiceError(f"{type(error).__name__}: {error}"))] * len(group)
            for waiting, outcome in zip(group, outcomes, strict=True):
                self._expect(waiting, outcome)
            await self._notify()
        self._draining = None

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        while self._queue and len(group) < GROUP_OPERATIONS_MAX:
            size += self._queue[0].size_bytes
            if group and size > GROUP_BYTES_MAX:
                break
            group.append(self._queue.popleft())
        return group

    def _expect(self, waiting: _Waiting, outcome: Outcome) -> None:
        if isinstance(outcome, Done):
            self._settle(waiting, outcome)
            return

        def later(future: asyncio.Future[Done]) -> None:
            self._settle(waiting, future.result())
            self._waking = asyncio.ensure_future(self._notify())

        outcome.add_done_callback(later)

    def _settle(self, waiting: _Waiting, done: Done) -> None:
        if not waiting.future.done():
            waiting.future.set_result(done)
        self._operations -= 1
        self._bytes -= waiting.size_bytes

    async def _notify(self) -> None:
        async with self._room:
            self._room.notify_all()


def size_bytes(write: Write) -> int:
    """About the memory that ``write`` holds."""
    change = write.change
    size = _WRITE_BYTES
    if isinstance(change, Upsert | UpdateVectors):
        size += sum(batch.size_bytes for batch in change.vectors)
    if isinstance(change, Upsert):
        size += sum(map(len, change.payloads))
    return size
