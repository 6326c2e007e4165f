"""The Raft member on a thread of its own, and the asyncio face of it.

Lives here: the tick loop, handing work to it, deadlines, and what the library's answers mean.
May not live here: what commands mean, the wire.

The library is single-threaded, so whatever reaches it goes through ``call``. It runs apart from the event
loop: a loop busy with large requests must not cost an election. Any exception on the thread is fatal and
goes to ``on_fatal``; by then the member acknowledges nothing any more.

What a proposal can come to: committed; not appended, so it may be tried again freely; or unknown, so that
only a repeat with the same request id is safe.
"""

from __future__ import annotations

import asyncio
import collections
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct
from pysyncobj import FAIL_REASON

from consensus.raft.hardened import COMMAND_BYTES_MAX, HardenedSyncObj
from protos.logger import get_logger
from protos.tasks import post

_log = get_logger(__name__)
TICK_S = 0.05
SLOW_TICK_S = 0.5  # a leader that is silent for longer may be deposed
DEAF_S = 0.3  # without the event loop, or without this thread: messages may have come and were not seen

_T = TypeVar("_T")
_Outcome = tuple[int, int, Any] | None  # index, term, result
_Callback = Callable[[_Outcome, int], None]

_NOT_APPENDED = frozenset(
    {
        FAIL_REASON.QUEUE_FULL,
        FAIL_REASON.MISSING_LEADER,
        FAIL_REASON.NOT_LEADER,
        FAIL_REASON.REQUEST_DENIED,
        FAIL_REASON.DISCARDED,
    }
)
_REASONS = {value: name for name, value in vars(FAIL_REASON).items() if not name.startswith("_")}


class Committed(Struct, frozen=True):
    """Applied on this member; ``result`` is what its state machine returned."""

    index: int
    term: int
    result: Any


class NotAppended(Exception):
    """The command is in no log. ``leader`` is the member to ask, if one is known."""

    def __init__(self, reason: str, leader: str | None) -> None:
        self.reason, self.leader = reason, leader
        super().__init__(f"{reason}; the leader is {leader or 'unknown'}")


class OutcomeUnknown(Exception):
    """The command may be, or yet become, committed."""


class Status(Struct, frozen=True):
    """What this member believes. Never a licence: leadership may be over by the time it is read."""

    role: str
    leader: str | None
    term: int
    commit_index: int
    applied_index: int
    last_index: int
    has_quorum: bool
    is_voter: bool
    voters: tuple[str, ...]
    pending: int
    at_unix_s: float


_ROLES = ("Follower", "Candidate", "Leader")


