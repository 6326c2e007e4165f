"""One shard as a log: what is committed stays, what is not may be cut when somebody else leads it.

Points hold one number each. The operations, and what they are judged by, are the product's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from node.filter.check import compile_check
from node.replica import ownership
from node.replica.ownership import ShardBuckets
from node.replica.resolve import resolve
from protos.errors import NotPrimary, ShardUnavailable, Timeout
from protos.filters import Filter
from protos.ids import PointId
from protos.operations import (
    AnyLogOperation,
    BeginIntake,
    KnowOperations,
    Noop,
    PointChange,
    PutPoints,
    RemovePoints,
)
from protos.shard import Intake

Admit = Callable[[ShardBuckets, PointChange, int], PointChange]


@dataclass(frozen=True)
class Rules:
    """What a shard judges by; broken variants leave some out."""

    admitted: Admit = ownership.admitted
    check_intake: Callable[[ShardBuckets, Intake], None] = ownership.check_intake
    check_read: Callable[[ShardBuckets, int | None], None] = ownership.check_read
    own: Callable[[ShardBuckets], Filter | None] = lambda buckets: buckets.own
    remember: bool = True  # operations that another shard had carried out
    copies_uncommitted: bool = False


@dataclass(frozen=True)
class State:
    """As of one place in the log. Never changed."""

    points: dict[PointId, int] = field(default_factory=dict)
    buckets: ShardBuckets = field(default_factory=ShardBuckets)
    known: dict[bytes, int] = field(default_factory=dict)

    def exist(self, ids: Sequence[PointId]) -> list[bool]:
        return [point_id in self.points for point_id in ids]

    def matching(self, filter: Filter) -> list[PointId]:
        check = compile_check(filter)
        return [
            point_id for point_id, value in sorted(self.points.items()) if check(point_id, {"v": value}, ())
        ]

    def matching_of(self, filter: Filter, ids: Sequence[PointId]) -> set[PointId]:
        return set(self.matching(filter)) & set(ids)


@dataclass(frozen=True)
class Logged:
    operation: AnyLogOperation
    operation_id: bytes


@dataclass(frozen=True)
class Request:
    """As ``node.replica.staging.Write``."""

    change: PointChange | None = None
    operation: AnyLogOperation | None = None
    operation_id: bytes = b""
    answers_since: int = 0
    former_ids: tuple[bytes, ...] = ()
    intake: Intake | None = None
    cleans: bool = False


def value_of(payload: bytes) -> int:
    value: int = msgspec.json.decode(payload)["v"]
    return value


def after(state: State, logged: Logged, seq: int, *, remember: bool) -> State:
    """The state with one operation more."""
    points, operation = state.points, logged.operation
    known = {**state.known, logged.operation_id: seq} if logged.operation_id else state.known
    match operation:
        case PutPoints():
            points = {**points, **dict(zip(operation.ids, map(value_of, operation.payloads), strict=True))}
        case RemovePoints():
            points = {point_id: value for point_id, value in points.items() if point_id not in operation.ids}
        case KnowOperations() if remember:
            known = {**dict.fromkeys(operation.ids, seq), **known}
    return State(points, ownership.after(state.buckets, operation), known)


class SimShard:
    """``term`` and ``leader``: who leads, and has begun to. Everybody else's words are a former term's."""

    def __init__(self, shard_id: int, leader: int, rules: Rules) -> None:
        self.id, self.term, self.leader, self.rules = shard_id, 1, leader, rules
        self.log: list[Logged] = []
        self.states = [State()]  # one more than the log has operations
        self.committed = 0
        self.repeats = 0  # of what was done where the points were before
        self._moved: asyncio.Future[None] | None = None

    @property
    def state(self) -> State:
        return self.states[-1]

    @property
    def settled(self) -> State:
        """What nothing will take back."""
        return self.states[self.committed]

    def begin_term(self, term: int, leader: int, kept: int) -> None:
        """``kept``: how many operations the new leader has; all that were committed, at least."""
        assert term > self.term
        assert kept >= self.committed
        del self.log[kept:], self.states[kept + 1 :]
        self.term, self.leader = term, leader
        self._wake()

    def commit(self) -> None:
        self.committed = len(self.log)
        self._wake()

    async def until_committed(self, seq: int, term: int) -> None:
        """Raises: Timeout if somebody else leads by then."""
        while self.committed < seq:
            if self.term != term:
                raise Timeout("led anew")
            await asyncio.shield(self.moved())  # one who gives up does not wake the others
        if self.term != term:
            raise Timeout("led anew")

    def moved(self) -> asyncio.Future[None]:
        if self._moved is None:
            self._moved = asyncio.get_running_loop().create_future()
        return self._moved

    def _wake(self) -> None:
        moved, self._moved = self._moved, None
        if moved is not None:
            moved.set_result(None)

    async def write(self, node: int, term: int, request: Request) -> int:
        """Log it as the primary of ``term``, and return its place once that is committed."""
        if (node, term) != (self.leader, self.term):
            if term < self.term:
                raise Timeout("the write of a deposed primary never ends")
            raise NotPrimary("not yet")
        ids = (request.operation_id, *request.former_ids)
        known = next((self.state.known[one] for one in ids if one in self.state.known), None)
        if known is not None:
            self.repeats += request.operation_id not in self.state.known
            await self.until_committed(known, term)
            return known
        operation = self._resolved(request)
        self.log.append(Logged(operation, request.operation_id))
        seq = len(self.log)
        self.states.append(after(self.state, self.log[-1], seq, remember=self.rules.remember))
        self._wake()
        await self.until_committed(seq, term)
        return seq

    def _resolved(self, request: Request) -> AnyLogOperation:
        """As ``node.replica.staging`` does."""
        buckets = self.state.buckets
        if request.intake is not None:
            self.rules.check_intake(buckets, request.intake)
        if request.operation is not None:
            stale = ownership.ownership_is_stale(buckets, request.operation)
            return Noop() if stale else request.operation
        change = request.change
        assert change is not None
        if request.cleans:
            ownership.check_cleaning(buckets, change)
        elif request.intake is None:
            change = self.rules.admitted(buckets, change, request.answers_since)
        return resolve(change, self.state).operation

    def read(self, node: int, term: int, answers_since: int | None) -> dict[PointId, int]:
        """A strong read of everything. Raises: ShardUnavailable, PointsMoved."""
        if (node, term) != (self.leader, self.term):
            raise ShardUnavailable("no lease")
        state = self.settled
        self.rules.check_read(state.buckets, answers_since)
        own = self.rules.own(state.buckets)
        return {point_id: state.points[point_id] for point_id in self._seen(state, own)}

    @staticmethod
    def _seen(state: State, own: Filter | None) -> list[PointId]:
        return list(state.points) if own is None else state.matching(own)


def intake_request(intake: Intake) -> Request:
    """As ``node.replica.updates.Updates.take``."""
    operation: AnyLogOperation | None = None
    if intake.change is None:
        term, number = intake.session
        operation = KnowOperations(intake.known) if intake.known else BeginIntake(intake.source, term, number)
    return Request(intake.change, operation, intake.operation_id, intake=intake)
