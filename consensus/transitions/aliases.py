"""Transitions of aliases and of the cluster's metadata keys. Texts: reference 7.6."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import ChangeAliases, SetClusterMetadata
from consensus.events import AliasesChanged, ClusterMetadataChanged, rejected
from consensus.state import ClusterState
from consensus.transitions.outcome import Events, Handler, Outcome
from protos.collections import AliasAction, CreateAlias, DeleteAlias, RenameAlias
from protos.errors import AlreadyExists, NotFound, VecraftError, collection_not_found


def change_aliases(state: ClusterState, command: ChangeAliases) -> Outcome:
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


def set_cluster_metadata(state: ClusterState, command: SetClusterMetadata) -> Outcome:
    metadata = {key: value for key, value in state.metadata.items() if key != command.key}
    if command.value is not None:
        metadata[command.key] = command.value
    if metadata == state.metadata:
        return state, ()
    return replace(state, metadata=metadata), (ClusterMetadataChanged(command.key),)


HANDLERS: dict[type, Handler] = {ChangeAliases: change_aliases, SetClusterMetadata: set_cluster_metadata}
