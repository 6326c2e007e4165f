"""Small clusters for tests of the transitions: peers 1.., collection ``c`` of one shard 0 unless told."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.commands import (
    AddCollection,
    Command,
    FinishTransfer,
    PlacedShard,
    RegisterPeer,
    ShardRef,
    StartTransfer,
    shard_ref,
)
from consensus.events import Event
from consensus.invariants import check_invariants, check_step
from consensus.state import (
    ClusterState,
    Peer,
    ReplicaState,
    ShardState,
    Transfer,
    TransferMethod,
    founding_state,
)
from consensus.transitions import apply, rejection
from protos.collections import CollectionConfig, CollectionParams, Distance, VectorParams

DENSE = VectorParams(4, Distance.DOT)
STREAM = TransferMethod.STREAM_RECORDS
ACTIVE, DEAD, PARTIAL = ReplicaState.ACTIVE, ReplicaState.DEAD, ReplicaState.PARTIAL


def cluster(*holders: Sequence[int], peers: int = 4, factor: int = 1, custom: bool = False) -> ClusterState:
    """Peers 1..n; ``c`` with a shard per element of ``holders``, the primary first."""
    state = founding_state(Peer(1))
    for peer_id in range(1, peers + 1):
        state = do(state, RegisterPeer(peer_id, f"http://{peer_id}:6335"))
    method = "custom" if custom else None
    params = CollectionParams({"": DENSE}, len(holders) or 1, method, factor)  # type: ignore[arg-type]
    placed = tuple(PlacedShard(index, tuple(on)) for index, on in enumerate(holders))
    return do(state, AddCollection("c", "u", CollectionConfig(params), placed, created_ms=0))


def do(state: ClusterState, *commands: Command) -> ClusterState:
    """Apply commands that must be accepted."""
    for command in commands:
        state, events = step(state, command)
        assert rejection(events) is None, (command, events)
    return state


def step(state: ClusterState, command: Command) -> tuple[ClusterState, tuple[Event, ...]]:
    after, events = apply(state, command)
    check_invariants(after)
    check_step(state, after, data_lost=any(type(event).__name__ == "DataLost" for event in events))
    return after, events


def refusal(state: ClusterState, command: Command) -> Exception:
    after, events = apply(state, command)
    assert after is state
    refused = rejection(events)
    assert refused is not None, command
    return refused.error


def shard(state: ClusterState, shard_id: int = 0) -> ShardState:
    return state.collections["c"].shards[shard_id]


def ref(state: ClusterState, shard_id: int = 0) -> ShardRef:
    return shard_ref(state.collections["c"], shard(state, shard_id))


def transfer(state: ClusterState) -> Transfer:
    (only,) = state.collections["c"].transfers
    return only


def start(state: ClusterState, source: int, target: int, *, sync: bool = True) -> StartTransfer:
    return StartTransfer(ref(state), source, target, STREAM, sync=sync)


def finish(state: ClusterState) -> FinishTransfer:
    one = transfer(state)
    return FinishTransfer("c", "u", one, shard(state, one.target_shard_id).term)
