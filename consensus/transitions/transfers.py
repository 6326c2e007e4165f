"""Transitions of shard transfers: start, finish, abort, restart. Texts: reference 14.7."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import AbortTransfer, FinishTransfer, RestartTransfer, StartTransfer
from consensus.events import ReplicaSetChanged, TransferFinished, TransferStarted
from consensus.replica_sets import (
    IN_SYNC,
    RECEIVER_STATES,
    is_in_sync,
    is_resharded,
    transfers_of,
    wanted_replicas,
)
from consensus.state import (
    ClusterState,
    CollectionState,
    ReplicaState,
    ShardState,
    Transfer,
    TransferMethod,
)
from consensus.transitions.edits import (
    abort,
    completed,
    dropped,
    new_life,
    others_in_sync,
    with_primary,
)
from consensus.transitions.outcome import (
    Events,
    Handler,
    Outcome,
    check_peer,
    check_term,
    collection_named,
    put_collection,
    put_shard,
    referred,
    shard_in,
    stored_transfer,
)
from protos.errors import BadRequest


def start(state: ClusterState, command: StartTransfer) -> Outcome:
    collection, shard = referred(state, command.shard)
    to_shard_id = None if command.to_shard_id == shard.id else command.to_shard_id
    receiving = shard if to_shard_id is None else shard_in(collection, to_shard_id)
    _check_start(state, collection, shard, receiving, command)
    receiving = _begun(receiving, command.target, command.method)
    if command.by_user and len(receiving.replicas) > wanted_replicas(collection, receiving) and command.sync:
        receiving = replace(receiving, wanted=len(receiving.replicas))
    transfer = Transfer(
        shard_id=shard.id,
        source=command.source,
        target=command.target,
        epoch=receiving.epoch_of(command.target),
        method=command.method,
        sync=command.sync,
        to_shard_id=to_shard_id,
        filter=command.filter,
    )
    collection = replace(put_shard(collection, receiving), transfers=(*collection.transfers, transfer))
    return put_collection(state, collection), (
        ReplicaSetChanged(collection.name, receiving.id),
        TransferStarted(collection.name, transfer),
    )


def _check_start(
    state: ClusterState,
    collection: CollectionState,
    shard: ShardState,
    receiving: ShardState,
    command: StartTransfer,
) -> None:
    """Raises: BadRequest."""
    source, target = command.source, command.target
    check_peer(state, source)
    check_peer(state, target)
    if not is_in_sync(shard, source):
        raise BadRequest(f"Shard {shard.id} is not active on peer {source}")
    if receiving.id == shard.id:
        if source == target:
            raise BadRequest(f'cannot transfer shard to itself, "to_peer_id" must be different than {source}')
        if is_in_sync(shard, target):
            raise BadRequest(f"Shard {shard.id} is already active on peer {target}")
    elif is_resharded(collection):
        raise BadRequest(f"Points cannot be copied while collection {collection.name} is resharded")
    elif target not in receiving.replicas:
        raise BadRequest(f"Peer {target} has no replica of shard {receiving.id}")
    ends = ((shard.id, source), (receiving.id, target))
    for busy in (transfer for end in ends for transfer in transfers_of(collection, *end)):
        text = f"Shard {shard.id} is already involved in transfer {busy.source} -> {busy.target}"
        raise BadRequest(text)


def _begun(receiving: ShardState, target: int, method: TransferMethod) -> ShardState:
    """The target's replica waits to be filled; one in sync (of another shard) only begins an epoch."""
    found = receiving.replicas.get(target)
    return new_life(receiving, target, found if found in IN_SYNC else RECEIVER_STATES[method])


def finish(state: ClusterState, command: FinishTransfer) -> Outcome:
    collection = collection_named(state, command.collection, command.uuid)
    transfer = stored_transfer(collection, command.transfer)
    shard = collection.shards[transfer.target_shard_id]
    check_term(shard, command.term)
    shard = completed(state, shard, transfer.target)
    transfers = tuple(other for other in collection.transfers if other != transfer)
    collection = replace(put_shard(collection, shard), transfers=transfers)
    events: Events = (
        TransferFinished(collection.name, transfer),
        ReplicaSetChanged(collection.name, shard.id),
    )
    if not transfer.sync and transfer.to_shard_id is None and others_in_sync(shard, transfer.source):
        collection = _moved(collection, shard, transfer)
    return put_collection(state, collection), events


def _moved(collection: CollectionState, shard: ShardState, transfer: Transfer) -> CollectionState:
    """The source's replica goes; the target takes its place as primary, where it can."""
    if shard.primary == transfer.source and is_in_sync(shard, transfer.target):
        shard = with_primary(shard, transfer.target)
    return put_shard(collection, dropped(collection, shard, transfer.source))


def abort_one(state: ClusterState, command: AbortTransfer) -> Outcome:
    collection = collection_named(state, command.collection, command.uuid)
    transfer = stored_transfer(collection, command.transfer)
    collection, events = abort(collection, transfer, command.reason)
    shard = collection.shards[transfer.target_shard_id]
    if shard.replicas.get(transfer.target) is ReplicaState.DEAD:
        failed = {**shard.failed, transfer.target: transfer.method}
        collection = put_shard(collection, replace(shard, failed=failed))
    return put_collection(state, collection), events


def restart(state: ClusterState, command: RestartTransfer) -> Outcome:
    collection = collection_named(state, command.collection, command.uuid)
    transfer = stored_transfer(collection, command.transfer)
    if transfer.method is command.method:
        raise BadRequest(
            f"Cannot restart transfer for shard {transfer.shard_id} from {transfer.source} to"
            f" {transfer.target}, its configuration did not change"
        )
    shard = _begun(collection.shards[transfer.target_shard_id], transfer.target, command.method)
    again = replace(transfer, method=command.method, epoch=shard.epoch_of(transfer.target))
    transfers = tuple(again if other == transfer else other for other in collection.transfers)
    collection = replace(put_shard(collection, shard), transfers=transfers)
    return put_collection(state, collection), (
        ReplicaSetChanged(collection.name, shard.id),
        TransferStarted(collection.name, again),
    )


HANDLERS: dict[type, Handler] = {
    StartTransfer: start,
    FinishTransfer: finish,
    AbortTransfer: abort_one,
    RestartTransfer: restart,
}
