"""Bodies of calls between nodes: a format byte before what is said."""

from __future__ import annotations

from protos.errors import ShardUnavailable


def framed(known: int, body: bytes) -> bytes:
    """``known``: the format that this program writes and reads."""
    return bytes([known]) + body


def body_of(known: int, data: bytes) -> bytes:
    """Raises: ShardUnavailable: it is of another release."""
    if not data or data[0] != known:
        raise ShardUnavailable(f"Format {known} is expected, {data[0] if data else 'nothing'} was found")
    return data[1:]
