"""The replica machine: one event in, a list of effects out.

Lives here: terms (who is believed), which role the replica plays, dispatch.
May not live here: what a role does.

A replica believes the highest term it has heard of: in the agreement, in a message, in its log. The
agreement may reach it late; a message of a later term proves that the term was agreed on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from node.replication.core import Core
from node.replication.effects import Effect, Refusal, Refuse
from node.replication.events import (
    Applied,
    BaseCompleted,
    Checkpointed,
    ConfigChanged,
    Event,
    HandingOver,
    Leaving,
    LogRead,
    Persisted,
    PersistFailed,
    Proposed,
    Rebuilt,
    Received,
    Recovered,
    RepeatProposed,
    TailCut,
    TermConfirmed,
    Tick,
    Unreachable,
)
from node.replication.follower import Follower, make_reply
from node.replication.messages import Release, Reply, Status
from node.replication.primary import Phase, Primary
from node.replication.tuning import Tuning
from protos.shard import FollowerInfo

DEFAULTS = Tuning()


class ReplicaMachine:
    """``incarnation`` grows with each opening of the replica's files. Not for concurrent use."""

    primary_role: type[Primary] = Primary
    follower_role: type[Follower] = Follower

    def __init__(self, me: int, recovered: Recovered, *, incarnation: int, tuning: Tuning = DEFAULTS) -> None:
        self._core = Core(me, recovered, incarnation=incarnation, tuning=tuning)
        self._role: Follower | Primary = self.follower_role(self._core)
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            ConfigChanged: self._config_changed,
            Proposed: self._proposed,
            RepeatProposed: self._repeat_proposed,
            Persisted: self._persisted,
            PersistFailed: self._persist_failed,
            TailCut: self._tail_cut,
            Rebuilt: self._rebuilt,
            Applied: self._applied,
            Checkpointed: self._checkpointed,
            BaseCompleted: self._base_completed,
            Received: self._received,
            LogRead: self._log_read,
            TermConfirmed: self._term_confirmed,
            Unreachable: self._unreachable,
            HandingOver: self._handing_over,
            Leaving: self._leaving,
            Tick: self._tick,
        }

    def step(self, event: Event, now_ms: int) -> list[Effect]:
        """Take ``event`` in at ``now_ms`` of this process's monotonic clock; return what to do, in order."""
        self._core.now_ms = max(self._core.now_ms, now_ms)
        self._handlers[type(event)](event)
        return self._core.drain()

    # --- questions -------------------------------------------------------------------------------------

    @property
    def term(self) -> int:
        return self._core.term

    @property
    def committed(self) -> int:
        """A checkpoint may hold entries up to here, not beyond (R4)."""
        return self._core.log.committed

    @property
    def last_seq(self) -> int:
        return self._core.log.last_seq

    @property
    def durable(self) -> int:
        return self._core.log.durable

    @property
    def applied(self) -> int:
        return self._core.log.applied

    def term_at(self, seq: int) -> int | None:
        """The term of the entry at ``seq``; None if the log does not tell any more."""
        return self._core.log.terms.term_at(seq)

    @property
    def is_primary(self) -> bool:
        return isinstance(self._role, Primary)

    @property
    def primary(self) -> int | None:
        """Who leads in this term; None: not heard of yet."""
        return self._core.me if isinstance(self._role, Primary) else self._role.primary

    @property
    def is_ready(self) -> bool:
        """Does it take writes, as far as its term is concerned?"""
        return isinstance(self._role, Primary) and self._role.phase is Phase.READY

    @property
    def stranded(self) -> bool:
        """Has this term's primary found that the log cannot be brought to its own? Only while this holds may
        the replica's files be dropped for a base: what it confirmed before, someone may rely on."""
        return isinstance(self._role, Follower) and self._role.stranded

    def followers(self) -> list[FollowerInfo] | None:
        """As the primary of this term sees them, by peer; None: this replica is not it."""
        return self._role.follower_infos() if isinstance(self._role, Primary) else None

    def heirs(self) -> list[int]:
        """Who could lead next without a pause, as the primary of this term sees it."""
        return self._role.heirs() if isinstance(self._role, Primary) else []

    def refusal(self) -> Refusal | None:
        """Why a write would not be taken now; None: it would."""
        return self._role.refusal() if isinstance(self._role, Primary) else Refusal.NOT_PRIMARY

    def strong_read_seq(self, now_ms: int) -> int | None:
        """The seq that a view must have reached to answer a strong read that began before this call; None:
        this replica cannot answer. Ask first, then take the view."""
        if self._core.log.rebuilding or not self._core.log.settled:
            return None
        return self._role.strong_read_seq(max(now_ms, self._core.now_ms))

    def may_serve_strong_read(self, now_ms: int) -> bool:
        seq = self.strong_read_seq(now_ms)
        return seq is not None and self._core.log.applied >= seq

    # --- terms -----------------------------------------------------------------------------------------

    def _config_changed(self, event: ConfigChanged) -> None:
        config = event.config
        if self._core.config is not None and config.version <= self._core.config.version:
            return
        self._core.config = config
        if config.term < self._core.term:
            return
        mine = config.primary == self._core.me
        if config.term > self._core.term or (mine and isinstance(self._role, Follower)):
            self._enter(config.term, self.primary_role if mine else self.follower_role)
        self._role.configured(config)
        if mine:
            self._role.tick()

    def _enter(self, term: int, role: type[Follower] | type[Primary]) -> None:
        if isinstance(self._role, Primary):
            self._role.step_down()
        self._core.term = term
        self._role = role(self._core)

    # --- messages --------------------------------------------------------------------------------------

    def _received(self, event: Received) -> None:
        message = event.message
        if message.term > self._core.term:
            self._enter(message.term, self.follower_role)
        if isinstance(message, Release):
            self._released(message)
        elif isinstance(message, Reply):
            if message.term == self._core.term and isinstance(self._role, Primary):
                self._role.receive(event.peer, message)
        elif message.term < self._core.term:
            self._core.send(event.peer, make_reply(self._core, Status.OLD_TERM, heard=message))
        elif isinstance(self._role, Follower):
            self._role.receive(event.peer, message)

    def _released(self, message: Release) -> None:
        """It may come after the term that it makes way for has begun here."""
        known = self._core.released
        if known is None or message.term > known.term:
            self._core.released = message
            if isinstance(self._role, Primary):
                self._role.tick()

    # --- clients ---------------------------------------------------------------------------------------

    def _proposed(self, event: Proposed) -> None:
        if isinstance(self._role, Primary):
            self._role.propose(event)
        else:
            self._core.emit_all(self._not_primary(write.token) for write in event.writes)

    def _repeat_proposed(self, event: RepeatProposed) -> None:
        if isinstance(self._role, Primary):
            self._role.repeat(event)
        else:
            self._core.emit(self._not_primary(event.token))

    def _not_primary(self, token: int) -> Refuse:
        assert isinstance(self._role, Follower)
        return Refuse(token, Refusal.NOT_PRIMARY, self._role.primary)

    def _term_confirmed(self, event: TermConfirmed) -> None:
        if isinstance(self._role, Primary):
            self._role.term_confirmed(event.number)

    # --- the disk --------------------------------------------------------------------------------------

    def _persisted(self, event: Persisted) -> None:
        self._core.emit_all(self._core.log.persisted(event.seq))
        self._role.persisted()

    def _persist_failed(self, event: PersistFailed) -> None:
        if self._core.failure is None:
            self._core.failure = event.reason
            self._role.failed()

    def _tail_cut(self, _: TailCut) -> None:
        self._core.emit_all(self._core.log.tail_cut())
        self._role.tail_cut()

    def _rebuilt(self, event: Rebuilt) -> None:
        self._core.emit_all(self._core.log.rebuilt(event.seq))
        self._role.applied()

    def _applied(self, event: Applied) -> None:
        self._core.log.mark_applied(event.seq)
        self._role.applied()

    def _checkpointed(self, event: Checkpointed) -> None:
        self._core.log.checkpointed(event.floor, event.log_first_seq)

    def _base_completed(self, event: BaseCompleted) -> None:
        self._core.log.complete = True
        self._core.log.floor = max(self._core.log.floor, event.floor)

    def _log_read(self, event: LogRead) -> None:
        if isinstance(self._role, Primary):
            self._role.log_read(event)

    # --- the end ---------------------------------------------------------------------------------------

    def _handing_over(self, event: HandingOver) -> None:
        if isinstance(self._role, Primary):
            self._role.release(event.peer)

    def _leaving(self, _: Leaving) -> None:
        self._core.leaving = True
        if isinstance(self._role, Follower):
            self._role.leave()

    # --- time ------------------------------------------------------------------------------------------

    def _unreachable(self, event: Unreachable) -> None:
        self._core.unreachable = event.peers

    def _tick(self, _: Tick) -> None:
        self._role.tick()
