"""What a transition returns, and how the parts of a state are found and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from consensus.commands import ShardRef
from consensus.events import Event, Outdated
from consensus.state import ClusterState, CollectionState, ShardState, Transfer
from protos.errors import BadRequest, NotFound, collection_not_found

Events = tuple[Event, ...]
Outcome = tuple[ClusterState, Events]
Handler = Callable[[ClusterState, Any], Outcome]


def collection_named(state: ClusterState, name: str, uuid: str | None = None) -> CollectionState:
    """Raises: NotFound; Outdated if ``uuid`` is that of an earlier collection of this name."""
    collection = state.collections.get(name)
    if collection is None:
        raise collection_not_found(name)
    if uuid is not None and uuid != collection.uuid:
        raise Outdated(f"Collection `{name}` was created anew")
    return collection


def shard_in(collection: CollectionState, shard_id: int) -> ShardState:
    """Raises: BadRequest."""
    shard = collection.shards.get(shard_id)
    if shard is None:
        raise BadRequest(f"Shard {shard_id} of {collection.name} does not exist")
    return shard


def referred(state: ClusterState, ref: ShardRef) -> tuple[CollectionState, ShardState]:
    """Return the shard that ``ref`` means. Raises: NotFound, BadRequest; Outdated if its term moved on."""
    collection = collection_named(state, ref.collection, ref.uuid)
    shard = shard_in(collection, ref.shard_id)
    check_term(shard, ref.term)
    return collection, shard


def check_term(shard: ShardState, term: int) -> None:
    """Raises: Outdated."""
    if term != shard.term:
        raise Outdated(f"Shard {shard.id} is in term {shard.term}, not {term}")


def check_epoch(shard: ShardState, peer_id: int, epoch: int) -> None:
    """Raises: BadRequest if the peer has no replica; Outdated if the replica began another life."""
    if peer_id not in shard.replicas:
        raise BadRequest(f"Peer {peer_id} has no replica of shard {shard.id}")
    if epoch != shard.epoch_of(peer_id):
        raise Outdated(
            f"The replica of shard {shard.id} on peer {peer_id} is in epoch {shard.epoch_of(peer_id)},"
            f" not {epoch}"
        )


def check_peer(state: ClusterState, peer_id: int) -> None:
    """Raises: BadRequest."""
    if peer_id not in state.peers:
        raise BadRequest(f"Peer {peer_id} does not exist")


def stored_transfer(collection: CollectionState, wanted: Transfer) -> Transfer:
    """The transfer as it stands. Raises: NotFound; Outdated if it is a later one between the same two."""
    ends = (wanted.shard_id, wanted.to_shard_id, wanted.source, wanted.target)
    for transfer in collection.transfers:
        if (transfer.shard_id, transfer.to_shard_id, transfer.source, transfer.target) == ends:
            if transfer.epoch != wanted.epoch:
                raise Outdated(f"The transfer is in epoch {transfer.epoch}, not {wanted.epoch}")
            return transfer
    raise NotFound(
        f"Shard transfer {wanted.source} -> {wanted.target} for collection"
        f" {collection.name}:{wanted.shard_id} does not exist"
    )


def put_collection(state: ClusterState, collection: CollectionState) -> ClusterState:
    return replace(state, collections={**state.collections, collection.name: collection})


def put_shard(collection: CollectionState, shard: ShardState) -> CollectionState:
    return replace(collection, shards={**collection.shards, shard.id: shard})
