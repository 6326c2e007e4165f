"""Reshardings as they are asked for and shown. Pure.

Lives here: from requests to commands; the states, transfers and operations that clients see (reference 14.3,
14.4, 14.9), all of which follow from one record in the agreed state. In truth a shard's replicas are in sync
all the time: what is not to be read of them yet, their log tells.
May not live here: what is allowed (``consensus.transitions.resharding``).
"""

from __future__ import annotations

from typing import Any

from consensus.commands import AbortResharding, Command, StartResharding
from consensus.ownership import moves_from
from consensus.placement import place_new_shard
from consensus.state import (
    LEVEL_OF_RESHARDING,
    ClusterState,
    CollectionState,
    ReplicaState,
    Resharding,
    ReshardingStage,
    ShardState,
    Transfer,
    TransferMethod,
)
from consensus.transitions.outcome import check_peer
from consensus.transitions.resharding import group_to_reshard
from protos.errors import BadRequest
from router.cluster.requests import Drive
from router.cluster.requests import StartResharding as Asked

# --- asked for ---------------------------------------------------------------------------------------------


def start(state: ClusterState, collection: CollectionState, asked: Asked, *, enabled: bool) -> Command:
    """Raises: BadRequest."""
    if not enabled:
        raise BadRequest("resharding is only supported in Qdrant Cloud")
    if state.feature_level < LEVEL_OF_RESHARDING:  # a member of an older version would stop at the command
        raise BadRequest("Resharding can start once every peer is of a version that knows of it")
    group = group_to_reshard(collection, asked.shard_key)
    if asked.peer_id is not None:
        check_peer(state, asked.peer_id)
    assert asked.uuid is not None
    peers: tuple[int, ...] = ()
    if asked.direction == "up":
        peers = place_new_shard(state, collection, like=group.shards[0], first=asked.peer_id)
        peer_id = peers[0]
    else:
        gone = collection.shards[max(group.shards)]
        peer_id = gone.primary if asked.peer_id is None else asked.peer_id
    return StartResharding(
        collection.name, collection.uuid, str(asked.uuid), asked.direction, peer_id, peers, group.key
    )


def running(collection: CollectionState) -> Resharding:
    """Raises: BadRequest."""
    if collection.resharding is None:
        raise BadRequest(f"resharding is not in progress for collection {collection.name}")
    return collection.resharding


def abort(collection: CollectionState) -> Command:
    """Raises: BadRequest."""
    return AbortResharding(collection.name, collection.uuid, running(collection).uuid)


def has_come_to(collection: CollectionState, resharding: Resharding, drive: Drive) -> bool:
    """Is the stage over that a driver would end? Stages end by themselves: who drives can but wait for them.

    ``resharding``: as it was when that was asked. Raises: BadRequest if it was aborted since.
    """
    now = collection.resharding
    if now is None or now.uuid != resharding.uuid:
        owns = any(
            resharding.shard_id in group.shards for group in collection.groups if group.key == resharding.key
        )
        if owns is not (resharding.direction == "up"):
            raise BadRequest(f"resharding of collection {collection.name} was aborted")
        return True
    match drive:
        case Drive.FINISH_MIGRATING_POINTS:
            return now.stage is not ReshardingStage.MOVING or all(move.ready for move in now.moves)
        case Drive.COMMIT_READ_HASH_RING:
            return now.stage is ReshardingStage.SWITCHED
        case Drive.COMMIT_WRITE_HASH_RING:
            return all(move.released for move in now.moves)
        case _:
            return False


# --- shown -------------------------------------------------------------------------------------------------


def shown_state(collection: CollectionState, shard: ShardState, peer_id: int) -> str:
    """Replicas that copies come into are told apart, until they answer for these points."""
    state, resharding = shard.replicas[peer_id], collection.resharding
    if state is ReplicaState.ACTIVE and resharding is not None and _receives(resharding, shard.id):
        up = resharding.direction == "up"
        state = ReplicaState.RESHARDING if up else ReplicaState.RESHARDING_SCALE_DOWN
    return str(state.value)


def _receives(resharding: Resharding, shard_id: int) -> bool:
    if resharding.stage is ReshardingStage.SWITCHED:
        return False
    return any(move.target == shard_id for move in resharding.moves)


def shown_transfers(collection: CollectionState) -> list[Transfer]:
    """Those of replicas, and those of buckets, from primary to primary."""
    copies = [
        Transfer(
            shard_id=move.source,
            source=shard.primary,
            target=collection.shards[move.target].primary,
            epoch=0,
            method=TransferMethod.RESHARDING_STREAM_RECORDS,
            to_shard_id=move.target,
        )
        for shard in collection.shards.values()
        for move in moves_from(collection, shard.id)
    ]
    return sorted(
        (*collection.transfers, *copies), key=lambda one: (one.shard_id, one.target_shard_id, one.target)
    )


def resharding_info(resharding: Resharding) -> dict[str, Any]:
    """As in ``resharding_operations``."""
    return {
        "direction": resharding.direction,
        "shard_id": resharding.shard_id,
        "peer_id": resharding.peer_id,
        "shard_key": resharding.key,
    }


def reshardings(collection: CollectionState) -> list[dict[str, Any]]:
    return [] if collection.resharding is None else [resharding_info(collection.resharding)]
