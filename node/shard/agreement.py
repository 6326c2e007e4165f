"""Between the cluster state and a replica's machine. Pure.

Lives here: what the machine is told of the agreement, and the commands that its wishes become.
May not live here: proposing them.
"""

from __future__ import annotations

from consensus.commands import (
    AbortTransfer,
    Command,
    EvictReplica,
    FinishTransfer,
    PromotePrimary,
    ReplicaReady,
    ShardRef,
)
from consensus.replica_sets import FILLING, in_sync, is_in_sync, logging, transfer_to
from consensus.state import CollectionState, ShardState, TransferMethod
from node.replication.effects import (
    AskReplacement,
    Effect,
    NeedsTransfer,
    ProposeAdmission,
    ProposeEviction,
    ProposeNewTerm,
)
from node.replication.events import ReplicaSet

NO_LOG = "the source's log does not reach back far enough"


def replica_set(collection: CollectionState, shard: ShardState, version: int) -> ReplicaSet:
    """What the cluster agreed on about ``shard``, as of ``version`` of the cluster state."""
    return ReplicaSet(
        version=version,
        term=shard.term,
        primary=shard.primary,
        replicas=frozenset(shard.replicas),
        in_sync=frozenset(in_sync(shard)),
        logging=frozenset(logging(shard)),
        joining=_joining(collection, shard),
        write_consistency_factor=collection.config.params.write_consistency_factor,
        epochs=shard.epochs,
    )


def _joining(collection: CollectionState, shard: ShardState) -> frozenset[int]:
    """The replicas that the log makes complete, with a base or without.

    Not those that are filled from another shard: of their own shard's log they have everything. And none
    before the primary is complete itself, or it would be passed over.
    """
    if not is_in_sync(shard, shard.primary):
        return frozenset()
    filling = (peer for peer, state in shard.replicas.items() if state in FILLING)
    return frozenset(peer for peer in filling if not _filled_from_elsewhere(collection, shard, peer))


def _filled_from_elsewhere(collection: CollectionState, shard: ShardState, peer: int) -> bool:
    transfer = transfer_to(collection, shard.id, peer)
    return transfer is not None and transfer.to_shard_id is not None


def command_of(effect: Effect, collection: CollectionState, shard: ShardState, *, me: int) -> Command | None:
    """The command that a replica's wish becomes; None: nothing can be proposed as things stand."""

    def ref(term: int) -> ShardRef:
        return ShardRef(collection.name, collection.uuid, shard.id, term)

    match effect:
        case ProposeEviction(peer, term, epoch):
            return EvictReplica(ref(term), peer, epoch)
        case ProposeAdmission(peer, term, epoch):
            transfer = transfer_to(collection, shard.id, peer)
            if transfer is None:
                return ReplicaReady(ref(term), peer, epoch)
            if transfer.epoch != epoch:
                return None
            return FinishTransfer(collection.name, collection.uuid, transfer, term)
        case ProposeNewTerm(term):
            return PromotePrimary(ref(term), me)
        case AskReplacement(term):
            heir = next((peer for peer in in_sync(shard) if peer != me), None)
            return None if heir is None else PromotePrimary(ref(term), heir, lost=True)
        case NeedsTransfer(peer):
            # The log was to make the replica complete, and cannot: the next transfer brings a base.
            transfer = transfer_to(collection, shard.id, peer)
            if transfer is None or transfer.method is not TransferMethod.WAL_DELTA:
                return None
            return AbortTransfer(collection.name, collection.uuid, transfer, NO_LOG)
    return None


def hand_over(collection: CollectionState, shard: ShardState, *, me: int, heir: int) -> PromotePrimary | None:
    """What a primary proposes before its process ends; None: it leads nothing, or ``heir`` must not.

    It stays in sync: whether writes go on without it is for the others to find out. When all processes end
    together none should be taken out, or the last one alone could serve afterwards.
    """
    if shard.primary != me or heir == me or not (is_in_sync(shard, me) and is_in_sync(shard, heir)):
        return None
    return PromotePrimary(ShardRef(collection.name, collection.uuid, shard.id, shard.term), heir)
