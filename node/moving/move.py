"""Copying the points of some buckets from one shard into another one until both have the same.

Lives here: one session of one move: what is sent in which order, and what may be claimed when.
May not live here: how shards are reached, when a session begins and ends, clocks.

Invariant: after each round the target has, of these buckets, what the source had at ``position``, or later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from consensus.state import ReshardingStage
from protos.ids import PointId
from protos.operations import OPERATION_ID_BYTES, DeletePoints, PointChange
from protos.rewriting import upsert_of
from protos.shard import Intake, Record

BATCH_POINTS = 200  # written together
PAGE_POINTS = 1000  # ids looked at together
KNOWN_MAX = 2000  # operation ids sent together
FEW_CHANGES = 200  # as many are left for when writes wait
FENCE_ROUNDS_MAX = 100  # of waiting for a fence to be logged; then it is lowered


class LogGone(Exception):
    """The source's log does not reach back so far any more."""


class Page(Struct, frozen=True):
    """Points of the buckets by ascending id; ``next``: where to go on, None: nowhere."""

    records: list[Record]
    next: PointId | None


class Changes(Struct, frozen=True):
    """What was committed until ``upto``: points of the buckets that it touched, and operations by id.

    ``step``: of the source's ownership as of ``upto``, if there was nothing behind it; 0: there was.
    ``answers``: does the source still answer for the buckets? What becomes of its points afterwards, they are
    only being removed, is no business of the target's.
    """

    upto: int
    ids: list[PointId]
    operations: list[bytes]
    step: int
    answers: bool = True


class Source(Protocol):
    """The buckets as the source's primary has them. All of it is committed."""

    async def position(self) -> int:
        """A seq that all later reads have reached."""
        ...

    async def operations(self) -> list[bytes]:
        """The ids of operations that are remembered."""
        ...

    async def count(self) -> int: ...

    async def page(self, start: PointId | None, limit: int) -> Page: ...

    async def changes(self, after: int) -> Changes:
        """Raises: LogGone."""
        ...

    async def records(self, ids: Sequence[PointId]) -> list[Record]:
        """Those that exist, as of the last ``changes`` or later."""
        ...

    async def more(self, after: int) -> None:
        """Return when something may have come behind ``after``."""
        ...


class Target(Protocol):
    """The shard that the buckets come into, by whoever leads it. Tries again what fails for a time."""

    async def take(self, intake: Intake) -> None:
        """Raises: IntakeOver."""
        ...

    async def held(self, limit: int) -> list[PointId]:
        """Some of the points of these buckets that it has."""
        ...


class Stage(Struct, frozen=True):
    """Where the resharding stands, as the source's node knows it."""

    stage: ReshardingStage
    step: int
    ready: bool
    whole: bool


class Claims(Protocol):
    """The agreement. What is claimed may get lost: it is claimed again as long as it is of use."""

    def stage(self) -> Stage | None:
        """None: this session is over."""
        ...

    async def ready(self) -> None: ...

    async def whole(self, step: int) -> None: ...

    async def lower(self, step: int) -> None: ...


class Report(Protocol):
    """Of how far it has come."""

    def expect(self, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


class BucketMove:
    """One session, which was agreed on (``BeginMove``) before ``run``."""

    def __init__(
        self,
        source: Source,
        target: Target,
        claims: Claims,
        report: Report,
        *,
        shard_id: int,
        session: tuple[int, int],
    ) -> None:
        """``shard_id``: the source's."""
        self._source, self._target, self._claims, self._report = source, target, claims, report
        self._shard_id, self._session = shard_id, session
        self._sent = self._fenced_rounds = 0

    async def run(self) -> None:
        """Return when the session is over. Raises: what the ports raise; LogGone."""
        await self._target.take(Intake(self._shard_id, self._session, operation_id=self._next_id()))
        await self._clear()
        position = await self._source.position()
        await self._tell_known(await self._source.operations())
        await self._copy_all()
        while True:
            changes = await self._source.changes(position)
            if not changes.answers:
                return
            await self._follow(changes)
            position = changes.upto
            stage = self._claims.stage()
            if stage is None:
                return
            await self._claim(stage, changes)
            await self._source.more(position)

    # --- sending ----------------------------------------------------------------------------------------

    async def _clear(self) -> None:
        """Of what an earlier session has sent nobody knows whether it is still so."""
        while ids := await self._target.held(PAGE_POINTS):
            await self._send(DeletePoints(ids=ids))

    async def _copy_all(self) -> None:
        self._report.expect(await self._source.count())
        start: PointId | None = None
        done = 0
        while True:
            page = await self._source.page(start, BATCH_POINTS)
            if page.records:
                await self._send(upsert_of(page.records))
            done += len(page.records)
            self._report.advance(done)
            if page.next is None:
                return
            start = page.next

    async def _follow(self, changes: Changes) -> None:
        for first in range(0, len(changes.ids), BATCH_POINTS):
            ids = changes.ids[first : first + BATCH_POINTS]
            records = await self._source.records(ids)
            there = {record.id for record in records}
            gone = [point_id for point_id in ids if point_id not in there]
            if records:
                await self._send(upsert_of(records))
            if gone:
                await self._send(DeletePoints(ids=gone))
        await self._tell_known(changes.operations)

    async def _tell_known(self, operations: list[bytes]) -> None:
        """Or a write that is repeated where its points are now would be done twice."""
        for first in range(0, len(operations), KNOWN_MAX):
            known = operations[first : first + KNOWN_MAX]
            await self._target.take(Intake(self._shard_id, self._session, None, known, self._next_id()))

    async def _send(self, change: PointChange) -> None:
        await self._target.take(Intake(self._shard_id, self._session, change, [], self._next_id()))

    def _next_id(self) -> bytes:
        """An attempt that is late must not undo what was sent after it: it is known by its id, then."""
        self._sent += 1
        text = f"{self._shard_id}/{self._session}/{self._sent}"
        return hashlib.blake2b(text.encode(), digest_size=OPERATION_ID_BYTES).digest()

    # --- claims -----------------------------------------------------------------------------------------

    async def _claim(self, stage: Stage, changes: Changes) -> None:
        if stage.stage is ReshardingStage.MOVING:
            self._fenced_rounds = 0
            if not stage.ready and changes.step and len(changes.ids) <= FEW_CHANGES:
                await self._claims.ready()
        elif stage.stage is ReshardingStage.FENCED:
            # Whatever the source took of these points, it took before the step that its log has reached.
            if changes.step == stage.step and not stage.whole:
                await self._claims.whole(stage.step)
            self._fenced_rounds += 1
            if self._fenced_rounds > FENCE_ROUNDS_MAX:
                self._fenced_rounds = 0
                await self._claims.lower(stage.step)