class RaftDriver:
    """Runs one member. ``make_member`` is called on the Raft thread."""

    def __init__(
        self,
        make_member: Callable[[], HardenedSyncObj],
        *,
        on_fatal: Callable[[BaseException], None],
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._make_member = make_member
        self._on_fatal = on_fatal
        self._on_tick = on_tick
        self._inbox: collections.deque[Callable[[HardenedSyncObj], None]] = collections.deque()
        self._member: HardenedSyncObj | None = None
        self._latest: Status | None = None
        self._stopping = threading.Event()
        self._started: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticked_s = 0.0  # when the last tick began
        self._asked_s: float | None = None  # when the event loop was asked for a sign of life, if it owes one
        self._thread = threading.Thread(target=self._run, name="raft", daemon=True)

    async def start(self) -> None:
        """Return once the member has read its files, and applied what it knew to be committed.

        Raises: what that raised.
        """
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.create_future()
        self._thread.start()
        await self._started

    async def stop(self) -> None:
        self._stopping.set()
        self._wake()
        await asyncio.to_thread(self._thread.join)

    def call(self, work: Callable[[HardenedSyncObj], None]) -> None:
        """Run ``work`` on the Raft thread soon; from any thread."""
        self._inbox.append(work)
        self._wake()

    async def propose(self, command: bytes, *, timeout_s: float) -> Committed:
        """Raises: NotAppended, OutcomeUnknown, ValueError if the command is too large."""
        if len(command) > COMMAND_BYTES_MAX:
            raise ValueError(f"a command may have {COMMAND_BYTES_MAX} bytes, this one has {len(command)}")
        return await self._answered(lambda member, done: member.propose(command, done), timeout_s)

    async def change_members(self, verb: str, member_id: str, *, timeout_s: float) -> Committed:
        """See ``HardenedSyncObj.change_members``. Raises: NotAppended, OutcomeUnknown."""
        return await self._answered(
            lambda member, done: member.change_members(verb, member_id, done), timeout_s
        )

    async def _answered(
        self, work: Callable[[HardenedSyncObj, _Callback], None], timeout_s: float
    ) -> Committed:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Committed] = loop.create_future()

        def answered(result: _Outcome, reason: int) -> None:
            post(loop, _settle, answer, result, reason, self._leader())

        self.call(lambda member: work(member, answered))
        # Not `wait_for`, which in Python 3.11 loses a cancellation that comes with the answer.
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise OutcomeUnknown(f"no answer within {timeout_s} s") from None

    async def ask(self, question: Callable[[HardenedSyncObj], _T], *, timeout_s: float = 5.0) -> _T:
        """Evaluate ``question`` on the Raft thread. Raises: TimeoutError if that is stuck or over."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_T] = loop.create_future()

        def work(member: HardenedSyncObj) -> None:
            post(loop, _give, answer, question(member))

        self.call(work)
        async with asyncio.timeout(timeout_s):
            return await answer

    async def status(self) -> Status:
        return await self.ask(_status)

    @property
    def latest(self) -> Status | None:
        """The status as of the last tick; None before the first."""
        return self._latest

    # --- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._member = self._make_member()
            self._member.doTick(0.0)  # applies what is known to be committed
            self._report_start(None)
            self._ticked_s = time.monotonic()
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the start
            self._report_start(error)
            return
        try:
            while not self._stopping.is_set():
                self._tick(self._member)
            self._member.destroy()
        except BaseException as error:  # noqa: BLE001 - a member that failed once is never asked again
            self._on_fatal(error)

    def _tick(self, member: HardenedSyncObj) -> None:
        began = time.monotonic()
        if self._was_deaf(began):
            member.postpone_election()
        self._work(member)
        worked = time.monotonic()
        self._on_tick()
        member.doTick(TICK_S)
        self._ticked_s = began
        before, self._latest = self._latest, _status(member)
        took_s = time.monotonic() - began
        if took_s > SLOW_TICK_S:
            _log.warning("raft_tick_slow", took_s=round(took_s, 3), messages_s=round(worked - began, 3))
        if before is None or _leadership(before) != _leadership(self._latest):
            role, leader, term = _leadership(self._latest)
            _log.info("raft_leadership", role=role, leader=leader, term=term)

    def _was_deaf(self, now_s: float) -> bool:
        """Could a leader's messages have been missed? They come through the event loop to this thread."""
        asked_s = self._asked_s
        if asked_s is None:
            assert self._loop is not None
            self._asked_s = asked_s = now_s
            post(self._loop, self._give_sign, now_s)
        return max(now_s - asked_s, now_s - self._ticked_s - TICK_S) > DEAF_S

    def _give_sign(self, asked_s: float) -> None:
        """On the event loop."""
        late_s = time.monotonic() - asked_s
        if late_s > SLOW_TICK_S:
            _log.warning("event_loop_stalled", stalled_s=round(late_s, 3))
        self._asked_s = None

    def _work(self, member: HardenedSyncObj) -> None:
        for _ in range(len(self._inbox)):
            self._inbox.popleft()(member)

    def _report_start(self, error: BaseException | None) -> None:
        started = self._started
        assert started is not None
        settle = (
            (lambda: started.set_result(None)) if error is None else (lambda: started.set_exception(error))
        )
        started.get_loop().call_soon_threadsafe(settle)

    def _wake(self) -> None:
        member = self._member
        if member is not None:
            member.wake()

    def _leader(self) -> str | None:
        leader = self._member._getLeader() if self._member is not None else None
        return None if leader is None else str(leader.id)


def _give(answer: asyncio.Future[_T], value: _T) -> None:
    if not answer.done():  # its deadline may have passed
        answer.set_result(value)


def _settle(answer: asyncio.Future[Committed], result: _Outcome, reason: int, leader: str | None) -> None:
    if answer.done():  # its deadline has passed
        return
    if reason == FAIL_REASON.SUCCESS and result is not None:
        answer.set_result(Committed(*result))
    elif reason in _NOT_APPENDED:
        answer.set_exception(NotAppended(_REASONS[reason], leader))
    else:
        answer.set_exception(OutcomeUnknown(_REASONS.get(reason, str(reason))))


def _leadership(status: Status) -> tuple[str, str | None, int]:
    return status.role, status.leader, status.term


def _status(member: HardenedSyncObj) -> Status:
    leader = member._getLeader()
    return Status(
        role=_ROLES[member._SyncObj__raftState],
        leader=None if leader is None else str(leader.id),
        term=member.raftCurrentTerm,
        commit_index=member.raftCommitIndex,
        applied_index=member.raftLastApplied,
        last_index=member.last_index,
        has_quorum=bool(member.hasQuorum),
        is_voter=member.is_voter,
        voters=tuple(sorted(member.voters)),
        pending=member.last_index - member.raftLastApplied,
        at_unix_s=time.time(),
    )
