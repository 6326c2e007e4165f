"""One follower as its primary sees it.

Lives here: what was sent, what is confirmed, the flow control between.
May not live here: what follows from it.

Invariants: ``matched`` is durable on the follower and never falls within an incarnation of it; at most
``inflight_bytes_max`` bytes (and one message) are under way.
"""

from __future__ import annotations

from collections import deque

from node.replication.messages import Entry, Grant, Reply, Status
from node.replication.terms import EMPTY_SEQ
from node.replication.tuning import Tuning


class Progress:
    """One life (``epoch``) of the follower in the replica set; ``session`` marks its messages."""

    def __init__(self, session: int, epoch: int, tuning: Tuning, *, now_ms: int) -> None:
        self._tuning = tuning
        self.session, self.epoch = session, epoch
        self.in_sync = False
        self.counted = False  # what is committed must be durable here
        self.number = 0
        self.heard_ms = now_ms
        self.sent_ms: int | None = None
        self.granted_ms: int | None = None
        self.evicting_ms: int | None = None
        self.admitting_ms: int | None = None
        self.transfer_ms: int | None = None
        self.reading = False
        self.incarnation = 0
        self._forget()

    def _forget(self) -> None:
        """A replica that was opened anew confirms anew: it may have lost what it had not synced."""
        self.aligned = False
        self.leaving = False  # its process ends, and it holds no lease
        self.stranded = False  # until it is opened anew, with a base
        self.complete = False
        self.matched = self.applied = EMPTY_SEQ
        self.floor = EMPTY_SEQ
        self.next_seq = 0
        self.clock_ms: int | None = None
        self.answered_ms: int | None = None
        self._reset_number = 0
        self._inflight: deque[tuple[int, int]] = deque()
        self._inflight_bytes = 0

    # --- sending ---------------------------------------------------------------------------------------

    @property
    def has_window(self) -> bool:
        tuning = self._tuning
        few = len(self._inflight) < tuning.inflight_messages_max
        return few and self._inflight_bytes < tuning.inflight_bytes_max

    @property
    def waits(self) -> bool:
        """Are entries under way?"""
        return bool(self._inflight)

    def sending(self, entries: tuple[Entry, ...], *, now_ms: int) -> None:
        """A message is about to leave; its number is ``number``."""
        self.number += 1
        self.sent_ms = now_ms
        if entries:
            size = sum(entry.size_bytes for entry in entries)
            self._inflight.append((entries[-1].seq, size))
            self._inflight_bytes += size
            self.next_seq = entries[-1].seq + 1

    def grant(self, *, until_ms: int, now_ms: int) -> Grant | None:
        """The lease to send along, which ends by ``until_ms`` of the primary's clock."""
        lease_ms = min(until_ms - now_ms, self._tuning.read_lease_ms)
        if self.leaving:
            return None
        if not self.in_sync or self.evicting_ms is not None or self.clock_ms is None or lease_ms <= 0:
            return None
        self.granted_ms = now_ms
        return Grant(self.incarnation, self.clock_ms, lease_ms)

    # --- hearing ---------------------------------------------------------------------------------------

    def hear(self, reply: Reply, *, now_ms: int) -> bool:
        """Take a reply in; False: it is from another registration or an earlier incarnation."""
        if reply.session != self.session or reply.incarnation < self.incarnation:
            return False
        if reply.incarnation > self.incarnation:
            self._forget()
            self.incarnation = reply.incarnation
        self.heard_ms = now_ms
        self.answered_ms = max(self.answered_ms or 0, reply.sent_ms)
        self.clock_ms = max(self.clock_ms or 0, reply.clock_ms)
        if reply.status in (Status.OK, Status.GAP) and not self.stranded:
            self._match(reply)
        elif reply.status is Status.UNALIGNED and not self.aligned:
            self.sent_ms = None  # ask to align at once
        return True

    def leave(self) -> None:
        self.leaving, self.granted_ms = True, None

    def strand(self) -> None:
        if not self.stranded:
            self.stranded, self.aligned = True, False
            self.sent_ms = None

    def _match(self, reply: Reply) -> None:
        if not self.aligned:
            self.aligned = True
            self.next_seq = reply.last_seq + 1
            self._reset_number = self.number
        self.matched = max(self.matched, reply.durable)
        self.applied = max(self.applied, reply.applied)
        self.floor = max(self.floor, reply.floor)
        self.complete = self.complete or reply.complete
        self.next_seq = max(self.next_seq, self.matched + 1)
        while self._inflight and self._inflight[0][0] <= self.matched:
            self._inflight_bytes -= self._inflight.popleft()[1]
        if reply.status is Status.GAP and reply.number > self._reset_number:
            self._reset_number = self.number
            self.next_seq = max(reply.last_seq, self.matched) + 1
            self._inflight.clear()
            self._inflight_bytes = 0
