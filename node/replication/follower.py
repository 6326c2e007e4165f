"""A replica that logs what its primary sends.

Lives here: alignment with the primary's log, appending, replies, the lease it holds.
May not live here: what happens to terms (``machine``), bookkeeping of the log (``log``).

Invariants: nothing is appended before the log was aligned in this term; a reply with ``OK`` or ``GAP`` is
sent only when aligned, so ``durable`` is about the primary's log; an ``Align`` removes only entries whose
term differs from the primary's, never ones that are merely newer than the message.
"""

from __future__ import annotations

from node.replication.core import Core
from node.replication.effects import ReportFailed
from node.replication.events import ReplicaSet
from node.replication.leases import HeldLease
from node.replication.messages import UNKNOWN_TERM, Align, Append, Detach, Reply, Status, ToFollower


class Follower:
    """For one term, under whoever is that term's primary (``primary`` is None until it was heard)."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.primary: int | None = None
        self._aligned = False
        self._aligning = False
        self.stranded = False  # of no use but to be given a base
        self._session = self._number = self._sent_ms = 0
        self._confirmed = core.log.durable
        self._lease = HeldLease()

    # --- events ----------------------------------------------------------------------------------------

    def configured(self, config: ReplicaSet) -> None:
        if config.term == self._core.term:
            self.primary = config.primary
        if self._core.me not in config.in_sync:
            self._lease.drop()

    def receive(self, peer: int, message: Align | Detach | Append) -> None:
        self.primary = peer
        if message.session > self._session:
            self._session, self._number, self._sent_ms = message.session, 0, 0
        if message.session < self._session:
            return
        self._number = max(self._number, message.number)
        self._sent_ms = max(self._sent_ms, message.sent_ms)
        if isinstance(message, Align):
            self._align(message)
        elif isinstance(message, Detach):
            self._detach(message)
        else:
            self._append(message)

    def tail_cut(self) -> None:
        if self._aligning:
            self._aligning, self._aligned = False, True
            self._confirmed = self._core.log.durable
            self._reply(Status.OK)

    def applied(self) -> None:
        if self._aligned:
            self._reply(Status.OK)

    def persisted(self) -> None:
        """Said only when it is not about to be applied, which is said too."""
        if self._aligned and self._core.log.rebuilding:
            self._reply(Status.OK)

    def failed(self) -> None:
        self._lease.drop()
        self._core.emit(ReportFailed(self._core.failure or ""))
        self._reply(Status.FAILED)

    def leave(self) -> None:
        """Nobody need wait until this replica's silence is noticed, nor for its lease."""
        self._lease.drop()
        if self._aligned:
            self._reply(Status.LEAVING)

    def tick(self) -> None:
        """Followers only react."""

    # --- alignment and appending -----------------------------------------------------------------------

    def _align(self, message: Align) -> None:
        log = self._core.log
        if self._core.failure is not None:
            self._reply(Status.FAILED)
        elif self._aligned:
            self._reply(Status.OK)
        elif self.stranded:
            self._reply(Status.NEEDS_TRANSFER)
        elif log.settled:
            self._part(log.terms.common(log.last_seq, message.starts))

    def _part(self, common: int | None) -> None:
        log = self._core.log
        if common is None or common < log.committed:
            self.stranded = True
            self._reply(Status.NEEDS_TRANSFER)
            return
        if common < log.last_seq:
            self._aligning = True
            self._core.emit(log.cut(common, self._core.term))
            return
        self._aligned = True
        self._reply(Status.OK)

    def _detach(self, message: Detach) -> None:
        if message.incarnation != self._core.incarnation:
            self._reply(Status.UNALIGNED)
            return
        self._aligned = self._aligning = False
        self.stranded = True
        self._reply(Status.NEEDS_TRANSFER)

    def _append(self, message: Append) -> None:
        log = self._core.log
        if self._core.failure is not None:
            self._reply(Status.FAILED)
        elif not self._aligned:
            self._reply(Status.NEEDS_TRANSFER if self.stranded else Status.UNALIGNED)
        elif message.prev_seq > log.last_seq:
            self._note(message)
            self._reply(Status.GAP)
        else:
            self._extend(message)

    def _extend(self, message: Append) -> None:
        log = self._core.log
        known = log.terms.term_at(message.prev_seq)
        agree = known is None or message.prev_term in (UNKNOWN_TERM, known)
        assert agree, f"aligned, but seq {message.prev_seq} differs"
        new = tuple(entry for entry in message.entries if entry.seq > log.last_seq)
        if new and log.has_room:
            self._core.emit(log.append(new))
            self._note(message)
        else:
            self._note(message)
            self._reply(Status.OK)

    def _note(self, message: Append) -> None:
        self._core.log.commit(message.committed)
        if message.grant is not None and not self._core.leaving:
            self._lease.renew(message.grant, incarnation=self._core.incarnation)

    # --- answers ---------------------------------------------------------------------------------------

    def strong_read_seq(self, now_ms: int) -> int | None:
        """Everything that may have been acknowledged on this replica's word."""
        if self._core.failure is not None or not self._lease.runs(now_ms):
            self._core.miss_lease(now_ms)
            return None
        return self._confirmed

    def _reply(self, status: Status) -> None:
        if self.primary is None or not self._session:
            return
        log = self._core.log
        if status in (Status.OK, Status.GAP):
            self._confirmed = max(self._confirmed, log.durable)
        self._core.send(self.primary, make_reply(self._core, status, heard=self._heard()))

    def _heard(self) -> ToFollower:
        return ToFollower(self._core.term, self._session, self._number, self._sent_ms)


def make_reply(core: Core, status: Status, *, heard: ToFollower) -> Reply:
    log = core.log
    return Reply(
        term=core.term,
        session=heard.session,
        number=heard.number,
        sent_ms=heard.sent_ms,
        incarnation=core.incarnation,
        clock_ms=core.now_ms,
        status=status,
        last_seq=log.last_seq,
        durable=log.durable,
        applied=log.applied,
        floor=log.floor,
        complete=log.complete,
        wants_lease=core.wants_lease,
    )
