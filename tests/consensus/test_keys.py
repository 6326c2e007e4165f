"""Revoked keys in the agreed state."""

from __future__ import annotations

from consensus.commands import RestoreKey, RevokeKey, decode_command, encode_command
from consensus.events import Rejected, RevokedKeysChanged
from consensus.state import Peer, RevokedKey, decode_state, encode_state, founding_state
from consensus.transitions import apply

STATE = founding_state(Peer(1))


def test_a_key_is_revoked_until_it_is_restored() -> None:
    revoked, events = apply(STATE, RevokeKey("a", 5, "leaked"))
    assert events == (RevokedKeysChanged(),)
    assert decode_state(encode_state(revoked)).revoked_keys == {"a": RevokedKey(5, "leaked")}
    again, events = apply(revoked, RevokeKey("a", 9, "leaked"))
    assert (again is revoked, events) == (True, ())
    told, _ = apply(revoked, RevokeKey("a", 9, "stolen"))
    assert told.revoked_keys == {"a": RevokedKey(5, "stolen")}
    restored, _ = apply(told, RestoreKey("a"))
    assert restored.revoked_keys == {}


def test_what_is_not_revoked_cannot_be_restored() -> None:
    after, (event,) = apply(STATE, RestoreKey("a"))
    assert after is STATE
    assert isinstance(event, Rejected)


def test_there_is_room_for_so_many_only() -> None:
    state, _ = apply(STATE, RevokeKey("a", 1, max_keys=1))
    after, (event,) = apply(state, RevokeKey("b", 1, max_keys=1))
    assert after is state
    assert isinstance(event, Rejected)
    after, _ = apply(state, RevokeKey("a", 1, "known ones may be told of", max_keys=1))
    assert after.revoked_keys["a"].note


def test_states_without_revoked_keys_are_stored_as_before() -> None:
    assert b"revoked" not in encode_state(STATE)
    command = RevokeKey("a", 1, max_keys=3)
    assert decode_command(encode_command(command)) == command
