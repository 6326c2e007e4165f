"""``apply``: the next cluster state, and what happened, from a state and a command.

Pure and total: it never raises, looks at no clock and draws no random numbers, so every member that
applies the same commands reaches the same state. A command that breaks a rule yields ``Rejected``
and leaves the state (or, of a list of alias actions, the rest) as it was. Texts: reference 1.3, 7.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from consensus.buckets import deal_buckets
from consensus.commands import (
    AddCollection,
    AliasesChanged,
    ChangeAliases,
    ChangeCollection,
    ClusterMetadataChanged,
    CollectionAdded,
    CollectionChanged,
    CollectionDropped,
    Command,
    DropCollection,
    DropPayloadIndex,
    DropVectorName,
    Event,
    PlacedShard,
    Rejected,
    SetClusterMetadata,
    SetPayloadIndex,
    SetVectorName,
    rejected,
)
from consensus.state import ClusterState, CollectionState, ReplicaState, ShardGroup, ShardKey, ShardState
from protos.collections import (
    AliasAction,
    CollectionConfig,
    CreateAlias,
    DeleteAlias,
    RenameAlias,
    add_vector,
    merge,
    remove_vector,
)
from protos.errors import (
    AlreadyExists,
    BadInput,
    BadRequest,
    NotFound,
    VecraftError,
    collection_not_found,
)

Events = tuple[Event, ...]
Outcome = tuple[ClusterState, Events]


def apply(state: ClusterState, command: Command) -> Outcome:
    """Return the next state and the events; the same state object if nothing changed."""
    after, events = _HANDLERS[type(command)](state, command)
    if after is not state:
        after = replace(after, version=state.version + 1)
    return after, events


def rejection(events: Events) -> Rejected | None:
    """The rejection among the events of one command, if any."""
    return next((event for event in events if isinstance(event, Rejected)), None)


# --- collections -----------------------------------------------------------------------------------


def _add_collection(state: ClusterState, command: AddCollection) -> Outcome:
    error = _why_not_add(state, command)
    if error is not None:
        return state, (rejected(error),)
    collection = CollectionState(
        name=command.name,
        uuid=command.uuid,
        config=command.config,
        shards={placed.id: _shard(placed) for placed in command.shards},
        groups=_groups(command.shards),
        created_ms=command.created_ms,
    )
    collections = {**state.collections, command.name: collection}
    return replace(state, collections=collections), (CollectionAdded(command.name),)


def _why_not_add(state: ClusterState, command: AddCollection) -> VecraftError | None:
    name, limit = command.name, command.max_collections
    if name in state.collections:
        return AlreadyExists(f"Collection `{name}` already exists!")
    if name in state.aliases:
        return BadInput(f"Can't create collection with name {name}. Alias with the same name already exists")
    if limit is not None and len(state.collections) >= limit:
        text = f"Can't create collection with name {name}. Max collections limit reached: {limit}"
        return BadRequest(text)
    strangers = {peer for placed in command.shards for peer in placed.peers} - state.peers.keys()
    if strangers or not all(placed.peers for placed in command.shards):
        return BadInput(f"Can't create collection with name {name}. Unknown peers {sorted(strangers)}")
    return None


def _shard(placed: PlacedShard) -> ShardState:
    replicas = dict.fromkeys(placed.peers, ReplicaState.ACTIVE)
    return ShardState(id=placed.id, replicas=replicas, primary=placed.peers[0], key=placed.key)


def _groups(placed: tuple[PlacedShard, ...]) -> tuple[ShardGroup, ...]:
    shards: dict[ShardKey | None, tuple[int, ...]] = {}
    for shard in placed:
        shards[shard.key] = (*shards.get(shard.key, ()), shard.id)
    return tuple(ShardGroup(ids, deal_buckets(ids), key) for key, ids in shards.items())


def _change_collection(state: ClusterState, command: ChangeCollection) -> Outcome:
    return _reconfigure(state, command.name, lambda config: merge(config, command.update))


def _drop_collection(state: ClusterState, command: DropCollection) -> Outcome:
    dropped = state.collections.get(command.name)
    if dropped is None:
        return state, ()
    collections = {name: kept for name, kept in state.collections.items() if name != command.name}
    aliases = {alias: target for alias, target in state.aliases.items() if target != command.name}
    event = CollectionDropped(dropped.name, dropped.uuid)
    return replace(state, collections=collections, aliases=aliases), (event,)


# --- vector names, payload indexes -------------------------------------------------------------------


def _set_vector_name(state: ClusterState, command: SetVectorName) -> Outcome:
    return _reconfigure(
        state, command.collection, lambda config: add_vector(config, command.name, command.params)
    )


def _drop_vector_name(state: ClusterState, command: DropVectorName) -> Outcome:
    return _reconfigure(state, command.collection, lambda config: remove_vector(config, command.name))


def _reconfigure(
    state: ClusterState, name: str, change: Callable[[CollectionConfig], CollectionConfig]
) -> Outcome:
    collection = state.collections.get(name)
    if collection is None:
        return state, (rejected(collection_not_found(name)),)
    try:
        config = change(collection.config)
    except VecraftError as error:
        return state, (rejected(error),)
    if config == collection.config:
        return state, ()
    return _with(state, collection, config=config)


def _set_payload_index(state: ClusterState, command: SetPayloadIndex) -> Outcome:
    collection = state.collections.get(command.collection)
    if collection is None:
        return state, (rejected(collection_not_found(command.collection)),)
    if collection.payload_schema.get(command.field) == command.schema:
        return state, ()
    schema = {**collection.payload_schema, command.field: command.schema}
    return _with(state, collection, payload_schema=schema)


def _drop_payload_index(state: ClusterState, command: DropPayloadIndex) -> Outcome:
    collection = state.collections.get(command.collection)
    if collection is None:
        return state, (rejected(collection_not_found(command.collection)),)
    if command.field not in collection.payload_schema:
        return state, ()
    schema = {field: kept for field, kept in collection.payload_schema.items() if field != command.field}
    return _with(state, collection, payload_schema=schema)


def _with(state: ClusterState, collection: CollectionState, **changes: Any) -> Outcome:
    """Put a collection's next configuration into the state."""
    after = replace(collection, config_version=collection.config_version + 1, **changes)
    collections = {**state.collections, collection.name: after}
    return replace(state, collections=collections), (CollectionChanged(collection.name),)


