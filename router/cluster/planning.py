"""From what a user asks of a collection's replica sets to the command that does it. Pure.

Lives here: finding shards, replicas and transfers in the state, and the choices a request leaves open. What
is allowed is decided when the command is applied (``consensus.transitions``); only what a command cannot
even name is refused here. Texts: reference 14.7.
"""

from __future__ import annotations

from msgspec import Struct

from consensus.buckets import group_of
from consensus.commands import (
    AbortTransfer,
    Command,
    DropReplica,
    RestartTransfer,
    StartTransfer,
    shard_ref,
)
from consensus.replica_sets import in_sync
from consensus.state import ClusterState, CollectionState, ShardKey, ShardState, Transfer, TransferMethod
from consensus.transitions.outcome import check_peer, collection_named, shard_in
from protos.errors import BadRequest, NotFound
from router.cluster import resharding
from router.cluster.requests import (
    AbortReshardingOf,
    AbortShardTransfer,
    ChangeReplicas,
    DropShardReplica,
    MoveShard,
    ReplicaChange,
    ReplicatePoints,
    RestartShardTransfer,
)

USER_REQUEST = "user request"


class TransferOptions(Struct, frozen=True):
    """``method``: of transfers whose request names none (reference 14.9)."""

    method: TransferMethod = TransferMethod.SNAPSHOT
    resharding_enabled: bool = False


def plan(state: ClusterState, collection: str, change: ReplicaChange, options: TransferOptions) -> Command:
    """The command for a change of ``collection`` (its real name) as ``state`` has it.

    Raises: NotFound for an unknown collection or transfer; BadRequest, BadInput for unknown shards, peers
        and keys, and for what this version does not do.
    """
    found = collection_named(state, collection)
    if isinstance(change, ChangeReplicas):
        return _start(state, found, change, options)
    if isinstance(change, AbortShardTransfer):
        transfer = _transfer(found, change)
        return AbortTransfer(found.name, found.uuid, transfer, USER_REQUEST)
    if isinstance(change, RestartShardTransfer):
        transfer = _transfer(found, change)
        return RestartTransfer(found.name, found.uuid, transfer, _for_users(change.method))
    if isinstance(change, DropShardReplica):
        return _drop(state, found, change)
    if isinstance(change, ReplicatePoints):
        return _copy(found, change)
    if isinstance(change, AbortReshardingOf):
        return resharding.abort(found)
    return resharding.start(state, found, change, enabled=options.resharding_enabled)


def _start(
    state: ClusterState, collection: CollectionState, change: ChangeReplicas, options: TransferOptions
) -> Command:
    shard = shard_in(collection, change.shard_id)
    check_peer(state, change.from_peer_id)
    check_peer(state, change.to_peer_id)
    if change.to_shard_id not in (None, shard.id):
        raise BadRequest(
            f"Shard {shard.id} cannot be transferred into shard {change.to_shard_id}, which holds other"
            ' points; "replicate_points" copies points to another shard key'
        )
    return StartTransfer(
        shard_ref(collection, shard),
        change.from_peer_id,
        change.to_peer_id,
        _for_users(change.method or options.method),
        sync=not isinstance(change, MoveShard),
        by_user=True,
    )


def _for_users(method: TransferMethod) -> TransferMethod:
    """Raises: BadRequest for the method that only a resharding uses."""
    if method is TransferMethod.RESHARDING_STREAM_RECORDS:
        raise BadRequest(f"Transfer method {method.value} is used by resharding only")
    return method


def _transfer(collection: CollectionState, change: AbortShardTransfer | RestartShardTransfer) -> Transfer:
    for transfer in collection.transfers:
        ends = (transfer.shard_id, transfer.source, transfer.target)
        wanted = (change.shard_id, change.from_peer_id, change.to_peer_id)
        if ends == wanted and change.to_shard_id in (None, transfer.target_shard_id):
            return transfer
    raise NotFound(
        f"Shard transfer {change.from_peer_id} -> {change.to_peer_id} for collection"
        f" {collection.name}:{change.shard_id} does not exist"
    )


def _drop(state: ClusterState, collection: CollectionState, change: DropShardReplica) -> Command:
    shard = shard_in(collection, change.shard_id)
    check_peer(state, change.peer_id)
    epoch = shard.epoch_of(change.peer_id)
    return DropReplica(shard_ref(collection, shard), change.peer_id, epoch, by_user=True)


def _copy(collection: CollectionState, change: ReplicatePoints) -> Command:
    """Points are always streamed: a snapshot would replace what the target holds already."""
    if not collection.custom_sharding:
        raise BadRequest("Points can be replicated between shard keys only with custom sharding")
    source = _only_shard(collection, change.from_shard_key, "from")
    target = _only_shard(collection, change.to_shard_key, "to")
    if len(target.replicas) != 1:
        raise BadRequest(
            "Points can only be replicated to a shard key with exactly one replica,"
            f" shard {target.id} has {len(target.replicas)}"
        )
    return StartTransfer(
        shard_ref(collection, source),
        _best_source(source),
        next(iter(target.replicas)),
        TransferMethod.STREAM_RECORDS,
        to_shard_id=target.id,
        filter=change.filter,
        by_user=True,
    )


def _only_shard(collection: CollectionState, key: ShardKey, end: str) -> ShardState:
    shards = group_of(collection, key).shards
    if len(shards) != 1:
        raise BadRequest(
            f"Points can only be replicated {end} a shard key with exactly one shard, it has {len(shards)}"
        )
    return collection.shards[shards[0]]


def _best_source(shard: ShardState) -> int:
    """Raises: BadRequest if no replica holds every point."""
    sources = in_sync(shard)
    if not sources:
        raise BadRequest(f"Shard {shard.id} is not active on any peer")
    return shard.primary if shard.primary in sources else sources[0]
