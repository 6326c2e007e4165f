"""Tokens come back as they were given, whatever is wrong with them is told, and none is too long."""

from __future__ import annotations

import base64
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.errors import BadInput
from protos.shard import Position
from router.tokens import LENGTH_MAX, Positions, decode_tokens, encode_token, merged

numbers = st.integers(0, 2**63 - 1)
places = st.tuples(st.uuids().map(str), st.integers(0, 2**32))
held = st.dictionaries(places, st.builds(Position, numbers, numbers), max_size=8)


@given(written=held.filter(bool), presented=held)
def test_a_token_holds_the_write_and_what_was_known_before(written: Positions, presented: Positions) -> None:
    token = encode_token(written, presented)
    assert token is not None
    assert token.isascii()
    assert "=" not in token
    assert decode_tokens(token) == merged(written, presented)


@given(one=held.filter(bool), other=held.filter(bool))
def test_several_tokens_are_held_to_together(one: Positions, other: Positions) -> None:
    tokens = ", ".join(filter(None, (encode_token(one, {}), encode_token(other, {}))))
    assert decode_tokens(tokens) == merged(one, other)


def test_of_each_shard_the_further_position_counts() -> None:
    a, b = ("u", 0), ("u", 1)
    one = {a: Position(1, 9), b: Position(2, 1)}
    other = {a: Position(2, 3), b: Position(1, 50)}
    assert merged(one, other) == merged(other, one) == {a: Position(2, 3), b: Position(2, 1)}


def test_nothing_written_is_no_token() -> None:
    assert encode_token({}, {("u", 0): Position(1, 1)}) is None


def test_what_does_not_fit_is_left_out_the_older_first() -> None:
    written = {(str(uuid.UUID(int=1)), shard): Position(3, 10**6 + shard) for shard in range(6)}
    presented = {(str(uuid.UUID(int=2 + n)), 0): Position(1, n) for n in range(200)}
    token = encode_token(written, presented)
    assert token is not None
    assert len(token) <= LENGTH_MAX
    assert decode_tokens(token) == written
    many = {("u", shard): Position(1, 10**9) for shard in range(2000)}
    assert encode_token(many, {}) is None


def _token(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ",",
        "AQ",
        "not base64!",
        "ä",
        "A" * (LENGTH_MAX + 4),
        _token(b"\x02" + msgspec.msgpack.encode({})),
        _token(b"\x01" + msgspec.msgpack.encode([1])),
        _token(b"\x01" + msgspec.msgpack.encode({"u": [[0, 1, -1]]})),
        _token(b"\x01" + msgspec.msgpack.encode({"u": [[0, 1]]})),
        _token(b"\x01" + msgspec.msgpack.encode({"u": [[0, 1, 2]]}) + b"\x00"),
        ",".join([_token(b"\x01" + msgspec.msgpack.encode({}))] * 17),
    ],
)
def test_a_malformed_token_is_bad_input(token: str) -> None:
    with pytest.raises(BadInput, match="token"):
        decode_tokens(token)


def test_tokens_of_version_1_are_read() -> None:
    assert decode_tokens("AYGidTGRkwIDzQEs") == {("u1", 2): Position(3, 300)}
