"""Questions about replica sets: who is in sync, who logs, who serves reads, who holds what. Pure.

| state | in sync | logs live writes |
|---|---|---|
| Active, ActiveRead, ReshardingScaleDown | yes | yes |
| Partial, Recovery, Initializing, Resharding | no | yes |
| Listener | no | yes, but is not waited for |
| Dead, ManualRecovery, PartialSnapshot | no | no |

Every write is acknowledged only when all replicas in sync have it, so exactly those may be read from,
promoted, and be a transfer's source. Source: Lin et al., "PacificA", 2008.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from consensus.state import (
    ClusterState,
    CollectionState,
    ReplicaState,
    ShardState,
    Transfer,
    TransferMethod,
)

IN_SYNC = frozenset({ReplicaState.ACTIVE, ReplicaState.ACTIVE_READ, ReplicaState.RESHARDING_SCALE_DOWN})
FILLING = frozenset(
    {
        ReplicaState.PARTIAL,
        ReplicaState.RECOVERY,
        ReplicaState.INITIALIZING,
        ReplicaState.RESHARDING,
    }
)
LOGGING = IN_SYNC | FILLING | {ReplicaState.LISTENER}

RECEIVER_STATES = {
    TransferMethod.STREAM_RECORDS: ReplicaState.PARTIAL,
    TransferMethod.SNAPSHOT: ReplicaState.RECOVERY,
    TransferMethod.WAL_DELTA: ReplicaState.RECOVERY,
    TransferMethod.RESHARDING_STREAM_RECORDS: ReplicaState.RESHARDING,
}


def in_sync(shard: ShardState) -> tuple[int, ...]:
    """The peers, in order, whose replicas hold every acknowledged write."""
    return _in_states(shard, IN_SYNC)


def logging(shard: ShardState) -> tuple[int, ...]:
    """The peers, in order, that live writes are sent to; of these, only ``in_sync`` ones are waited for."""
    return _in_states(shard, LOGGING)


def readable(shard: ShardState) -> tuple[int, ...]:
    """The peers, in order, that may serve reads of the shard (reference 14.4)."""
    return _in_states(shard, IN_SYNC)


def is_in_sync(shard: ShardState, peer_id: int) -> bool:
    return shard.replicas.get(peer_id) in IN_SYNC


def readable_peers(collection: CollectionState, shard_ids: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """The peers that serve reads, by shard; none for a shard that has no replica in sync yet."""
    return {shard_id: readable(collection.shards[shard_id]) for shard_id in shard_ids}


def every_shard(state: ClusterState) -> Iterator[tuple[CollectionState, ShardState]]:
    """All shards, by collection name and shard id."""
    for _, collection in sorted(state.collections.items()):
        for _, shard in sorted(collection.shards.items()):
            yield collection, shard


def shards_on(state: ClusterState, peer_id: int) -> list[tuple[str, int]]:
    """(collection, shard id) of every replica that a peer holds."""
    return [
        (collection.name, shard.id) for collection, shard in every_shard(state) if peer_id in shard.replicas
    ]


def replica_counts(state: ClusterState) -> dict[int, int]:
    """How many replicas each peer holds."""
    counts = dict.fromkeys(state.peers, 0)
    for _, shard in every_shard(state):
        for peer_id in shard.replicas:
            counts[peer_id] += 1
    return counts


def primary_counts(state: ClusterState) -> dict[int, int]:
    """How many shards each peer is the primary of."""
    counts = dict.fromkeys(state.peers, 0)
    for _, shard in every_shard(state):
        counts[shard.primary] += 1
    return counts


def wanted_replicas(collection: CollectionState, shard: ShardState) -> int:
    """The number of replicas asked for; there may be fewer peers than that."""
    factor = collection.config.params.replication_factor
    return max(1, factor if shard.wanted is None else shard.wanted)


def is_resharded(collection: CollectionState) -> bool:
    """Are points on their way between shards, or copies of them left over?"""
    return collection.resharding is not None or any(shard.strangers for shard in collection.shards.values())


def transfer_to(collection: CollectionState, shard_id: int, peer_id: int) -> Transfer | None:
    """The transfer that fills a peer's replica, if one does; there is at most one."""
    return next(
        (
            transfer
            for transfer in collection.transfers
            if transfer.target_shard_id == shard_id and transfer.target == peer_id
        ),
        None,
    )


def transfers_of(collection: CollectionState, shard_id: int, peer_id: int) -> list[Transfer]:
    """The transfers that a peer's replica fills or is filled by."""
    return [
        transfer
        for transfer in collection.transfers
        if (transfer.shard_id, transfer.source) == (shard_id, peer_id)
        or (transfer.target_shard_id, transfer.target) == (shard_id, peer_id)
    ]


def _in_states(shard: ShardState, states: frozenset[ReplicaState]) -> tuple[int, ...]:
    return tuple(sorted(peer for peer, state in shard.replicas.items() if state in states))
