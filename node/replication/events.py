"""What happens to a replica: the inputs of ``ReplicaMachine.step``.

Disk events come in the order of the effects that caused them (one writer thread); all others in any order.
"""

from __future__ import annotations

from msgspec import Struct

from node.replication.messages import Entry, Message
from node.replication.terms import EMPTY_SEQ, TermList

Token = int  # the shell's name for a client that waits


class ReplicaSet(Struct, frozen=True):
    """What the cluster agreed on about this shard. ``version`` grows with each change of any of it.

    ``epochs`` tells the lives of one peer's replica apart (absent: 0): it begins a new one when it is added,
    evicted, or begins to be filled, so that a proposal about an earlier life has no effect on a later one.
    """

    version: int
    term: int
    primary: int
    replicas: frozenset[int]
    in_sync: frozenset[int]
    logging: frozenset[int]  # get live writes; includes ``in_sync``
    joining: frozenset[int] = frozenset()  # of ``logging``: become in sync once they have caught up
    write_consistency_factor: int = 1
    epochs: dict[int, int] = {}

    def epoch_of(self, peer: int) -> int:
        return self.epochs.get(peer, 0)


class Recovered(Struct, frozen=True):
    """What opening the files found. The state is that of the whole log (checkpoint and replay).

    ``floor`` is the checkpoint's seq, and everything up to it is committed. ``complete`` is False while a
    transfer still fills in what was there before the log began. ``term`` is the one in which the log was last
    cut, or the files were made anew (0: never); the log alone does not show it, and a replica that knew
    less than before would believe an old agreement that names it primary, and begin that term again.
    """

    terms: TermList = TermList()
    last_seq: int = EMPTY_SEQ
    floor: int = EMPTY_SEQ
    complete: bool = True
    term: int = 0


class ConfigChanged(Struct, frozen=True):
    """The cluster's agreement, possibly late, possibly skipping versions."""

    config: ReplicaSet


class Write(Struct, frozen=True):
    """``visible``: acknowledge when all in-sync replicas have applied it, not only stored it.
    ``confirm_term``: ask the cluster before that whether the term still stands (ordering ``strong``)."""

    token: Token
    body: bytes
    visible: bool = False
    confirm_term: bool = False


class Proposed(Struct, frozen=True):
    """Resolved operations of clients, one group. Ask ``refusal`` before resolving."""

    writes: tuple[Write, ...]


class RepeatProposed(Struct, frozen=True):
    """A client repeats an operation that the log has at ``seq``: answer when that is committed."""

    token: Token
    seq: int
    visible: bool = False
    confirm_term: bool = False


class Persisted(Struct, frozen=True):
    """Every entry up to ``seq`` is durable."""

    seq: int


class PersistFailed(Struct, frozen=True):
    """The log cannot be written; what is not durable never will be. The replica must be reopened."""

    reason: str


class TailCut(Struct, frozen=True):
    """``CutTail`` is done, durably."""

    after: int


class Rebuilt(Struct, frozen=True):
    """``Rebuild`` is done; the state is that of the log up to ``seq``."""

    seq: int


class Applied(Struct, frozen=True):
    seq: int


class Checkpointed(Struct, frozen=True):
    """The files hold the state as of ``floor``; the log keeps entries from ``log_first_seq`` on."""

    floor: int
    log_first_seq: int


class BaseCompleted(Struct, frozen=True):
    """A transfer has filled in everything; the log cannot be cut below ``floor`` any more."""

    floor: int


class Received(Struct, frozen=True):
    peer: int
    message: Message


class LogRead(Struct, frozen=True):
    """Answers ``ReadLog``; no entries: the log does not reach back so far."""

    peer: int
    session: int
    entries: tuple[Entry, ...]


class TermConfirmed(Struct, frozen=True):
    """Answers ``ConfirmTerm``: when the cluster was asked, no later term had been agreed on."""

    number: int


class Unreachable(Struct, frozen=True):
    """At the addresses of these peers nobody answers, as far as this process can tell; all others' do."""

    peers: frozenset[int]


class HandingOver(Struct, frozen=True):
    """The lead is about to be handed to ``peer``: what can spare it waiting is to be said before."""

    peer: int


class Leaving(Struct, frozen=True):
    """The process ends."""


class Tick(Struct, frozen=True):
    """Time passes; several per heartbeat."""


Event = (
    ConfigChanged
    | Proposed
    | RepeatProposed
    | Persisted
    | PersistFailed
    | TailCut
    | Rebuilt
    | Applied
    | Checkpointed
    | BaseCompleted
    | Received
    | LogRead
    | TermConfirmed
    | Unreachable
    | HandingOver
    | Leaving
    | Tick
)
