"""What is on disks already: states and commands written by version 0.1.0 mean what they meant."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consensus.commands import (
    AddCollection,
    DropCollection,
    EvictReplica,
    RegisterPeer,
    SetClusterMetadata,
    decode_command,
    encode_command,
)
from consensus.invariants import check_invariants
from consensus.state import FEATURE_LEVEL, Peer, ReplicaState, decode_state, encode_state, founding_state
from consensus.transitions import apply
from tests.consensus.material import cluster, do, ref, start

STORED = json.loads((Path(__file__).parent / "data" / "stored_by_0_1_0.json").read_text())
STATE = base64.b64decode(STORED["state"])
COMMANDS = [base64.b64decode(command) for command in STORED["commands"]]


def test_a_state_of_0_1_0_is_read() -> None:
    state = decode_state(STATE)
    check_invariants(state)
    assert (state.feature_level, state.version, state.peers) == (1, 7, {7: Peer(7)})
    assert (state.aliases, state.metadata) == ({"z": "c"}, {"m": {"v": 1}})
    collection = state.collections["c"]
    assert (collection.uuid, collection.config_version, collection.created_ms) == ("uuid-c", 4, 5)
    assert set(collection.config.vectors) == {"", "v"}
    assert collection.config.hnsw_of("").m == 4
    assert set(collection.payload_schema) == {"f"}
    assert [shard.replicas for shard in collection.shards.values()] == [{7: ReplicaState.ACTIVE}] * 3
    assert all((shard.primary, shard.term) == (7, 1) for shard in collection.shards.values())
    assert state.collections["k"].custom_sharding


def test_a_state_of_0_1_0_comes_through_unchanged_and_the_cluster_grows_from_it() -> None:
    state = decode_state(STATE)
    assert decode_state(encode_state(state)) == state
    state = do(state, RegisterPeer(7, "http://7:6335", incarnation=1), RegisterPeer(8, "http://8:6335"))
    assert state.feature_level == FEATURE_LEVEL
    assert decode_state(encode_state(state)) == state


def test_commands_of_0_1_0_lead_to_the_state_it_had() -> None:
    commands = [decode_command(command) for command in COMMANDS]
    state = msgspec.structs.replace(founding_state(Peer(7)), peers={7: Peer(7)}, feature_level=1)
    for command in commands[:7]:
        state, _ = apply(state, command)
    assert state == decode_state(STATE)
    assert isinstance(commands[0], AddCollection)
    assert isinstance(commands[6], SetClusterMetadata)
    for command in commands[7:]:
        state, _ = apply(state, command)
    assert commands[-1] == DropCollection("k")
    assert list(state.collections) == ["c"]


def test_a_command_that_this_program_does_not_know_is_not_guessed_at() -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_command(msgspec.msgpack.encode({"type": "of_the_future"}))


def as_map(data: bytes) -> Any:
    return msgspec.msgpack.decode(data)


def test_the_form_of_new_commands_and_states_is_fixed() -> None:
    state = cluster((1, 2))
    command = EvictReplica(ref(state), 2, 0)
    assert as_map(encode_command(command)) == {
        "type": "evict_replica",
        "shard": {"collection": "c", "uuid": "u", "shard_id": 0, "term": 1},
        "peer_id": 2,
        "epoch": 0,
    }
    state = do(state, command, start(state, 1, 3))
    collection = as_map(encode_state(state))["collections"]["c"]
    assert collection["shards"][0] == {
        "id": 0,
        "replicas": {1: "Active", 2: "Dead", 3: "Partial"},
        "primary": 1,
        "epochs": {2: 1, 3: 2},
        "last_epoch": 2,
    }
    assert collection["transfers"] == [
        {"shard_id": 0, "source": 1, "target": 3, "epoch": 2, "method": "stream_records"}
    ]