# --- aliases, cluster metadata -----------------------------------------------------------------------


def _change_aliases(state: ClusterState, command: ChangeAliases) -> Outcome:
    aliases = state.aliases
    events: Events = ()
    for action in command.actions:
        try:
            aliases = _alias(state, aliases, action)
        except VecraftError as error:
            events = (rejected(error),)
            break
    if aliases == state.aliases:
        return state, events
    return replace(state, aliases=aliases), (AliasesChanged(), *events)


def _alias(state: ClusterState, aliases: dict[str, str], action: AliasAction) -> dict[str, str]:
    if isinstance(action, CreateAlias):
        if action.collection_name not in state.collections:
            raise collection_not_found(action.collection_name)
        _refuse_collection_name(state, action.alias_name)
        return {**aliases, action.alias_name: action.collection_name}
    if isinstance(action, DeleteAlias):
        return {alias: target for alias, target in aliases.items() if alias != action.alias_name}
    if isinstance(action, RenameAlias):
        target = aliases.get(action.old_alias_name)
        if target is None:
            raise NotFound(f"Alias {action.old_alias_name} does not exists!")
        _refuse_collection_name(state, action.new_alias_name)
        kept = {alias: name for alias, name in aliases.items() if alias != action.old_alias_name}
        return {**kept, action.new_alias_name: target}
    raise AssertionError(action)


def _refuse_collection_name(state: ClusterState, alias: str) -> None:
    if alias in state.collections:
        raise AlreadyExists(f"Collection `{alias}` already exists!")


def _set_cluster_metadata(state: ClusterState, command: SetClusterMetadata) -> Outcome:
    metadata = {key: value for key, value in state.metadata.items() if key != command.key}
    if command.value is not None:
        metadata[command.key] = command.value
    if metadata == state.metadata:
        return state, ()
    return replace(state, metadata=metadata), (ClusterMetadataChanged(command.key),)


_HANDLERS: dict[type[Any], Callable[[ClusterState, Any], Outcome]] = {
    AddCollection: _add_collection,
    ChangeCollection: _change_collection,
    DropCollection: _drop_collection,
    ChangeAliases: _change_aliases,
    SetPayloadIndex: _set_payload_index,
    DropPayloadIndex: _drop_payload_index,
    SetVectorName: _set_vector_name,
    DropVectorName: _drop_vector_name,
    SetClusterMetadata: _set_cluster_metadata,
}
