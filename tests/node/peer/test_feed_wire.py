"""What routers and peers say to each other keeps its form: they may be of different releases."""

from __future__ import annotations

import pytest

from consensus.state import Peer, founding_state
from node.peer import feed_wire as wire
from node.peer.feed_wire import Ask, Change, Piece, Told
from protos.errors import ServiceError, ShardUnavailable

PARTS: list[wire.Part] = [
    Piece(7, b"ab", last=True),
    Change(8, 3, b"x"),
    Told(9, 2, 10, 5, (5, 6), has_quorum=True, stopped=False),
]
# As the first release with routers writes them.
FIRST_PARTS = bytes.fromhex(
    "019394a173 07 c4026162 c3 94a163 08 03 c40178 98a174 09 02 0a 05 920506 c3 c2".replace(" ", "")
)
FIRST_ASK = bytes.fromhex("019205a3312e30")


def test_the_first_release_is_understood_and_understands() -> None:
    assert wire.decode_parts(FIRST_PARTS) == PARTS
    assert wire.encode_parts(PARTS) == FIRST_PARTS
    assert wire.decode_ask(FIRST_ASK) == Ask(5, "1.0")
    assert wire.encode_ask(Ask(5, "1.0")) == FIRST_ASK


def test_a_field_that_a_later_release_adds_is_no_obstacle() -> None:
    assert wire.decode_ask(bytes.fromhex("019305a3312e30c3")) == Ask(5, "1.0")


@pytest.mark.parametrize("data", [b"", b"\x02\x90", b"\x01\xc1", b"\x01\x91\x94\xa1z\x07\xc4\x00\xc3"])
def test_what_is_not_known_is_refused(data: bytes) -> None:
    with pytest.raises(ShardUnavailable):
        wire.decode_parts(data)


def test_a_proposal_and_its_outcome_come_back() -> None:
    assert wire.decode_proposal(wire.encode_proposal(b"command", timeout_s=2.5)) == (b"command", 2.5)
    assert wire.decode_outcome(wire.encode_outcome(12, ())) == (12, ())
    assert wire.decode_index(wire.encode_index(1 << 40)) == 1 << 40
    with pytest.raises(ShardUnavailable):
        wire.decode_proposal(b"\x01\x00")
    with pytest.raises(ServiceError, match="agreed on"):
        wire.decode_outcome(b"\x01\xc1")


def test_a_large_state_comes_in_pieces_each_a_message() -> None:
    state = founding_state(Peer(1, uri="u" * (3 * wire.STATE_BYTES)))
    pieces = list(wire.pieces(state, 4))
    assert len(pieces) == 4
    assert [piece.last for piece in pieces] == [False, False, False, True]
    assert max(len(piece.data) for piece in pieces) == wire.STATE_BYTES
    assert [len(message) for message in wire.messages(pieces)] == [1, 1, 1, 1]
    assert len(wire.messages([*PARTS, *PARTS])) == 1
