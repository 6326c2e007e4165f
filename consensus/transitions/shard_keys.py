"""Transitions of shard keys. Texts: reference 14.8."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.buckets import deal_buckets, show_shard_key
from consensus.commands import CreateShardKey, DropShardKey
from consensus.events import ShardKeysChanged
from consensus.state import ClusterState, CollectionState, ReplicaState, ShardGroup, ShardState
from consensus.transitions.edits import abort_all, first_replicas
from consensus.transitions.outcome import Handler, Outcome, check_peer, collection_named, put_collection
from protos.errors import BadRequest

INITIAL_STATES = (ReplicaState.ACTIVE, ReplicaState.PARTIAL)


def create(state: ClusterState, command: CreateShardKey) -> Outcome:
    collection = collection_named(state, command.collection)
    _check_create(state, collection, command)
    first = _next_shard_id(collection)
    shards = {
        first + index: ShardState(
            id=first + index,
            replicas=first_replicas(state, peers, command.initial_state),
            primary=peers[0],
            key=command.key,
            wanted=command.wanted,
        )
        for index, peers in enumerate(command.placements)
    }
    ids = tuple(shards)
    after = replace(
        collection,
        shards={**collection.shards, **shards},
        groups=(*collection.groups, ShardGroup(ids, deal_buckets(ids), command.key)),
        next_shard_id=first + len(ids),
    )
    return put_collection(state, after), (ShardKeysChanged(collection.name),)


def _check_create(state: ClusterState, collection: CollectionState, command: CreateShardKey) -> None:
    """Raises: BadRequest."""
    if not collection.custom_sharding:
        raise BadRequest("Shard Key cannot be created with Auto sharding method")
    if any(group.key == command.key for group in collection.groups):
        key = show_shard_key(command.key)
        raise BadRequest(f"Sharding key {key} already exists for collection {collection.name}")
    if command.initial_state not in INITIAL_STATES:
        raise BadRequest(f"Initial state cannot be {command.initial_state.value}, only Active or Partial")
    if not command.placements or not all(command.placements):
        raise BadRequest("Shard key placement must not be empty")
    for peers in command.placements:
        for peer_id in peers:
            check_peer(state, peer_id)
        if len(set(peers)) < len(peers):
            raise BadRequest("Shard key placement must not name a peer twice")


def _next_shard_id(collection: CollectionState) -> int:
    return max(collection.next_shard_id, max(collection.shards, default=-1) + 1)


def drop(state: ClusterState, command: DropShardKey) -> Outcome:
    collection = collection_named(state, command.collection)
    if not collection.custom_sharding:
        raise BadRequest("Shard Key cannot be deleted with Auto sharding method")
    gone = {shard_id for shard_id, shard in collection.shards.items() if shard.key == command.key}
    if not gone:
        key = show_shard_key(command.key)
        raise BadRequest(f"Sharding key {key} does not exist for collection {collection.name}")
    touching = [
        transfer for transfer in collection.transfers if {transfer.shard_id, transfer.target_shard_id} & gone
    ]
    after, events = abort_all(collection, touching, "shard key dropped")
    after = replace(
        after,
        shards={shard_id: shard for shard_id, shard in after.shards.items() if shard_id not in gone},
        groups=tuple(group for group in collection.groups if group.key != command.key),
        next_shard_id=_next_shard_id(collection),
    )
    if after.resharding is not None and after.resharding.key == command.key:
        after = replace(after, resharding=None, buckets_step=after.buckets_step + 1)
    return put_collection(state, after), (*events, ShardKeysChanged(collection.name))


HANDLERS: dict[type, Handler] = {CreateShardKey: create, DropShardKey: drop}
