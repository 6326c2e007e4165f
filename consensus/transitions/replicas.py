"""Transitions of replica sets: evict, promote, add, ready, listen, drop.

Every command names the term it saw, and the epoch of the replica it is about; see ``consensus.commands``.
"""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import (
    AddReplica,
    DropReplica,
    EvictReplica,
    ListenReplica,
    PromotePrimary,
    ReplicaReady,
)
from consensus.events import Outdated, ReplicaSetChanged
from consensus.replica_sets import FILLING, IN_SYNC, is_in_sync, transfer_to, transfers_of
from consensus.state import ClusterState, CollectionState, ReplicaState, ShardState
from consensus.transitions.edits import (
    abort_all,
    completed,
    dropped,
    killed,
    new_life,
    others_in_sync,
    with_primary,
)
from consensus.transitions.outcome import (
    Events,
    Handler,
    Outcome,
    check_epoch,
    check_peer,
    put_collection,
    put_shard,
    referred,
)
from protos.errors import BadRequest

NEW_STATES = (ReplicaState.INITIALIZING, ReplicaState.PARTIAL)


def evict(state: ClusterState, command: EvictReplica) -> Outcome:
    collection, shard = referred(state, command.shard)
    check_epoch(shard, command.peer_id, command.epoch)
    _refuse_last(shard, command.peer_id)
    if command.peer_id == shard.primary:
        raise BadRequest(f"Peer {command.peer_id} is the primary of shard {shard.id}; promote another one")
    collection, events = killed(collection, shard.id, command.peer_id, "replica failed")
    return (put_collection(state, collection), events) if events else (state, ())


def promote(state: ClusterState, command: PromotePrimary) -> Outcome:
    collection, shard = referred(state, command.shard)
    if not is_in_sync(shard, command.peer_id):
        raise BadRequest(f"Shard {shard.id} is not active on peer {command.peer_id}")
    if command.peer_id == shard.primary:
        if command.lost:
            raise BadRequest(f"Peer {command.peer_id} cannot take over from itself")
        return _put(state, collection, replace(shard, term=shard.term + 1))
    after = with_primary(shard, command.peer_id)
    if not command.lost:
        return _put(state, collection, after)
    collection, events = killed(put_shard(collection, after), shard.id, shard.primary, "primary lost")
    return put_collection(state, collection), events


def add(state: ClusterState, command: AddReplica) -> Outcome:
    collection, shard = referred(state, command.shard)
    check_peer(state, command.peer_id)
    if command.peer_id in shard.replicas:
        raise BadRequest(f"Peer {command.peer_id} already has a replica of shard {shard.id}")
    if command.state not in NEW_STATES:
        raise BadRequest(f"A new replica cannot be {command.state.value}")
    return _put(state, collection, new_life(shard, command.peer_id, command.state))


def ready(state: ClusterState, command: ReplicaReady) -> Outcome:
    collection, shard = referred(state, command.shard)
    peer_id = command.peer_id
    check_epoch(shard, peer_id, command.epoch)
    found = shard.replicas[peer_id]
    if found in IN_SYNC or found is ReplicaState.LISTENER:
        return state, ()
    if found not in FILLING:
        raise BadRequest(f"The replica of shard {shard.id} on peer {peer_id} is {found.value}")
    transfer = transfer_to(collection, shard.id, peer_id)
    if transfer is not None:
        text = f"Shard {shard.id} is already involved in transfer {transfer.source} -> {transfer.target}"
        raise BadRequest(text)
    return _put(state, collection, completed(state, shard, peer_id))


def listen(state: ClusterState, command: ListenReplica) -> Outcome:
    collection, shard = referred(state, command.shard)
    peer_id = command.peer_id
    check_epoch(shard, peer_id, command.epoch)
    if state.peers[peer_id].node_type != "Listener":
        raise Outdated(f"Peer {peer_id} is not a listener")
    if not is_in_sync(shard, peer_id):
        raise BadRequest(f"Shard {shard.id} is not active on peer {peer_id}")
    _refuse_last(shard, peer_id)
    if peer_id == shard.primary:
        raise BadRequest(f"Peer {peer_id} is the primary of shard {shard.id}; promote another one")
    transfers = transfers_of(collection, shard.id, peer_id)
    collection, events = abort_all(collection, transfers, "source became a listener")
    shard = new_life(collection.shards[shard.id], peer_id, ReplicaState.LISTENER)
    return _put(state, collection, shard, events)


def drop(state: ClusterState, command: DropReplica) -> Outcome:
    collection, shard = referred(state, command.shard)
    peer_id = command.peer_id
    check_epoch(shard, peer_id, command.epoch)
    _refuse_last(shard, peer_id)
    transfers = transfers_of(collection, shard.id, peer_id)
    collection, events = abort_all(collection, transfers, "replica dropped")
    shard = dropped(collection, collection.shards[shard.id], peer_id)
    if command.by_user:
        shard = replace(shard, wanted=len(shard.replicas))
    return _put(state, collection, shard, events)


def _refuse_last(shard: ShardState, peer_id: int) -> None:
    """Raises: BadRequest if no other replica is in sync (reference 14.7)."""
    if not others_in_sync(shard, peer_id):
        text = f"Shard {shard.id} must have at least one active replica after removing {peer_id}"
        raise BadRequest(text)


def _put(state: ClusterState, collection: CollectionState, shard: ShardState, events: Events = ()) -> Outcome:
    changed = ReplicaSetChanged(collection.name, shard.id)
    return put_collection(state, put_shard(collection, shard)), (*events, changed)


HANDLERS: dict[type, Handler] = {
    EvictReplica: evict,
    PromotePrimary: promote,
    AddReplica: add,
    ReplicaReady: ready,
    ListenReplica: listen,
    DropReplica: drop,
}
