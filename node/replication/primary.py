"""A replica that orders the writes of its shard, for one term.

Lives here: the phases of a term, sending, counting what is committed, leases granted, who is put out of the
set and who is let in.
May not live here: one follower's bookkeeping (``progress``), clients (``acknowledgements``).

Phases: SPENT (this term was begun before a restart: ask for a new one) or LEASES (wait for the leases of
older terms) -> LOGGING (the Noop is being synced; nothing is sent before, so that a restart can see that the
term was begun) -> ALIGNING (every counted follower is brought to the Noop) -> READY.

Invariants:
  P1  *counted* followers are a superset of those that the cluster may promote: a follower is counted
      before its admission is proposed, and until its removal was agreed on;
  P2  ``committed`` moves only to what is durable here and on every counted follower, and, after an eviction,
      not past what the evicted one had until its lease has run out;
  P3  leases are granted only when READY, only to in-sync followers, and within the primary's own.

A planned hand-over spares LEASES. What is waited for there are leases of replicas that this primary does
not count: one that is counted must have heard of this term, and so have forgotten older leases, before
anything is committed. The primary that goes says who may hold leases (``Release``, P4); if all of them are in
sync when the term begins, none need be waited for, and one that is put out of the set later is taken to hold
one until it would have run out.

  P4  from the moment a term is released, leases of it are granted to nobody but those named then.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from node.replication.acknowledgements import Acknowledgements, Waiting
from node.replication.core import Core
from node.replication.effects import (
    AskReplacement,
    NeedsTransfer,
    PrimaryReady,
    ProposeAdmission,
    ProposeEviction,
    ProposeNewTerm,
    ReadLog,
    Refusal,
    Refuse,
)
from node.replication.events import LogRead, Proposed, RepeatProposed, ReplicaSet
from node.replication.leases import own_until_ms
from node.replication.messages import UNKNOWN_TERM, Align, Append, Detach, Entry, Release, Reply, Status
from node.replication.progress import Progress
from protos.operations import LogEntry, Noop, encode_entry
from protos.shard import FollowerInfo

FIRST_TERM = 1
NOOP_BODY = encode_entry(LogEntry(Noop()))


class Phase(enum.Enum):
    SPENT = enum.auto()
    LEASES = enum.auto()
    LOGGING = enum.auto()
    ALIGNING = enum.auto()
    READY = enum.auto()


class _Departed(Struct, frozen=True):
    """A follower put out of the set while a lease of ours may run."""

    matched: int
    until_ms: int


class _Stamp(Struct, frozen=True):
    """When entries up to ``seq`` were logged."""

    seq: int
    at_ms: int
    size_bytes: int


class Primary:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._followers: dict[int, Progress] = {}
        self._departed: dict[int, _Departed] = {}
        self._waiting = Acknowledgements(core)
        self._stamps: deque[_Stamp] = deque()
        self._uncommitted_bytes = 0
        self._sessions = 0
        self._noop_seq = -1
        self._proposed_ms: int | None = None
        self._ticked_ms = core.now_ms
        self._patient_until_ms = core.now_ms + core.tuning.evict_after_ms
        self._leases_until_ms = core.now_ms + self._lease_wait_ms()
        self._holders: frozenset[tuple[int, int]] | None = None  # who may get leases, once it is released
        self._released_ms = 0
        self.phase = Phase.SPENT if core.opened_term == core.term else Phase.LEASES

    def _lease_wait_ms(self) -> int:
        return 0 if self._core.term == FIRST_TERM else self._core.tuning.lease_wait_ms

    # --- the agreement ---------------------------------------------------------------------------------

    def configured(self, config: ReplicaSet) -> None:
        """The replica set changed within this term."""
        for peer, progress in list(self._followers.items()):
            if peer not in config.logging or progress.epoch != config.epoch_of(peer):
                self._depart(peer, self._followers.pop(peer))
        for peer in sorted(config.logging - {self._core.me}):
            if peer not in self._followers:
                self._followers[peer] = self._registered(config.epoch_of(peer))
            self._classify(peer, self._followers[peer], in_sync=peer in config.in_sync)
        self._pump_all()
        self._advance()

    def _registered(self, epoch: int) -> Progress:
        self._sessions += 1
        return Progress(self._sessions, epoch, self._core.tuning, now_ms=self._core.now_ms)

    def _classify(self, peer: int, progress: Progress, *, in_sync: bool) -> None:
        if in_sync and not progress.in_sync:
            progress.counted, progress.evicting_ms = True, None
        if progress.in_sync and not in_sync:
            self._depart(peer, progress)
            progress.counted = False
        progress.in_sync = in_sync

    def _depart(self, peer: int, progress: Progress) -> None:
        if progress.leaving:
            return
        until_ms = self._leases_until_ms  # an older term's
        if progress.granted_ms is not None:
            until_ms = max(until_ms, progress.granted_ms + self._core.tuning.lease_wait_ms)
        if until_ms > self._core.now_ms:
            self._departed[peer] = _Departed(progress.matched, until_ms)

    # --- writes ----------------------------------------------------------------------------------------

    def refusal(self) -> Refusal | None:
        config = self._core.config
        if self._core.failure is not None:
            return Refusal.FAILED
        if self.phase is not Phase.READY or config is None:
            return Refusal.NOT_READY
        # The first primary of a shard that is still being filled is not in sync itself.
        in_sync = len(config.in_sync | {self._core.me})
        if in_sync < min(config.write_consistency_factor, len(config.replicas)):
            return Refusal.TOO_FEW_IN_SYNC
        tuning = self._core.tuning
        entries = self._core.log.last_seq - self._core.log.committed
        full = self._uncommitted_bytes >= tuning.uncommitted_bytes_max
        if full or entries >= tuning.uncommitted_entries_max:
            return Refusal.BUSY
        return None

    def propose(self, event: Proposed) -> None:
        refusal = self.refusal()
        if refusal is not None:
            self._core.emit_all(Refuse(write.token, refusal, self._core.me) for write in event.writes)
            return
        first = self._core.log.last_seq + 1
        for seq, write in enumerate(event.writes, first):
            self._waiting.add(Waiting(seq, write.token, write.visible, write.confirm_term))
        self._log(tuple(Entry(self._core.term, seq, w.body) for seq, w in enumerate(event.writes, first)))
        self._pump_all()
        self._evict_leaving()

    def repeat(self, event: RepeatProposed) -> None:
        if self.phase is not Phase.READY or self._core.failure is not None:
            refusal = self.refusal() or Refusal.NOT_READY
            self._core.emit(Refuse(event.token, refusal, self._core.me))
            return
        self._waiting.add(Waiting(event.seq, event.token, event.visible, event.confirm_term))
        self._advance()

    def _log(self, entries: tuple[Entry, ...]) -> None:
        if not entries:
            return
        self._core.emit(self._core.log.append(entries))
        size = sum(entry.size_bytes for entry in entries)
        self._stamps.append(_Stamp(entries[-1].seq, self._core.now_ms, size))
        self._uncommitted_bytes += size

    def term_confirmed(self, number: int) -> None:
        self._waiting.confirmed(number)

    def step_down(self) -> None:
        self._waiting.give_up()

    # --- handing over ----------------------------------------------------------------------------------

    def heirs(self) -> list[int]:
        """The latest of their answers is no older than a lease."""
        oldest_ms = self._core.now_ms - self._core.tuning.read_lease_ms
        return sorted(
            peer
            for peer, progress in self._followers.items()
            if progress.in_sync
            and progress.aligned
            and not progress.leaving
            and progress.evicting_ms is None
            and progress.heard_ms >= oldest_ms
        )

    def release(self, heir: int) -> None:
        """Spare ``heir`` the wait for leases, if no replica out of the set may hold one."""
        core, progress = self._core, self._followers.get(heir)
        if self.phase is not Phase.READY or progress is None or core.config is None:
            return
        departed = any(core.now_ms < each.until_ms for each in self._departed.values())
        if departed or core.now_ms < self._leases_until_ms:
            return
        if self._holders is None:
            held = {(peer, each.epoch) for peer, each in self._followers.items() if each.in_sync}
            self._holders = frozenset(held | {(core.me, core.config.epoch_of(core.me))})
            self._released_ms = core.now_ms
        progress.sending((), now_ms=core.now_ms)
        head = (core.term, progress.session, progress.number, core.now_ms)
        core.send(heir, Release(*head, tuple(sorted(self._holders))))

    def _is_released(self) -> bool:
        """Is every replica in sync that may hold a lease of an older term?"""
        release, config = self._core.released, self._core.config
        if release is None or config is None or release.term != self._core.term - 1:
            return False
        return all(
            peer in config.in_sync and config.epoch_of(peer) == epoch for peer, epoch in release.holders
        )

    def _may_grant(self, peer: int, progress: Progress) -> bool:
        return self._holders is None or (peer, progress.epoch) in self._holders

    # --- the disk --------------------------------------------------------------------------------------

    def tail_cut(self) -> None:
        self._begin()

    def persisted(self) -> None:
        if self.phase is Phase.LOGGING and self._core.log.durable >= self._noop_seq:
            self.phase = Phase.ALIGNING
            for progress in self._followers.values():
                progress.heard_ms = self._core.now_ms
            self._pump_all()
        self._advance()

    def applied(self) -> None:
        self._advance()

    def failed(self) -> None:
        self._waiting.give_up()
        self._propose_once_in_a_while(AskReplacement(self._core.term))

    # --- time ------------------------------------------------------------------------------------------

    def tick(self) -> None:
        self._notice_pause()
        if self._core.failure is not None:
            self._propose_once_in_a_while(AskReplacement(self._core.term))
            return
        if self.phase is Phase.SPENT:
            self._propose_once_in_a_while(ProposeNewTerm(self._core.term))
            return
        if self._holders is not None and self._core.due(self._released_ms, self._core.tuning.evict_after_ms):
            # Nobody took over, and followers that came since may get no lease in this term.
            self._propose_once_in_a_while(ProposeNewTerm(self._core.term))
        self._begin()
        for peer, progress in self._followers.items():
            self._keep_up(peer, progress)
            self._judge(peer, progress)
        self._waiting.ask()
        self._advance()

    def _notice_pause(self) -> None:
        """A process that was stopped must not blame its followers for its own silence."""
        if self._core.now_ms - self._ticked_ms > self._core.tuning.heartbeat_ms * 2:
            self._patient_until_ms = self._core.now_ms + self._core.tuning.evict_after_ms
        self._ticked_ms = self._core.now_ms

    def _begin(self) -> None:
        if self.phase is not Phase.LEASES or self._core.failure is not None or not self._core.log.settled:
            return
        if self._core.now_ms < self._leases_until_ms and not self._is_released():
            return
        self.phase = Phase.LOGGING
        self._noop_seq = self._core.log.last_seq + 1
        self._log((Entry(self._core.term, self._noop_seq, NOOP_BODY),))

    def _propose_once_in_a_while(self, effect: AskReplacement | ProposeNewTerm) -> None:
        if self._core.due(self._proposed_ms, self._core.tuning.propose_retry_ms):
            self._proposed_ms = self._core.now_ms
            self._core.emit(effect)

    # --- sending ---------------------------------------------------------------------------------------

    def _pump_all(self) -> None:
        for peer, progress in self._followers.items():
            self._pump(peer, progress)

    def _pump(self, peer: int, progress: Progress) -> None:
        """Send what there is and the window allows."""
        if self.phase not in (Phase.ALIGNING, Phase.READY):
            return
        if not progress.aligned:
            if self._core.due(progress.sent_ms, self._core.tuning.retry_ms):
                self._send_opening(peer, progress)
            return
        log = self._core.log
        while progress.has_window and not progress.reading and progress.next_seq <= log.last_seq:
            if progress.next_seq < log.first_recent:
                progress.reading = True
                size = self._core.tuning.append_bytes_max
                self._core.emit(ReadLog(peer, progress.session, progress.next_seq, size))
                return
            self._send_append(peer, progress, log.recent(progress.next_seq))

    def _keep_up(self, peer: int, progress: Progress) -> None:
        self._pump(peer, progress)
        tuning = self._core.tuning
        interval = tuning.retry_ms if progress.waits else tuning.heartbeat_ms
        if progress.aligned and self._core.due(progress.sent_ms, interval):
            self._send_append(peer, progress, ())

    def _send_opening(self, peer: int, progress: Progress) -> None:
        progress.sending((), now_ms=self._core.now_ms)
        head = (self._core.term, progress.session, progress.number, self._core.now_ms)
        if progress.stranded:
            self._core.send(peer, Detach(*head, progress.incarnation))
        else:
            self._core.send(peer, Align(*head, self._core.log.terms.starts))

    def _send_append(self, peer: int, progress: Progress, entries: tuple[Entry, ...]) -> None:
        now_ms, log = self._core.now_ms, self._core.log
        prev_seq = progress.next_seq - 1
        prev_term = log.terms.term_at(prev_seq)
        progress.sending(entries, now_ms=now_ms)
        granted = self._may_grant(peer, progress)
        append = Append(
            term=self._core.term,
            session=progress.session,
            number=progress.number,
            sent_ms=now_ms,
            prev_term=UNKNOWN_TERM if prev_term is None else prev_term,
            prev_seq=prev_seq,
            committed=log.committed,
            entries=entries,
            grant=progress.grant(until_ms=self._own_until_ms(), now_ms=now_ms) if granted else None,
        )
        self._core.send(peer, append)

    def log_read(self, event: LogRead) -> None:
        progress = self._followers.get(event.peer)
        if progress is None or progress.session != event.session:
            return
        progress.reading = False
        if not event.entries:
            self._strand(event.peer, progress)
            return
        if progress.aligned and event.entries[0].seq == progress.next_seq:
            self._send_append(event.peer, progress, event.entries)
        self._pump(event.peer, progress)

    # --- hearing ---------------------------------------------------------------------------------------

    def receive(self, peer: int, reply: Reply) -> None:
        progress = self._followers.get(peer)
        if progress is None or not progress.hear(reply, now_ms=self._core.now_ms):
            return
        if reply.wants_lease:
            self._core.miss_lease(self._core.now_ms)
        if reply.status is Status.NEEDS_TRANSFER and not progress.aligned:
            self._strand(peer, progress)
        elif reply.status is Status.FAILED:
            self._evict(peer, progress)
        elif reply.status is Status.LEAVING:
            progress.leave()
            self._judge(peer, progress)
        self._pump(peer, progress)
        self._admit(peer, progress)
        self._advance()

    def _advance(self) -> None:
        """Count what is committed, and tell who waits for it."""
        if self.phase not in (Phase.ALIGNING, Phase.READY) or self._core.failure is not None:
            return
        log = self._core.log
        log.commit(min(self._floors(), default=log.durable))
        while self._stamps and self._stamps[0].seq <= log.committed:
            self._uncommitted_bytes -= self._stamps.popleft().size_bytes
        if self.phase is Phase.ALIGNING and min(log.committed, log.applied) >= self._noop_seq:
            self.phase = Phase.READY
            self._core.emit(PrimaryReady(self._core.term))
        if self.phase is Phase.READY:
            # Nobody reads any more from one that is leaving.
            readable = (each for each in self._followers.values() if each.in_sync and not each.leaving)
            in_sync = (progress.applied for progress in readable)
            self._waiting.reached(stored=log.committed, visible=min((log.applied, *in_sync)))

    def _floors(self) -> Iterator[int]:
        for progress in self._followers.values():
            if progress.counted:
                yield progress.matched
        for peer in list(self._departed):
            if self._core.now_ms >= self._departed[peer].until_ms:
                del self._departed[peer]
            else:
                yield self._departed[peer].matched

    # --- the set ---------------------------------------------------------------------------------------

    def _judge(self, peer: int, progress: Progress) -> None:
        """Put out a follower that keeps others waiting: writes, or strong reads.

        One that keeps nobody waiting may be away: it misses nothing, and should all processes end one after
        another, the last one must not be the only one that can serve afterwards.
        """
        now_ms, tuning = self._core.now_ms, self._core.tuning
        gone = peer in self._core.unreachable
        if not progress.counted or self.phase not in (Phase.ALIGNING, Phase.READY):
            return
        oldest = next((stamp.at_ms for stamp in self._stamps if stamp.seq > progress.matched), None)
        unseen = progress.in_sync and self._waiting.latest_visible > progress.applied
        awaited = oldest is not None or unseen or self._core.wants_lease
        if progress.leaving:
            if awaited:
                self._evict(peer, progress)
            return
        if now_ms < self._patient_until_ms and not gone:
            return
        since_ms = min(now_ms if oldest is None else oldest, progress.heard_ms)
        limit_ms = tuning.evict_gone_after_ms if gone else tuning.evict_after_ms
        if awaited and now_ms - since_ms > limit_ms:
            self._evict(peer, progress)
        elif self._core.due(progress.evicting_ms, tuning.propose_retry_ms):
            progress.evicting_ms = None  # it was refused or lost, and the follower is well again

    def _evict_leaving(self) -> None:
        """At once, now that writes wait for them."""
        for peer, progress in self._followers.items():
            if progress.leaving:
                self._evict(peer, progress)

    def _evict(self, peer: int, progress: Progress) -> None:
        if progress.counted and self._core.due(progress.evicting_ms, self._core.tuning.propose_retry_ms):
            progress.evicting_ms = self._core.now_ms
            self._core.emit(ProposeEviction(peer, self._core.term, progress.epoch))

    def _strand(self, peer: int, progress: Progress) -> None:
        progress.strand()
        if not progress.in_sync and progress.admitting_ms is None:
            progress.counted = False  # its admission was never proposed: nobody relies on it (P1)
        self._evict(peer, progress)
        if self._core.due(progress.transfer_ms, self._core.tuning.propose_retry_ms):
            progress.transfer_ms = self._core.now_ms
            self._core.emit(NeedsTransfer(peer))

    def _admit(self, peer: int, progress: Progress) -> None:
        """Count a joining follower that is near, then propose it once it has all that is committed (P1)."""
        config, log = self._core.config, self._core.log
        joining = config is not None and peer in config.joining and not progress.in_sync
        if not joining or self.phase is not Phase.READY or not progress.aligned or not progress.complete:
            return
        near = log.last_seq - progress.matched <= self._core.tuning.join_distance_max
        if near and progress.floor <= log.committed:
            progress.counted = True
        ready = progress.counted and progress.matched >= log.committed and progress.evicting_ms is None
        if ready and self._core.due(progress.admitting_ms, self._core.tuning.propose_retry_ms):
            progress.admitting_ms = self._core.now_ms
            self._core.emit(ProposeAdmission(peer, self._core.term, progress.epoch))

    def follower_infos(self) -> list[FollowerInfo]:
        return [
            FollowerInfo(peer, progress.in_sync, progress.matched, progress.applied)
            for peer, progress in sorted(self._followers.items())
        ]

    # --- reads -----------------------------------------------------------------------------------------

    def _own_until_ms(self) -> int:
        if self.phase is not Phase.READY:
            return -1
        answered = (progress.answered_ms for progress in self._followers.values() if progress.counted)
        return own_until_ms(answered, self._core.tuning.read_lease_ms)

    def strong_read_seq(self, now_ms: int) -> int | None:
        if now_ms < self._own_until_ms():
            return self._core.log.committed
        self._core.miss_lease(now_ms)
        return None
