"""Tokens by which a client reads its own writes (an extension of Qdrant's API). Pure.

A token holds where in the logs of shards some writes stand. A read that presents it is answered by replicas
that have come as far; so it sees those writes, whichever replica answers. Opaque to clients: base64 of a
version and MessagePack.

Invariants: what does not concern a read's collection means nothing to it; a token is never longer than
``LENGTH_MAX``, so that it fits into a header.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protos.errors import BadInput
from protos.shard import Position

HEADER: Final = "x-vecraft-token"
LENGTH_MAX: Final = 4096
PRESENTED_MAX: Final = 16  # tokens in one request, separated by commas
_VERSION: Final = b"\x01"

Place = tuple[str, int]  # the uuid of a collection, a shard
Positions = dict[Place, Position]

_Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_decoder = msgspec.msgpack.Decoder(dict[str, list[tuple[_Number, _Number, _Number]]])


def encode_token(written: Mapping[Place, Position], presented: Mapping[Place, Position]) -> str | None:
    """A token for the writes of a request and for those it knew of; without the latter, or None, if that
    would be too long."""
    if not written:
        return None
    whole = _encoded(merged(presented, written))
    token = whole if len(whole) <= LENGTH_MAX else _encoded(written)
    return token if len(token) <= LENGTH_MAX else None


def decode_tokens(text: str) -> Positions:
    """What one or several tokens hold, of each shard the furthest. Raises: BadInput."""
    tokens = [token.strip() for token in text.split(",")]
    if len(tokens) > PRESENTED_MAX:
        raise BadInput(f"too many tokens in {HEADER}: at most {PRESENTED_MAX} are expected")
    positions: Positions = {}
    for token in tokens:
        positions = merged(positions, _decoded(token))
    return positions


def merged(one: Mapping[Place, Position], other: Mapping[Place, Position]) -> Positions:
    """Of each shard the position that is further."""
    both = dict(one)
    for place, position in other.items():
        both[place] = max(position, both.get(place, position))
    return both


def _encoded(positions: Mapping[Place, Position]) -> str:
    by_collection: dict[str, list[tuple[int, int, int]]] = {}
    for (uuid, shard), position in sorted(positions.items()):
        by_collection.setdefault(uuid, []).append((shard, position.term, position.seq))
    data = _VERSION + msgspec.msgpack.encode(by_collection)
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(token: str) -> Positions:
    if not token or len(token) > LENGTH_MAX:
        raise _malformed(f"1 to {LENGTH_MAX} characters are expected")
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if data[:1] != _VERSION:
            raise _malformed("it is of another version")
        held = _decoder.decode(data[1:])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise _malformed("it was not made here") from error
    return {(uuid, shard): Position(term, seq) for uuid, some in held.items() for shard, term, seq in some}


def _malformed(why: str) -> BadInput:
    return BadInput(f"malformed token in {HEADER}: {why}")
