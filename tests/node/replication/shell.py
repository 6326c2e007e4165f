"""Drives one machine by hand: the disk answers at once unless told not to, messages are collected."""

from __future__ import annotations

from typing import TypeVar

from node.replication import effects as do
from node.replication import events as ev
from node.replication.machine import ReplicaMachine
from node.replication.messages import Entry, Message, Reply, Status
from node.replication.terms import TermList
from node.replication.tuning import Tuning

E = TypeVar("E")
M = TypeVar("M")

TUNING = Tuning()


def replica_set(
    *,
    version: int = 1,
    term: int = 1,
    primary: int = 1,
    in_sync: tuple[int, ...] = (1, 2, 3),
    joining: tuple[int, ...] = (),
    recovering: tuple[int, ...] = (),
    factor: int = 1,
) -> ev.ReplicaSet:
    return ev.ReplicaSet(
        version=version,
        term=term,
        primary=primary,
        replicas=frozenset((1, 2, 3)),
        in_sync=frozenset(in_sync),
        logging=frozenset(in_sync + joining + recovering),
        joining=frozenset(joining),
        write_consistency_factor=factor,
    )


def recovered(*terms: int, floor: int = -1) -> ev.Recovered:
    """A replica whose entries have these terms, from seq 0 on."""
    log = TermList()
    for seq, term in enumerate(terms):
        log = log.extended(term, seq)
    return ev.Recovered(log, len(terms) - 1, floor)


class Shell:
    def __init__(
        self,
        me: int = 1,
        found: ev.Recovered | None = None,
        *,
        incarnation: int = 1,
        disk: bool = True,
        tuning: Tuning = TUNING,
    ) -> None:
        self.machine = ReplicaMachine(
            me, found if found is not None else ev.Recovered(), incarnation=incarnation, tuning=tuning
        )
        self.now_ms = 1000
        self.disk = disk
        self.effects: list[do.Effect] = []

    def __call__(self, *events: ev.Event) -> Shell:
        for event in events:
            for effect in self.machine.step(event, self.now_ms):
                self.effects.append(effect)
                self._answer(effect)
        return self

    def _answer(self, effect: do.Effect) -> None:
        if not self.disk:
            return
        match effect:
            case do.Persist(entries):
                self(ev.Persisted(entries[-1].seq))
            case do.Apply(entries):
                self(ev.Applied(entries[-1].seq))
            case do.CutTail(after, _):
                self(ev.TailCut(after))
            case do.Rebuild():
                self(ev.Rebuilt(self.machine.durable))

    def after(self, ms: int) -> Shell:
        """Let time pass, ticking."""
        for _ in range(ms // 50):
            self.now_ms += 50
            self(ev.Tick())
        self.now_ms += ms % 50
        return self(ev.Tick())

    def of(self, kind: type[E]) -> list[E]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def sent(self, kind: type[M], peer: int | None = None) -> list[M]:
        sends = [send for send in self.of(do.Send) if peer in (None, send.peer)]
        return [send.message for send in sends if isinstance(send.message, kind)]

    def clear(self) -> Shell:
        self.effects.clear()
        return self

    def hear(self, peer: int, message: Message) -> Shell:
        return self(ev.Received(peer, message))

    # --- as a primary ----------------------------------------------------------------------------------

    def reply(self, peer: int, durable: int, **fields: object) -> Shell:
        """The follower ``peer`` answers the last message it was sent."""
        last = [send.message for send in self.of(do.Send) if send.peer == peer][-1]
        assert not isinstance(last, Reply)
        values: dict[str, object] = {
            "term": last.term,
            "session": last.session,
            "number": last.number,
            "sent_ms": last.sent_ms,
            "incarnation": 1,
            "clock_ms": 500_000 + self.now_ms,
            "status": Status.OK,
            "last_seq": durable,
            "durable": durable,
            "applied": durable,
            "floor": -1,
        }
        return self.hear(peer, Reply(**(values | fields)))  # type: ignore[arg-type]

    def write(self, *tokens: int, visible: bool = False, confirm_term: bool = False) -> Shell:
        return self(ev.Proposed(tuple(ev.Write(t, b"op%d" % t, visible, confirm_term) for t in tokens)))

    def acknowledged(self) -> list[int]:
        return [effect.token for effect in self.of(do.Acknowledge)]


def entries(*terms: int, start: int = 0) -> tuple[Entry, ...]:
    return tuple(Entry(term, seq, b"x%d" % seq) for seq, term in enumerate(terms, start))


def ready_primary(**fields: object) -> Shell:
    """Peer 1 leads term 1 with peers 2 and 3 in sync, its Noop (seq 0) committed."""
    shell = Shell()
    shell(ev.ConfigChanged(replica_set(**fields)))  # type: ignore[arg-type]
    for peer in sorted({2, 3} & replica_set(**fields).in_sync):  # type: ignore[arg-type]
        shell.reply(peer, -1).reply(peer, 0)
    assert shell.machine.is_ready
    return shell.clear()
