"""The metadata log of a cluster: commands agreed on by Raft, each applied once.

Lives here: numbering proposals, trying them again, telling subscribers, barriers, status.
May not live here: what commands mean, sockets, who the members are (``membership``).

Two threads. Raft runs on its own (``consensus.raft.driver``); what it applies is handed to the event loop
in order, and ``state`` and the subscribers only ever change there.

A proposal is answered by seeing its own envelope applied here, not by Raft's callback, which may never
come. Until then it is sent again, under the same number: ``consensus.replicated`` applies it once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct
from pysyncobj.node import Node

from consensus.commands import Command, encode_command
from consensus.log import RaftStatus, Subscriber
from consensus.raft import founding
from consensus.raft.driver import NotAppended, OutcomeUnknown, RaftDriver, Status
from consensus.raft.files import OsFiles
from consensus.raft.hardened import COMMAND_BYTES_MAX, HardenedSyncObj
from consensus.raft.transport import Event, Wire, WireTransport
from consensus.raft_machine import Applied, RaftMachine, Restored, encode_envelope
from consensus.replicated import FORMAT, Envelope, result_of
from consensus.state import ClusterState
from consensus.subscribers import Subscribers
from consensus.transitions import Events, rejection
from protos.errors import BadInput, ServiceError, Timeout
from protos.logger import get_logger
from protos.tasks import heed, post

PROPOSE_TIMEOUT_S = 10.0
ATTEMPT_S = 2.0  # without any answer; then the proposal is sent again
RETRY_MIN_S, RETRY_MAX_S = 0.02, 0.2
OPEN_PROPOSALS_MAX = 256
ENVELOPE_BYTES_MAX = 64
SNAPSHOT_AFTER = 4096  # entries in the log

Watcher = Callable[[Applied | Restored], None]

_log = get_logger(__name__)


class Result(Struct, frozen=True):
    """``index``: of an entry at or before which the command was applied."""

    index: int
    events: Events


class RaftLog:
    """A ``consensus.log.MetadataLog``. Use ``RaftLog.open``."""

    def __init__(
        self, directory: Path, *, peer_id: int, incarnation: int, wire: Wire, on_fatal: Callable[[str], None]
    ) -> None:
        self._peer_id, self._incarnation = peer_id, incarnation
        self._files = OsFiles(directory)
        self._wire = wire
        self._on_fatal = on_fatal
        self._transport = WireTransport(wire)
        self._machine = RaftMachine(self._from_raft)
        self._driver = RaftDriver(self._make_member, on_fatal=self._failed)
        self._loop = asyncio.get_running_loop()
        self._state = ClusterState()
        self._applied_index = 0
        self._subscribers = Subscribers[ClusterState, Events]()
        self._watchers = Subscribers[Applied | Restored]()
        self._number = 0
        self._open: dict[int, _Proposal] = {}
        self._window = asyncio.Semaphore(OPEN_PROPOSALS_MAX)
        self._proposals: set[asyncio.Task[Result]] = set()
        self._marking = asyncio.Lock()
        self._next_barrier: asyncio.Task[int] | None = None
        self._closed: str | None = None
        self._error: str | None = None

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        peer_id: int,
        incarnation: int,
        wire: Wire,
        on_fatal: Callable[[str], None],
        contacts: Iterable[int] = (),
    ) -> RaftLog:
        """Open the log in ``directory``, made by ``consensus.raft.founding``.

        ``incarnation`` must be greater than that of every process before. ``contacts``: peers to talk to
        until the state tells more. ``on_fatal(why)`` is called on the event loop when the log has failed
        and the process must end.
        Raises: RaftFilesMissing, JournalDamaged, SnapshotDamaged, UnknownFormat, OSError.
        """
        log = cls(directory, peer_id=peer_id, incarnation=incarnation, wire=wire, on_fatal=on_fatal)
        founding.check(log._files)
        await log._driver.start()
        wire.attach(log._on_wire)
        if not log._machine.cluster.peers:
            log._learn_from(contacts)
        return log

    @property
    def peer_id(self) -> int:
        return self._peer_id

    @property
    def state(self) -> ClusterState:
        return self._state

    @property
    def applied_index(self) -> int:
        """Of the last entry in ``state``."""
        return self._applied_index

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        return self._subscribers.add(subscriber)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` on the event loop with each entry, or snapshot, that is in ``state`` by then.
        Returns: how to stop."""
        return self._watchers.add(watcher)

    async def propose(self, command: Command, *, timeout_s: float = PROPOSE_TIMEOUT_S) -> Events:
        """See ``MetadataLog.propose``.

        Raises also: Timeout if it may or may not be applied, ServiceError if it certainly is not.
        """
        return (await self.submit(command, timeout_s=timeout_s)).events

    async def submit(self, command: Command, *, timeout_s: float = PROPOSE_TIMEOUT_S) -> Result:
        """``propose``, and where in the log."""
        result = await self.outcome(command, timeout_s=timeout_s)
        refused = rejection(result.events)
        if refused is not None:
            raise refused.error
        return result

    async def outcome(self, command: Command, *, timeout_s: float = PROPOSE_TIMEOUT_S) -> Result:
        """As ``submit``, for one who judges the events himself: a rejection is one of them."""
        return await self._send(encode_command(command), timeout_s)

    async def barrier(self, *, timeout_s: float = PROPOSE_TIMEOUT_S) -> int:
        """Return when all that was acknowledged anywhere before the call is applied here.

        Callers that wait at the same time share an entry. Returns: its index. Raises: as ``propose``.
        """
        if self._next_barrier is None:
            self._next_barrier = asyncio.create_task(self._mark())
            self._next_barrier.add_done_callback(heed)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._next_barrier)
        except TimeoutError:
            raise Timeout(f"No barrier within {timeout_s} s") from None

    async def read(self, *, timeout_s: float = PROPOSE_TIMEOUT_S) -> ClusterState:
        """A state no older than any acknowledged before the call. Raises: as ``propose``."""
        await self.barrier(timeout_s=timeout_s)
        return self._state

    def status(self) -> RaftStatus:
        return _show(self._driver.latest, stopped=self._closed is not None, error=self._error)

    async def close(self) -> None:
        self._stop("it is closed")
        await self._driver.stop()
        self._files.close()

    # --- members: for ``consensus.membership`` ----------------------------------------------------------

    async def matched(self, peers: Iterable[int]) -> dict[int, int]:
        """The last entry known to be on each peer's disk; of use on the leader only. Raises: TimeoutError."""
        wanted = list(peers)
        return await self._driver.ask(lambda member: {peer: member.matched(str(peer)) for peer in wanted})

    async def change_voters(self, verb: str, peer: int, *, timeout_s: float = ATTEMPT_S) -> None:
        """Raises: NotAppended, OutcomeUnknown."""
        await self._driver.change_members(verb, str(peer), timeout_s=timeout_s)

    def hand_over(self, peer: int) -> None:
        """Have ``peer`` become the leader, if it has the whole log. Best effort."""
        self._driver.call(lambda member: member.hand_over(str(peer)))

    def retire(self, reason: str) -> None:
        """Take no more proposals: this peer is no member any more. ``status`` shows ``stopped``."""
        self._stop(reason)

    # --- proposals ----------------------------------------------------------------------------------------

    async def _mark(self) -> int:
        async with self._marking:
            self._next_barrier = None  # who comes now may have seen more than this entry will cover
            return (await self._send(b"", PROPOSE_TIMEOUT_S)).index

    async def _send(self, command: bytes, timeout_s: float) -> Result:
        """Get one envelope applied. A caller that is cancelled leaves it to complete."""
        if len(command) > COMMAND_BYTES_MAX - ENVELOPE_BYTES_MAX:
            raise BadInput(f"the operation has {len(command)} bytes, more than the metadata log takes")
        task = asyncio.create_task(self._carry_out(command, timeout_s))
        self._proposals.add(task)
        task.add_done_callback(self._proposals.discard)
        task.add_done_callback(heed)
        return await asyncio.shield(task)

    async def _carry_out(self, command: bytes, timeout_s: float) -> Result:
        if self._closed is not None:
            raise ServiceError(f"The metadata log takes no commands: {self._closed}")
        self._number += 1
        proposal = _Proposal(self._number, self._loop.create_future())
        self._open[proposal.number] = proposal
        try:
            async with asyncio.timeout(timeout_s), self._window:
                return await self._until_applied(proposal, command)
        except TimeoutError:
            if proposal.perhaps_logged:
                raise Timeout(f"No agreement within {timeout_s} s; it may yet be reached") from None
            raise ServiceError(f"No leader took the operation within {timeout_s} s") from None
        finally:
            del self._open[proposal.number]

    async def _until_applied(self, proposal: _Proposal, command: bytes) -> Result:
        while not proposal.answer.done():
            floor = min(self._open)
            envelope = Envelope(FORMAT, self._peer_id, self._incarnation, proposal.number, floor, command)
            if not await self._attempt(proposal, encode_envelope(envelope)):
                delay = random.uniform(RETRY_MIN_S, RETRY_MAX_S)  # noqa: S311 - spreads the retries
                await asyncio.wait({proposal.answer}, timeout=delay)
        return proposal.answer.result()

    async def _attempt(self, proposal: _Proposal, envelope: bytes) -> bool:
        """Whether the envelope may be in some member's log now."""
        before, proposal.perhaps_logged = proposal.perhaps_logged, True  # should this be cut short
        attempt = asyncio.create_task(self._driver.propose(envelope, timeout_s=ATTEMPT_S))
        try:
            both: set[asyncio.Future[Any]] = {attempt, proposal.answer}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                return True
            await attempt
        except OutcomeUnknown:
            return True
        except NotAppended:
            proposal.perhaps_logged = before
            return False
        finally:
            attempt.cancel()
        return True

    # --- from the Raft thread to the event loop -----------------------------------------------------------

    def _make_member(self) -> HardenedSyncObj:
        return HardenedSyncObj(
            Node(str(self._peer_id)),
            [],
            files=self._files,
            machine=self._machine,
            members=(),
            conf={"logCompactionMinEntries": SNAPSHOT_AFTER},
            transport=self._transport,
        )

    def _from_raft(self, what: Applied | Restored) -> None:
        """On the Raft thread."""
        if isinstance(what, Restored):
            self._learn_from(what.state.cluster.peers)
        elif what.cluster is not None:
            self._learn_from(what.cluster.peers)
        post(self._loop, self._take, what)

    def _learn_from(self, peers: Iterable[int]) -> None:
        """Have the Raft member keep links with ``peers``: those without a vote learn the log from it."""
        learners = frozenset(map(str, peers))
        self._driver.call(lambda member: member.set_learners(learners))

    def _on_wire(self, event: Event) -> None:
        self._driver.call(lambda _: self._transport.handle(event))

    def _failed(self, error: BaseException) -> None:
        """On the Raft thread, which ends."""
        post(self._loop, self._fail, f"{type(error).__name__}: {error}")

    # --- on the event loop ----------------------------------------------------------------------------------

    def _take(self, what: Applied | Restored) -> None:
        if isinstance(what, Restored):
            self._take_snapshot(what)
        else:
            self._take_entry(what)
        self._watchers.tell(what)

    def _take_snapshot(self, what: Restored) -> None:
        self._applied_index = what.state.index
        self._state = what.state.cluster
        self._subscribers.tell(self._state, ())
        self._answer_from(what)

    def _take_entry(self, what: Applied) -> None:
        self._applied_index = what.index
        if what.cluster is not None:
            self._state = what.cluster
        envelope = what.envelope
        if (envelope.client, envelope.incarnation) == (self._peer_id, self._incarnation):
            self._answer(envelope.number, what.index, what.events)
        if what.cluster is not None:  # last: who hears of its own removal stops the log and what waits for it
            self._subscribers.tell(self._state, what.events or ())

    def _answer_from(self, restored: Restored) -> None:
        """A snapshot may hold what the entries it stands for would have answered."""
        for number in list(self._open):
            events = result_of(restored.state, self._peer_id, self._incarnation, number)
            if events is not None:
                self._answer(number, restored.state.index, events)

    def _answer(self, number: int, index: int, events: Events | None) -> None:
        proposal = self._open.get(number)
        if proposal is None or proposal.answer.done():
            return
        if events is None:
            proposal.answer.set_exception(Timeout("The outcome of the operation is not known any more"))
        else:
            proposal.answer.set_result(Result(index, events))

    def _fail(self, why: str) -> None:
        _log.error("raft_failed", error=why)
        self._error = why
        self._stop(f"it has failed ({why})")
        self._on_fatal(why)

    def _stop(self, reason: str) -> None:
        self._closed = self._closed or reason
        for proposal in self._open.values():
            if not proposal.answer.done():
                proposal.answer.set_exception(
                    Timeout(f"The metadata log stopped: {reason}. The operation may have been applied")
                )


class _Proposal:
    """``perhaps_logged``: some attempt may have put it into a log."""

    def __init__(self, number: int, answer: asyncio.Future[Result]) -> None:
        self.number, self.answer = number, answer
        self.perhaps_logged = False


def _show(latest: Status | None, *, stopped: bool, error: str | None) -> RaftStatus:
    if latest is None:
        return RaftStatus(
            term=0, commit=0, applied=0, pending_operations=0, leader=None, role=None, is_voter=False,
            voters=(), has_quorum=False, stopped=stopped, error=error, last_update_unix_s=0.0,
        )  # fmt: skip
    return RaftStatus(
        term=latest.term,
        commit=latest.commit_index,
        applied=latest.applied_index,
        pending_operations=latest.pending,
        leader=None if latest.leader is None else int(latest.leader),
        role=latest.role,
        is_voter=latest.is_voter,
        voters=tuple(sorted(map(int, latest.voters))),
        has_quorum=latest.has_quorum,
        stopped=stopped,
        error=error,
        last_update_unix_s=latest.at_unix_s,
    )
