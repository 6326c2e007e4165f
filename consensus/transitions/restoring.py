"""Transitions of shards whose points come from a snapshot."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import RestoreShards, Restoring
from consensus.events import Outdated, ReplicaSetChanged
from consensus.replica_sets import is_resharded, wanted_replicas
from consensus.state import ClusterState, CollectionState, ReplicaState, ShardState
from consensus.transitions.edits import Edited, abort_all, new_life, without_replica
from consensus.transitions.outcome import (
    Events,
    Handler,
    Outcome,
    check_peer,
    check_term,
    collection_named,
    put_collection,
    put_shard,
    shard_in,
)
from protos.errors import BadRequest


def restore(state: ClusterState, command: RestoreShards) -> Outcome:
    collection = collection_named(state, command.collection, command.uuid)
    if is_resharded(collection):
        raise BadRequest(f"Shards of collection {collection.name} cannot be restored while it is resharded")
    for shard_id in command.restoring.files:
        check_term(shard_in(collection, shard_id), command.terms.get(shard_id, 0))
    collection, events = restored(state, collection, command.restoring)
    if command.trim:
        for shard_id in command.restoring.files:
            shard = collection.shards[shard_id]
            collection = put_shard(collection, _trimmed(shard, wanted_replicas(collection, shard)))
    return put_collection(state, collection), events


def restored(state: ClusterState, collection: CollectionState, restoring: Restoring) -> Edited:
    """Have ``restoring``'s peer lead its shards with the files it has ready.

    Raises: BadRequest; Outdated if the process that had the files ready has ended.
    """
    peer_id = restoring.peer_id
    check_peer(state, peer_id)
    if state.peers[peer_id].incarnation != restoring.incarnation:
        raise Outdated(f"Peer {peer_id} was restarted, and has nothing ready to be restored any more")
    events: Events = ()
    for shard_id, files in sorted(restoring.files.items()):
        shard_in(collection, shard_id)
        ends = [one for one in collection.transfers if shard_id in (one.shard_id, one.target_shard_id)]
        collection, more = abort_all(collection, ends, "shard restored from a snapshot", keep_targets=True)
        shard = _taken_over(collection.shards[shard_id], peer_id, files)
        collection = put_shard(collection, shard)
        events += (*more, ReplicaSetChanged(collection.name, shard_id))
    return collection, events


def _taken_over(shard: ShardState, peer_id: int, files: str) -> ShardState:
    for other in sorted(shard.replicas):
        if other != peer_id and shard.replicas[other] is not ReplicaState.DEAD:
            shard = new_life(shard, other, ReplicaState.DEAD)
    shard = new_life(shard, peer_id, ReplicaState.ACTIVE)
    return replace(
        shard,
        primary=peer_id,
        term=shard.term + 1,
        restored={**shard.restored, peer_id: files},
        failed={peer: method for peer, method in shard.failed.items() if peer != peer_id},
    )


def _trimmed(shard: ShardState, wanted: int) -> ShardState:
    others = sorted(peer for peer in shard.replicas if peer != shard.primary)
    for peer in others[wanted - 1 :]:
        shard = without_replica(shard, peer)
    return shard


HANDLERS: dict[type, Handler] = {RestoreShards: restore}
