"""Transitions of the keys that are no longer good."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import RestoreKey, RevokeKey
from consensus.events import RevokedKeysChanged
from consensus.state import ClusterState, RevokedKey
from consensus.transitions.outcome import Handler, Outcome
from protos.errors import BadRequest, NotFound


def revoke(state: ClusterState, command: RevokeKey) -> Outcome:
    known = state.revoked_keys.get(command.key_id)
    if known is None and command.max_keys is not None and len(state.revoked_keys) >= command.max_keys:
        raise BadRequest(f"{command.max_keys} keys are revoked already: restore those that have expired")
    revoked_ms = command.revoked_ms if known is None else known.revoked_ms
    key = RevokedKey(revoked_ms, command.note)
    if key == known:
        return state, ()
    return replace(state, revoked_keys={**state.revoked_keys, command.key_id: key}), (RevokedKeysChanged(),)


def restore(state: ClusterState, command: RestoreKey) -> Outcome:
    if command.key_id not in state.revoked_keys:
        raise NotFound(f"Key {command.key_id} is not revoked")
    left = {key_id: key for key_id, key in state.revoked_keys.items() if key_id != command.key_id}
    return replace(state, revoked_keys=left), (RevokedKeysChanged(),)


HANDLERS: dict[type, Handler] = {RevokeKey: revoke, RestoreKey: restore}
