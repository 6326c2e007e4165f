"""Transitions of collections, their vector names and payload indexes. Texts: reference 1.3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from consensus.buckets import deal_buckets
from consensus.commands import (
    AddCollection,
    ChangeCollection,
    DropCollection,
    DropPayloadIndex,
    DropVectorName,
    PlacedShard,
    SetPayloadIndex,
    SetVectorName,
)
from consensus.events import CollectionAdded, CollectionChanged, CollectionDropped
from consensus.state import ClusterState, CollectionState, ShardGroup, ShardKey, ShardState
from consensus.transitions.edits import first_replicas
from consensus.transitions.outcome import Handler, Outcome, collection_named, put_collection
from consensus.transitions.restoring import restored
from protos.collections import CollectionConfig, add_vector, merge, remove_vector
from protos.errors import AlreadyExists, BadInput, BadRequest


def add_collection(state: ClusterState, command: AddCollection) -> Outcome:
    state, gone = _without_replaced(state, command)
    _check_add(state, command)
    collection = CollectionState(
        name=command.name,
        uuid=command.uuid,
        config=command.config,
        shards={placed.id: _shard(state, placed) for placed in command.shards},
        groups=command.groups or _groups(command.shards),
        payload_schema=command.payload_schema,
        created_ms=command.created_ms,
    )
    if command.restoring is not None:
        collection, _ = restored(state, collection, command.restoring)
    return put_collection(state, collection), (*gone, CollectionAdded(command.name))


def _without_replaced(state: ClusterState, command: AddCollection) -> Outcome:
    replaced = state.collections.get(command.name)
    if not command.replaces or replaced is None or replaced.uuid != command.replaces:
        return state, ()
    collections = {name: kept for name, kept in state.collections.items() if name != command.name}
    return replace(state, collections=collections), (CollectionDropped(replaced.name, replaced.uuid),)


def _check_add(state: ClusterState, command: AddCollection) -> None:
    """Raises: AlreadyExists, BadInput, BadRequest."""
    name, limit = command.name, command.max_collections
    if name in state.collections:
        raise AlreadyExists(f"Collection `{name}` already exists!")
    if name in state.aliases:
        raise BadInput(f"Can't create collection with name {name}. Alias with the same name already exists")
    if limit is not None and len(state.collections) >= limit:
        text = f"Can't create collection with name {name}. Max collections limit reached: {limit}"
        raise BadRequest(text)
    strangers = {peer for placed in command.shards for peer in placed.peers} - state.peers.keys()
    if strangers or not all(placed.peers for placed in command.shards):
        raise BadInput(f"Can't create collection with name {name}. Unknown peers {sorted(strangers)}")
    named = sorted(shard_id for group in command.groups for shard_id in group.shards)
    if command.groups and named != sorted(placed.id for placed in command.shards):
        raise BadInput(f"Can't create collection with name {name}. Its groups name shards {named}")


def _shard(state: ClusterState, placed: PlacedShard) -> ShardState:
    replicas = first_replicas(state, placed.peers)
    return ShardState(id=placed.id, replicas=replicas, primary=placed.peers[0], key=placed.key)


def _groups(placed: tuple[PlacedShard, ...]) -> tuple[ShardGroup, ...]:
    shards: dict[ShardKey | None, tuple[int, ...]] = {}
    for shard in placed:
        shards[shard.key] = (*shards.get(shard.key, ()), shard.id)
    return tuple(ShardGroup(ids, deal_buckets(ids), key) for key, ids in shards.items())


def change_collection(state: ClusterState, command: ChangeCollection) -> Outcome:
    """A replication factor that is set counts for every shard, whatever was set by hand before."""
    after, events = _reconfigure(state, command.name, lambda config: merge(config, command.update))
    collection = after.collections[command.name]
    params = command.update.params
    by_hand = any(shard.wanted is not None for shard in collection.shards.values())
    if params is None or params.replication_factor is None or not by_hand:
        return after, events
    shards = {shard_id: replace(shard, wanted=None) for shard_id, shard in collection.shards.items()}
    after = put_collection(after, replace(collection, shards=shards))
    return after, events or (CollectionChanged(command.name),)


def drop_collection(state: ClusterState, command: DropCollection) -> Outcome:
    dropped = state.collections.get(command.name)
    if dropped is None:
        return state, ()
    collections = {name: kept for name, kept in state.collections.items() if name != command.name}
    aliases = {alias: target for alias, target in state.aliases.items() if target != command.name}
    event = CollectionDropped(dropped.name, dropped.uuid)
    return replace(state, collections=collections, aliases=aliases), (event,)


def set_vector_name(state: ClusterState, command: SetVectorName) -> Outcome:
    params = command.params or command.sparse
    if params is None:
        raise BadInput(f"Vector `{command.name}` has neither dense nor sparse parameters")
    return _reconfigure(state, command.collection, lambda config: add_vector(config, command.name, params))


def drop_vector_name(state: ClusterState, command: DropVectorName) -> Outcome:
    return _reconfigure(state, command.collection, lambda config: remove_vector(config, command.name))


def _reconfigure(
    state: ClusterState, name: str, change: Callable[[CollectionConfig], CollectionConfig]
) -> Outcome:
    collection = collection_named(state, name)
    config = change(collection.config)
    if config == collection.config:
        return state, ()
    return _with(state, collection, config=config)


def set_payload_index(state: ClusterState, command: SetPayloadIndex) -> Outcome:
    collection = collection_named(state, command.collection)
    if collection.payload_schema.get(command.field) == command.schema:
        return state, ()
    schema = {**collection.payload_schema, command.field: command.schema}
    return _with(state, collection, payload_schema=schema)


def drop_payload_index(state: ClusterState, command: DropPayloadIndex) -> Outcome:
    collection = collection_named(state, command.collection)
    if command.field not in collection.payload_schema:
        return state, ()
    schema = {field: kept for field, kept in collection.payload_schema.items() if field != command.field}
    return _with(state, collection, payload_schema=schema)


def _with(state: ClusterState, collection: CollectionState, **changes: Any) -> Outcome:
    """Put a collection's next configuration into the state."""
    after = replace(collection, config_version=collection.config_version + 1, **changes)
    return put_collection(state, after), (CollectionChanged(collection.name),)


HANDLERS: dict[type, Handler] = {
    AddCollection: add_collection,
    ChangeCollection: change_collection,
    DropCollection: drop_collection,
    SetPayloadIndex: set_payload_index,
    DropPayloadIndex: drop_payload_index,
    SetVectorName: set_vector_name,
    DropVectorName: drop_vector_name,
}
