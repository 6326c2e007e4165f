"""What a router and a peer say to each other beside what peers say.

``FOLLOW`` is a stream: its parts come in messages of a format byte and a list of ``Part`` in MessagePack. It
begins with the whole state, in pieces; each change of it follows, and ``Told`` in between, so that silence
means that nobody is there. ``KNOWN`` tells the peer how far the router has come. ``PROPOSE`` and ``BARRIER``
are those of ``consensus.log``.

The fields of these structs, their order and tags never change; new ones get defaults at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from consensus.log import RaftStatus
from consensus.replicated import UnknownFormat, decode_events, encode_events
from consensus.state import ClusterState, encode_state
from consensus.transitions import Events
from node.peer.framing import body_of, framed
from protos.errors import ServiceError, ShardUnavailable
from protos.structs import learn

FOLLOW, KNOWN = "routers.follow", "routers.known"
PROPOSE, BARRIER = "routers.propose", "routers.barrier"
FORMAT = 1
STATE_BYTES = 1 << 20  # of one piece of the state
_INDEX_BYTES, _TIMEOUT_BYTES = 8, 4


class Ask(Struct, frozen=True, array_like=True):
    """``feature_level``: of the router; ``version``: for the peer's log."""

    feature_level: int
    version: str = ""


class Piece(Struct, frozen=True, array_like=True, tag="s"):
    """Of the state as of ``index``, encoded; the whole of it with the ``last`` one."""

    index: int
    data: bytes
    last: bool


class Change(Struct, frozen=True, array_like=True, tag="c"):
    """The entry at ``index`` led to the state of ``version``."""

    index: int
    version: int
    command: bytes


class Told(Struct, frozen=True, array_like=True, tag="t"):
    """The peer has applied ``index``; the changes up to there were sent before. Others as ``RaftStatus``."""

    index: int
    term: int
    commit: int
    leader: int | None
    voters: tuple[int, ...]
    has_quorum: bool
    stopped: bool


Part = Piece | Change | Told


class Outcome(Struct, frozen=True, array_like=True):
    """Of a proposal: the command was applied at or before ``index``."""

    index: int
    events: list[tuple[str, Any]]


_parts = msgspec.msgpack.Decoder(list[Part])
_ask = msgspec.msgpack.Decoder(Ask)
_outcome = msgspec.msgpack.Decoder(Outcome)
learn(Ask, Piece, Change, Told, Outcome)


def encode_ask(ask: Ask) -> bytes:
    return framed(FORMAT, msgspec.msgpack.encode(ask))


def decode_ask(data: bytes) -> Ask:
    """Raises: ShardUnavailable: it is of another release; so do the others."""
    try:
        return _ask.decode(body_of(FORMAT, data))
    except msgspec.MsgspecError as error:
        raise _unknown(error) from error


def encode_parts(parts: list[Part]) -> bytes:
    return framed(FORMAT, msgspec.msgpack.encode(parts))


def decode_parts(data: bytes) -> list[Part]:
    try:
        return _parts.decode(body_of(FORMAT, data))
    except msgspec.MsgspecError as error:
        raise _unknown(error) from error


def pieces(state: ClusterState, index: int) -> Iterator[Piece]:
    data = encode_state(state)
    for start in range(0, len(data), STATE_BYTES):
        end = start + STATE_BYTES
        yield Piece(index, data[start:end], last=end >= len(data))


def messages(parts: Iterable[Part]) -> list[list[Part]]:
    """In order, each message of about a piece's size at most, or of one part."""
    made: list[list[Part]] = []
    size = STATE_BYTES
    for part in parts:
        own = (
            len(part.data)
            if isinstance(part, Piece)
            else len(part.command)
            if isinstance(part, Change)
            else 0
        )
        if not made or size + own > STATE_BYTES:
            made.append([])
            size = 0
        made[-1].append(part)
        size += own
    return made


def told(index: int, status: RaftStatus) -> Told:
    return Told(
        index,
        status.term,
        status.commit,
        status.leader,
        status.voters,
        status.has_quorum,
        status.stopped or status.error is not None,
    )


def encode_index(index: int) -> bytes:
    return framed(FORMAT, index.to_bytes(_INDEX_BYTES, "big"))


def decode_index(data: bytes) -> int:
    return int.from_bytes(body_of(FORMAT, data), "big")


def encode_proposal(command: bytes, *, timeout_s: float) -> bytes:
    milliseconds = max(1, int(timeout_s * 1000))
    return framed(FORMAT, milliseconds.to_bytes(_TIMEOUT_BYTES, "big") + command)


def decode_proposal(data: bytes) -> tuple[bytes, float]:
    """Returns: the command, and the seconds that it may take."""
    body = body_of(FORMAT, data)
    if len(body) < _TIMEOUT_BYTES:
        raise ShardUnavailable("a proposal without a timeout is not known here")
    return body[_TIMEOUT_BYTES:], int.from_bytes(body[:_TIMEOUT_BYTES], "big") / 1000


def encode_outcome(index: int, events: Events) -> bytes:
    return framed(FORMAT, msgspec.msgpack.encode(Outcome(index, encode_events(events))))


def decode_outcome(data: bytes) -> tuple[int, Events]:
    """Raises: ServiceError if a newer program tells something that this one does not know."""
    try:
        found = _outcome.decode(body_of(FORMAT, data))
        return found.index, decode_events(found.events)
    except (msgspec.MsgspecError, UnknownFormat) as error:
        raise ServiceError(
            f"the operation was agreed on, but its outcome is not known here: {error}"
        ) from error


def _unknown(error: msgspec.MsgspecError) -> ShardUnavailable:
    return ShardUnavailable(f"what is told of the cluster is not known here: {error}")
