"""What a replica asks for: the outputs of ``ReplicaMachine.step``.

``Persist`` and ``CutTail`` are done in the order they are given, and so are ``Apply`` and ``Rebuild``; a
``CutTail`` waits for all before it. (One writer thread that does everything in order will do; a second one
for the state lets the log go on during a ``Rebuild``.) Messages and proposals may be lost: the machine
repeats what matters.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from node.replication.events import Token
from node.replication.messages import Entry, Message


class Persist(Struct, frozen=True):
    """Append to the log and sync; then ``Persisted``, or ``PersistFailed``."""

    entries: tuple[Entry, ...]


class CutTail(Struct, frozen=True):
    """Remove the entries after ``after`` from the log, durably, and forget their operation ids.

    First store ``term`` beside the log (``Recovered.term``): the entries that showed how far terms had come
    may be among those removed, and a replica that begins one of its terms twice breaks R3.
    """

    after: int
    term: int


class Rebuild(Struct, frozen=True):
    """The state holds entries that are no longer in the log: open the last checkpoint again and replay the
    log to its durable end; then ``Rebuilt``. Reads go on on the old view until then."""


class Apply(Struct, frozen=True):
    """Durable entries, in order; then ``Applied``."""

    entries: tuple[Entry, ...]


class Send(Struct, frozen=True):
    peer: int
    message: Message


class Acknowledge(Struct, frozen=True):
    token: Token
    seq: int


class Refusal(enum.Enum):
    """Why a write is not taken; nothing of it was applied."""

    NOT_PRIMARY = "this replica is not the shard's primary"
    NOT_READY = "the shard's new primary does not take writes yet"
    TOO_FEW_IN_SYNC = "fewer replicas are in sync than the write consistency factor asks for"
    BUSY = "too many writes wait for replicas"
    FAILED = "the replica's disk failed"


class Refuse(Struct, frozen=True):
    """``primary`` is who to ask instead, if that is known."""

    token: Token
    refusal: Refusal
    primary: int | None = None


class OutcomeUnknown(Struct, frozen=True):
    """The write is logged here; whether it stays is for a later primary to say."""

    token: Token


class ProposeEviction(Struct, frozen=True):
    """evict(shard, peer, term, epoch)."""

    peer: int
    term: int
    epoch: int


class ProposeAdmission(Struct, frozen=True):
    """Make ``peer`` in sync; to be rejected unless the term and the replica's life are still these."""

    peer: int
    term: int
    epoch: int


class ProposeNewTerm(Struct, frozen=True):
    """promote(shard, this peer, term), which must give a new term although the primary stays: it was
    restarted, and must not go on in its old one."""

    term: int


class AskReplacement(Struct, frozen=True):
    """promote(shard, another peer, term): the primary's disk failed."""

    term: int


class ReportFailed(Struct, frozen=True):
    """This follower cannot log any more."""

    reason: str


class NeedsTransfer(Struct, frozen=True):
    """``peer`` cannot be brought up from the log: give it a base."""

    peer: int


class PrimaryReady(Struct, frozen=True):
    term: int


class ConfirmTerm(Struct, frozen=True):
    """Ask the cluster whether ``term`` still stands; then ``TermConfirmed(number)``."""

    term: int
    number: int


class ReadLog(Struct, frozen=True):
    """Read durable entries from ``from_seq`` on, of about ``bytes_max`` together, at least one; then
    ``LogRead``."""

    peer: int
    session: int
    from_seq: int
    bytes_max: int


Effect = (
    Persist
    | CutTail
    | Rebuild
    | Apply
    | Send
    | Acknowledge
    | Refuse
    | OutcomeUnknown
    | ProposeEviction
    | ProposeAdmission
    | ProposeNewTerm
    | AskReplacement
    | ReportFailed
    | NeedsTransfer
    | PrimaryReady
    | ConfirmTerm
    | ReadLog
)
