"""What replicas of a shard say to each other, and its bytes.

Lives here: the frozen structs and the codec. May not live here: addresses, shard and cluster ids (the
envelope of the peer port carries them).

Messages may be lost, doubled, late and out of order. Each is true for ever within its term and session: a
``Reply`` states what is durable, an ``Align`` what the primary's log was when its term began, so none
can do harm by arriving at the wrong time.

Bytes: ``bytes([FORMAT]) + msgpack``. Tags and the order of fields never change; new fields go to the end,
with a default.
"""

from __future__ import annotations

import enum

import msgspec
from msgspec import Struct

from node.replication.terms import Starts

FORMAT = 1
UNKNOWN_TERM = -1


class Entry(Struct, frozen=True, array_like=True):
    """One operation of a shard's log; ``body`` is what the WAL stores, opaque here."""

    term: int
    seq: int
    body: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.body) + 32


class Grant(Struct, frozen=True, array_like=True):
    """The lease: strong reads are allowed for ``lease_ms`` after the follower's clock showed ``clock_ms``,
    which is when it sent some reply that the primary had received before it granted."""

    incarnation: int
    clock_ms: int
    lease_ms: int


class ToFollower(Struct, frozen=True, array_like=True):
    """``session`` tells this registration of the follower from earlier ones, ``number`` counts its messages,
    ``sent_ms`` is the primary's clock."""

    term: int
    session: int
    number: int
    sent_ms: int


class Align(ToFollower, frozen=True, tag="align"):
    """Cut what parts from a log with these (term, first seq); sent until it is answered."""

    starts: Starts


class Detach(ToFollower, frozen=True, tag="detach"):
    """The primary's log does not reach back to where that of the follower of this incarnation ends. Never
    sent to one whose admission may be under way: the log is kept from what is committed on, and such a
    follower has that."""

    incarnation: int


class Append(ToFollower, frozen=True, tag="append"):
    """Entries after ``prev_seq``; none: a heartbeat. ``prev_term`` is ``UNKNOWN_TERM`` when the primary has
    trimmed its log beyond it."""

    prev_term: int
    prev_seq: int
    committed: int
    entries: tuple[Entry, ...] = ()
    grant: Grant | None = None


class Release(ToFollower, frozen=True, tag="release"):
    """To the replica that is to lead next: leases of this term are held by none but ``holders``, each a peer
    and its epoch, now and until the term ends; those of all terms before have run out. A program that does
    not know this message waits for the leases as it always did."""

    holders: tuple[tuple[int, int], ...]


class Status(enum.IntEnum):
    OK = 0
    GAP = 1  # entries between ``last_seq`` and the message's are missing
    UNALIGNED = 2  # of this term no ``Align`` was heard since the replica was opened
    OLD_TERM = 3  # ``term`` is the newer one
    NEEDS_TRANSFER = 4  # no common entry that the log could be cut to
    FAILED = 5  # the disk
    LEAVING = 6  # its process ends: it holds no lease, takes none, and soon answers no more


class Reply(Struct, frozen=True, array_like=True, tag="reply"):
    """``session``, ``number`` and ``sent_ms`` repeat the latest message's; ``clock_ms`` is by the own clock.

    Only with ``OK`` and ``GAP`` do the seqs speak of the primary's log: everything up to ``durable`` is the
    same there. ``floor`` is the least seq the log can be cut to. ``wants_lease``: strong reads were asked for
    lately and could not be answered.
    """

    term: int
    session: int
    number: int
    sent_ms: int
    incarnation: int
    clock_ms: int
    status: Status
    last_seq: int
    durable: int
    applied: int
    floor: int
    complete: bool = True
    wants_lease: bool = False


Message = Align | Detach | Append | Reply | Release

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode_message(message: Message) -> bytes:
    return bytes([FORMAT]) + _encoder.encode(message)


def decode_message(data: bytes | memoryview) -> Message:
    """Raises: ValueError if the format is not known here or the bytes are not a message."""
    if not data or data[0] != FORMAT:
        found = data[0] if data else "empty"
        raise ValueError(f"message format {found} is not known here (this program knows {FORMAT})")
    try:
        return _decoder.decode(data[1:])
    except msgspec.DecodeError as error:
        raise ValueError(f"not a replication message: {error}") from error
