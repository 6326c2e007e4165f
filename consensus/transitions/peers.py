"""Transitions of the membership: register, remove, drain. Texts: reference 14.10."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import DrainPeer, RegisterPeer, RemovePeer
from consensus.events import DataLost, Outdated, PeerChanged, PeerRemoved, ReplicaSetChanged
from consensus.replica_sets import FILLING, in_sync, replica_counts, shards_on, transfers_of
from consensus.state import (
    REMOVED_PEERS_MAX,
    ClusterState,
    CollectionState,
    Peer,
    ReplicaState,
    ShardState,
)
from consensus.transitions.edits import (
    abort_all,
    completed,
    dropped,
    new_life,
    others_in_sync,
    with_primary,
    without_replica,
)
from consensus.transitions.outcome import Events, Handler, Outcome, check_peer, put_collection, put_shard
from protos.errors import BadRequest

RESTARTED = "Source or target peer restarted"

# Whom to trust when none in sync is left: who logged everything, who was complete once, the rest.
_LAST_RESORT = (ReplicaState.LISTENER, ReplicaState.RECOVERY, ReplicaState.DEAD, ReplicaState.PARTIAL)


def register(state: ClusterState, command: RegisterPeer) -> Outcome:
    known = state.peers.get(command.id)
    _check_registration(state, command, known)
    peer = Peer(
        id=command.id,
        uri=command.uri,
        zone=command.zone,
        version=command.version,
        incarnation=command.incarnation,
        node_type=command.node_type,
        draining=known is not None and known.draining,
        feature_level=command.feature_level,
    )
    if peer == known:
        return state, ()
    peers = {**state.peers, peer.id: peer}
    removed = {gone: last for gone, last in state.removed_peers.items() if gone != peer.id}
    after = replace(state, peers=peers, removed_peers=removed)
    after = replace(after, feature_level=_common_level(after))
    events: Events = ()
    if known is not None and known.incarnation != peer.incarnation:
        after, events = _forget_promises(after, peer.id)
    return after, (PeerChanged(peer.id), *events)


def _check_registration(state: ClusterState, command: RegisterPeer, known: Peer | None) -> None:
    """Raises: Outdated, BadRequest."""
    if known is None and command.incarnation <= state.removed_peers.get(command.id, -1):
        raise Outdated(f"Peer {command.id} was removed")
    if known is not None and command.incarnation < known.incarnation:
        raise Outdated(f"Peer {command.id} is in incarnation {known.incarnation}, not {command.incarnation}")
    for other in state.peers.values():
        if command.uri and other.uri == command.uri and other.id != command.id:
            raise BadRequest(f"URI {command.uri} already belongs to peer {other.id}")
    if command.feature_level < state.feature_level:
        raise BadRequest(
            f"Peer {command.id} knows feature level {command.feature_level};"
            f" the cluster uses {state.feature_level}"
        )


def _common_level(state: ClusterState) -> int:
    """What every member understands; it never falls, as states may already use it."""
    return max(state.feature_level, min(peer.feature_level for peer in state.peers.values()))


def _forget_promises(state: ClusterState, peer_id: int) -> Outcome:
    """A process ended. Its transfers are cancelled (reference 14.9), and what it vouched for as a primary
    is void: the one that runs now does not wait for replicas that its predecessor called ready."""
    events: Events = ()
    for collection in state.collections.values():
        led = {shard.id for shard in collection.shards.values() if shard.primary == peer_id}
        touched = [
            transfer
            for transfer in collection.transfers
            if peer_id in (transfer.source, transfer.target) or transfer.target_shard_id in led
        ]
        after, more = abort_all(collection, touched, RESTARTED)
        for shard_id in sorted(led):
            shard = _begin_filling_anew(after.shards[shard_id])
            if shard is not after.shards[shard_id]:
                after = put_shard(after, shard)
                more += (ReplicaSetChanged(collection.name, shard_id),)
        if after is not collection:
            state, events = put_collection(state, after), events + more
    return state, events


def _begin_filling_anew(shard: ShardState) -> ShardState:
    for peer, found in sorted(shard.replicas.items()):
        if found in FILLING:
            shard = new_life(shard, peer, found)
    return shard


def remove(state: ClusterState, command: RemovePeer) -> Outcome:
    check_peer(state, command.id)
    if not command.force and shards_on(state, command.id):
        raise BadRequest(f"Cannot remove peer {command.id} as there are shards on it")
    if len(state.peers) == 1:
        raise BadRequest(f"Cannot remove peer {command.id} as it is the last one")
    events: Events = ()
    for name, shard_id in shards_on(state, command.id):
        state, more = _without_peer(state, state.collections[name], shard_id, command.id)
        events += more
    removed = {**state.removed_peers, command.id: state.peers[command.id].incarnation}
    state = replace(
        state,
        peers={peer_id: peer for peer_id, peer in state.peers.items() if peer_id != command.id},
        removed_peers=dict(list(removed.items())[-REMOVED_PEERS_MAX:]),
    )
    return replace(state, feature_level=_common_level(state)), (*events, PeerRemoved(command.id))


def _without_peer(state: ClusterState, collection: CollectionState, shard_id: int, peer_id: int) -> Outcome:
    shard = collection.shards[shard_id]
    last = not others_in_sync(shard, peer_id)
    transfers = transfers_of(collection, shard_id, peer_id)
    collection, events = abort_all(collection, transfers, "peer removed", keep_targets=last)
    shard = collection.shards[shard_id]
    if not in_sync(shard):
        shard = _filled_elsewhere(state, shard, peer_id)
    elif last:
        collection, shard, more = _last_resort(state, collection, shard, peer_id)
        events += more
    elif peer_id in shard.replicas:
        shard = dropped(collection, shard, peer_id)
    events += (ReplicaSetChanged(collection.name, shard_id),)
    return put_collection(state, put_shard(collection, shard)), events


def _filled_elsewhere(state: ClusterState, shard: ShardState, leaving: int) -> ShardState:
    """A shard that is being filled for the first time goes on without a peer."""
    if shard.primary == leaving:
        others = [peer for peer in sorted(shard.replicas) if peer != leaving]
        heir = next((peer for peer in others if shard.replicas[peer] in FILLING), None)
        if heir is None:
            heir = others[0] if others else _least_loaded(state, leaving)
            shard = new_life(shard, heir, ReplicaState.PARTIAL)
        shard = with_primary(shard, heir)
    return without_replica(shard, leaving)


def _last_resort(
    state: ClusterState, collection: CollectionState, shard: ShardState, leaving: int
) -> tuple[CollectionState, ShardState, Events]:
    """The last replica in sync goes: the best of the others serves what it has, or an empty one."""

    def trust(peer: int) -> tuple[int, int]:
        found = shard.replicas[peer]
        return (_LAST_RESORT.index(found) if found in _LAST_RESORT else len(_LAST_RESORT), peer)

    heir = min(shard.replicas.keys() - {leaving}, key=trust, default=None)
    events: Events = (DataLost(collection.name, shard.id),)
    if heir is None:
        heir = _least_loaded(state, leaving)
    else:
        transfers = transfers_of(collection, shard.id, heir)
        collection, more = abort_all(collection, transfers, "peer removed", keep_targets=True)
        shard, events = collection.shards[shard.id], more + events
    shard = with_primary(new_life(shard, heir, ReplicaState.ACTIVE), heir)
    return collection, completed(state, without_replica(shard, leaving), heir), events


def _least_loaded(state: ClusterState, leaving: int) -> int:
    counts = replica_counts(state)
    return min(state.peers.keys() - {leaving}, key=lambda peer: (counts[peer], peer))


def drain(state: ClusterState, command: DrainPeer) -> Outcome:
    check_peer(state, command.id)
    peer = state.peers[command.id]
    if peer.draining == command.draining:
        return state, ()
    peers = {**state.peers, peer.id: replace(peer, draining=command.draining)}
    return replace(state, peers=peers), (PeerChanged(peer.id),)


HANDLERS: dict[type, Handler] = {RegisterPeer: register, RemovePeer: remove, DrainPeer: drain}
