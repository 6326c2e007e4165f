"""Raft messages as bytes: what a member sends comes back alike, and nothing else is taken."""

from __future__ import annotations

import msgspec
import pytest

from consensus.raft.messages import FORMAT, MalformedMessage, decode, encode

MESSAGES = [
    {
        "type": "append_entries",
        "term": 2,
        "commit_index": 1,
        "entries": [(b"\x00x", 2, 2)],
        "prevLogIdx": 1,
        "prevLogTerm": 0,
    },
    {"type": "append_entries", "term": 2, "commit_index": 1, "serialized": (b"x", True, False)},
    {"type": "append_entries", "term": 2, "commit_index": 1, "serialized": None},
    {"type": "next_node_idx", "next_node_idx": 4, "reset": False, "success": True, "term": 2},
    {"type": "request_vote", "term": 2, "last_log_index": 3, "last_log_term": 1},
    {"type": "response_vote", "term": 2},
    {"type": "timeout_now", "term": 2},
    {"type": "apply_command", "command": b"\x00x", "request_id": 7},
    {"type": "apply_command_response", "request_id": 7, "error": 3},
    {"type": "apply_command_response", "request_id": 7, "log_idx": 3, "log_term": 1},
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: str(message["type"]))
def test_a_message_comes_back_as_it_was(message: dict[str, object]) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        encode(MESSAGES[0])[:-1],
        msgspec.msgpack.encode((FORMAT, "run_this", {"type": "run_this"})),
        msgspec.msgpack.encode((FORMAT + 1, "timeout_now", {"type": "timeout_now", "term": 1})),
        msgspec.msgpack.encode((FORMAT, "timeout_now", {"type": "timeout_now"})),
        msgspec.msgpack.encode((FORMAT, "timeout_now", {"type": "timeout_now", "term": "1"})),
        msgspec.msgpack.encode((FORMAT, "timeout_now", {"type": "apply_command", "term": 1})),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(data)


def test_the_wire_format_is_fixed() -> None:
    """Members of neighbouring releases talk to each other: these bytes never change."""
    assert encode({"type": "timeout_now", "term": 2}).hex() == (
        "9301ab74696d656f75745f6e6f7782a474797065ab74696d656f75745f6e6f77a47465726d02"
    )
