"""A client's update as a write in the queue, and the answer to it (reference 8.2).

Lives here: how long a caller waits, what it is told. A write goes on when its caller stops waiting.
May not live here: what a write does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.replica.staging import Done, Write
from node.replica.writer import Writer
from protos.errors import NotFound
from protos.ids import PointId
from protos.operations import (
    AnyLogOperation,
    BeginIntake,
    DeletePoints,
    KnowOperations,
    PointChange,
    UpdateResult,
    UpdateStatus,
    WriteOrdering,
)
from protos.shard import Intake, UpdateRequest

UPDATE_TIMEOUT_MS = 60_000  # of writes that name none


class Updates:
    """``admit`` raises if a change may not be made now."""

    def __init__(self, writer: Writer, admit: Callable[[PointChange], None]) -> None:
        self._writer, self._admit = writer, admit
        self._running: set[asyncio.Task[Done]] = set()

    async def update(self, request: UpdateRequest) -> UpdateResult:
        """Durable on return; with ``wait`` visible, too.

        Raises: BadInput, NotFound (only when ``wait``), InsufficientStorage, ServiceError.
        """
        self._admit(request.change)
        write = Write(
            change=request.change,
            operation_id=request.operation_id,
            visible=request.wait,
            confirm_term=request.ordering is WriteOrdering.STRONG,
            answers_since=request.answers_since,
            former_ids=request.former_ids,
        )
        timeout_ms = UPDATE_TIMEOUT_MS if request.timeout_ms is None else request.timeout_ms
        done = await self._within(write, timeout_ms if request.wait else None)
        return _answer(done, wait=request.wait)

    async def log(self, operation: AnyLogOperation, *, config_version: int) -> UpdateResult:
        """A change of payload indexes or vector names; durable and visible on return."""
        done = await self._within(Write(operation=operation, config_version=config_version), None)
        return _answer(done, wait=True)

    async def take(self, intake: Intake) -> UpdateResult:
        """Copies of points from another shard; durable and visible on return.

        Raises: IntakeOver, and what writes raise.
        """
        operation: AnyLogOperation | None = None
        if intake.change is None:
            term, number = intake.session
            operation = (
                KnowOperations(intake.known) if intake.known else BeginIntake(intake.source, term, number)
            )
        else:
            self._admit(intake.change)
        write = Write(intake.change, operation, intake.operation_id, intake=intake)
        return _answer(await self._within(write, None), wait=True)

    async def clean(self, ids: list[PointId]) -> UpdateResult:
        """Remove points that are not the shard's own; durable and visible on return."""
        return _answer(await self._within(Write(DeletePoints(ids=ids), cleans=True), None), wait=True)

    async def _within(self, write: Write, timeout_ms: int | None) -> Done | None:
        """None: the time is over; the write goes on."""
        task = asyncio.create_task(self._writer.write(write))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.wait((task,), timeout=None if timeout_ms is None else timeout_ms / 1000)
        return task.result() if task.done() else None


def _answer(done: Done | None, *, wait: bool) -> UpdateResult:
    """Raises: the write's error, unless nobody waits and it names a missing point."""
    if done is None:
        return UpdateResult(UpdateStatus.WAIT_TIMEOUT)
    if done.error is not None and (wait or not isinstance(done.error, NotFound)):
        raise done.error
    return UpdateResult(UpdateStatus.COMPLETED if wait else UpdateStatus.ACKNOWLEDGED, done.seq)
