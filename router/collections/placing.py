"""Where the shards of new collections and shard keys go. Pure: chance comes in as an order of peers.

Peers that are equally good are taken in a random order, so that small collections do not all meet on the
peers with the lowest ids (reference 14.8). Peers that a client names are used as they are named, in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from consensus.commands import CreateShardKey, PlacedShard
from consensus.placement import deal_shards, eligible_peers, place_shards
from consensus.state import ClusterState, CollectionState, ReplicaState, ShardKey
from protos.collections import CollectionConfig
from protos.errors import BadRequest

if TYPE_CHECKING:
    import random


class ShardKeyPlan(Struct, frozen=True):
    """What a client wants of a new shard key; None: as the collection says."""

    shards_number: int | None = None
    replication_factor: int | None = None
    placement: tuple[int, ...] | None = None
    initial_state: ReplicaState | None = None


def shuffled_peers(state: ClusterState, rng: random.Random) -> list[int]:
    """The peers that may get new replicas, in a random order."""
    peers = eligible_peers(state)
    rng.shuffle(peers)
    return peers


def first_shards(
    state: ClusterState, config: CollectionConfig, peers: Sequence[int]
) -> tuple[PlacedShard, ...]:
    """The shards that a collection begins with: none if it is sharded by key."""
    params = config.params
    count = 0 if params.sharding_method == "custom" else params.shard_number
    return place_shards(state, count=count, replication_factor=params.replication_factor, peers=peers)


def shard_key_command(
    state: ClusterState,
    collection: CollectionState,
    key: ShardKey,
    plan: ShardKeyPlan,
    peers: Sequence[int],
) -> CreateShardKey:
    """Defaults of reference 14.8. What the collection does not allow is found when it is applied.

    Raises: BadRequest if a placement names no peer, or an unknown one.
    """
    params = collection.config.params
    count = params.shard_number if plan.shards_number is None else plan.shards_number
    default = params.replication_factor if plan.initial_state is None else 1
    factor = default if plan.replication_factor is None else plan.replication_factor
    if plan.placement is None:
        placed = place_shards(
            state, count=count, replication_factor=factor, peers=peers, collection=collection
        )
    else:
        holders = _checked(state, plan.placement)
        placed = deal_shards(count=count, replication_factor=factor, peers=holders)
        factor = min(factor, len(holders))  # or the controller would add replicas elsewhere
    return CreateShardKey(
        collection=collection.name,
        key=key,
        placements=tuple(shard.peers for shard in placed),
        initial_state=plan.initial_state or ReplicaState.ACTIVE,
        wanted=None if factor == params.replication_factor else factor,
    )


def _checked(state: ClusterState, placement: Sequence[int]) -> list[int]:
    peers = list(dict.fromkeys(placement))
    if not peers:
        raise BadRequest("Shard key placement must not be empty")
    unknown = [peer for peer in peers if peer not in state.peers]
    if unknown:
        raise BadRequest(f"Peer {unknown[0]} does not exist")
    return peers
