"""Single changes of a replica set, which transitions are made of.

They keep the parts of one shard together: a replica with its epoch, a primary with its term, a transfer
with its target's state. Whether a change is allowed is decided before.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from consensus.events import ReplicaSetChanged, TransferAborted
from consensus.replica_sets import IN_SYNC, in_sync, is_in_sync, transfers_of
from consensus.state import ClusterState, CollectionState, ReplicaState, ShardState, Transfer
from consensus.transitions.outcome import Events, put_shard

Edited = tuple[CollectionState, Events]


def new_life(shard: ShardState, peer_id: int, state: ReplicaState) -> ShardState:
    """Add the peer's replica, or begin it anew, in ``state``, under an epoch of its own."""
    epoch = shard.last_epoch + 1
    return replace(
        shard,
        replicas={**shard.replicas, peer_id: state},
        epochs={**shard.epochs, peer_id: epoch},
        last_epoch=epoch,
        restored={peer: files for peer, files in shard.restored.items() if peer != peer_id},
    )


def completed(state: ClusterState, shard: ShardState, peer_id: int) -> ShardState:
    """The peer's replica holds everything: Active, or Listener on a listener node, if it can be spared.

    The first one of a shard that was being filled leads it.
    """
    if not in_sync(shard):
        shard = with_primary(shard, peer_id)
    may_listen = peer_id != shard.primary and others_in_sync(shard, peer_id)
    after = serving_state(state, peer_id) if may_listen else ReplicaState.ACTIVE
    failed = {peer: method for peer, method in shard.failed.items() if peer != peer_id}
    return replace(shard, replicas={**shard.replicas, peer_id: after}, failed=failed)


def serving_state(state: ClusterState, peer_id: int) -> ReplicaState:
    listens = state.peers[peer_id].node_type == "Listener"
    return ReplicaState.LISTENER if listens else ReplicaState.ACTIVE


def without_replica(shard: ShardState, peer_id: int) -> ShardState:
    return replace(
        shard,
        replicas={peer: state for peer, state in shard.replicas.items() if peer != peer_id},
        epochs={peer: epoch for peer, epoch in shard.epochs.items() if peer != peer_id},
        failed={peer: method for peer, method in shard.failed.items() if peer != peer_id},
        restored={peer: files for peer, files in shard.restored.items() if peer != peer_id},
    )


def with_primary(shard: ShardState, peer_id: int) -> ShardState:
    """The peer is primary; if it was not, under the next term."""
    return shard if shard.primary == peer_id else replace(shard, primary=peer_id, term=shard.term + 1)


def successor(collection: CollectionState, shard: ShardState, leaving: int) -> int | None:
    """Who takes over from a primary: the peer in sync with the fewest primaries in the collection."""
    primaries = [other.primary for other in collection.shards.values()]
    peers = [peer for peer in in_sync(shard) if peer != leaving]
    return min(peers, key=lambda peer: (primaries.count(peer), peer), default=None)


def dropped(collection: CollectionState, shard: ShardState, peer_id: int) -> ShardState:
    """Take a replica away; another one is in sync, and takes over if this was the primary."""
    if shard.primary == peer_id:
        heir = successor(collection, shard, peer_id)
        assert heir is not None
        shard = with_primary(shard, heir)
    return without_replica(shard, peer_id)


def abort(
    collection: CollectionState, transfer: Transfer, reason: str, *, keep_target: bool = False
) -> Edited:
    """End a transfer that did not complete; its target becomes Dead, or goes if it was a move's.

    A replica that is in sync (points were copied into it from another shard) stays so, and the primary of
    a shard that is being filled for the first time stays Partial: there is nothing to recover it from.
    """
    transfers = tuple(other for other in collection.transfers if other != transfer)
    collection = replace(collection, transfers=transfers)
    shard = collection.shards[transfer.target_shard_id]
    target = transfer.target
    if shard.replicas[target] in IN_SYNC:
        after = shard
    elif target == shard.primary:
        after = new_life(shard, target, ReplicaState.PARTIAL)
    elif transfer.sync or transfer.to_shard_id is not None or keep_target:
        after = new_life(shard, target, ReplicaState.DEAD)
    else:
        after = without_replica(shard, target)
    events: Events = (
        TransferAborted(collection.name, transfer, reason),
        ReplicaSetChanged(collection.name, shard.id),
    )
    return put_shard(collection, after), events


def abort_all(
    collection: CollectionState,
    transfers: Iterable[Transfer],
    reason: str,
    *,
    keep_targets: bool = False,
) -> Edited:
    events: Events = ()
    for transfer in transfers:
        collection, more = abort(collection, transfer, reason, keep_target=keep_targets)
        events += more
    return collection, events


def killed(collection: CollectionState, shard_id: int, peer_id: int, reason: str) -> Edited:
    """A replica that is not the primary becomes Dead, and its transfers end."""
    collection, events = abort_all(collection, transfers_of(collection, shard_id, peer_id), reason)
    shard = collection.shards[shard_id]
    assert shard.primary != peer_id
    if shard.replicas.get(peer_id) in (None, ReplicaState.DEAD):
        return collection, events
    collection = put_shard(collection, new_life(shard, peer_id, ReplicaState.DEAD))
    return collection, (*events, ReplicaSetChanged(collection.name, shard_id))


def others_in_sync(shard: ShardState, peer_id: int) -> bool:
    return any(is_in_sync(shard, peer) for peer in shard.replicas if peer != peer_id)


def first_replicas(
    state: ClusterState, peers: tuple[int, ...], initial: ReplicaState = ReplicaState.ACTIVE
) -> dict[int, ReplicaState]:
    """The replicas of a new, empty shard: all hold the same. The first peer is its primary."""
    replicas = dict.fromkeys(peers, initial)
    if initial is ReplicaState.ACTIVE:
        replicas.update({peer: serving_state(state, peer) for peer in peers[1:]})
    return replicas
