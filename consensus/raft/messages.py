"""Raft messages as bytes: msgpack of (format, kind, body), each kind with its own schema.

What comes from the wire is checked against the schema, so that a malformed message ends a link and not a
member. Kinds and their field names are part of the wire format and never change; ``FORMAT`` grows when
the meaning of one does.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

import msgspec

FORMAT = 1

Message = dict[str, Any]
_Entry = tuple[bytes, int, int]  # command, index, term: the library's order


class MalformedMessage(Exception):
    """Bytes from another member that are no message this program knows."""


class _AppendEntries(TypedDict):
    type: str
    term: int
    commit_index: int
    entries: NotRequired[list[_Entry]]
    prevLogIdx: NotRequired[int | None]
    prevLogTerm: NotRequired[int | None]
    serialized: NotRequired[tuple[bytes, bool, bool] | None]


class _NextNodeIdx(TypedDict):
    type: str
    next_node_idx: int
    reset: bool
    success: bool
    term: int


class _RequestVote(TypedDict):
    type: str
    term: int
    last_log_index: int
    last_log_term: int


class _OfTerm(TypedDict):
    type: str
    term: int


class _ApplyCommand(TypedDict):
    type: str
    command: bytes
    request_id: NotRequired[int]


class _ApplyCommandResponse(TypedDict):
    type: str
    request_id: int
    error: NotRequired[int]
    log_idx: NotRequired[int]
    log_term: NotRequired[int]


_BODIES: dict[str, msgspec.msgpack.Decoder[Any]] = {
    "append_entries": msgspec.msgpack.Decoder(_AppendEntries),
    "next_node_idx": msgspec.msgpack.Decoder(_NextNodeIdx),
    "request_vote": msgspec.msgpack.Decoder(_RequestVote),
    "response_vote": msgspec.msgpack.Decoder(_OfTerm),
    "timeout_now": msgspec.msgpack.Decoder(_OfTerm),
    "apply_command": msgspec.msgpack.Decoder(_ApplyCommand),
    "apply_command_response": msgspec.msgpack.Decoder(_ApplyCommandResponse),
}
_envelope = msgspec.msgpack.Decoder(tuple[int, str, msgspec.Raw])


def encode(message: Message) -> bytes:
    return msgspec.msgpack.encode((FORMAT, message["type"], message))


def decode(data: bytes) -> Message:
    """Raises: MalformedMessage."""
    try:
        version, kind, body = _envelope.decode(data)
        if version != FORMAT or kind not in _BODIES:
            raise MalformedMessage(f"format {version}, kind {kind!r}")
        message: Message = _BODIES[kind].decode(body)
    except msgspec.MsgspecError as error:
        raise MalformedMessage(str(error)) from error
    if message["type"] != kind:
        raise MalformedMessage(f"a {kind} that calls itself {message['type']!r}")
    return message
