"""Random commands about peers, replica sets, transfers and shard keys, for tests that must bear any."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from msgspec.structs import replace

from consensus.commands import (
    AbortResharding,
    AbortTransfer,
    AddCollection,
    AddReplica,
    BeginMove,
    ChangeCollection,
    Command,
    CreateShardKey,
    DrainPeer,
    DropCollection,
    DropReplica,
    DropShardKey,
    EvictReplica,
    FinishTransfer,
    ListenReplica,
    LowerFence,
    MoveReady,
    MoveWhole,
    PromotePrimary,
    RegisterPeer,
    RemovePeer,
    ReplicaReady,
    RestartTransfer,
    RestoreShards,
    Restoring,
    ShardCleaned,
    ShardRef,
    SourceReleased,
    StartResharding,
    StartTransfer,
    shard_ref,
)
from consensus.placement import place_shards
from consensus.state import (
    ClusterState,
    CollectionState,
    ReplicaState,
    ReshardingStage,
    ShardState,
    Transfer,
    TransferMethod,
)
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    CollectionParamsDiff,
    Distance,
    UpdateCollection,
    VectorParams,
)

PEERS = range(1, 7)
KEYS = ("a", 7)


def any_command(rng: Random, state: ClusterState) -> Command:
    """A command as somebody could propose it who sees ``state``, with now and then a detail wrong."""
    makers: list[Callable[[Random, ClusterState], Command]] = [_peer, _collection]
    shards = [(one, shard) for one in state.collections.values() for shard in one.shards.values()]
    if not shards:
        return rng.choice(makers)(rng, state)
    collection, shard = rng.choice(shards)
    if rng.random() < 0.2:
        return rng.choice(makers)(rng, state)
    if rng.random() < 0.3:
        return resharding_command(rng, collection)
    if collection.transfers and rng.random() < 0.4:
        return _transfer(rng, collection)
    return _replica(rng, collection, shard)


def _peer(rng: Random, state: ClusterState) -> Command:
    peer = rng.choice(PEERS)
    known = state.peers.get(peer)
    incarnation = rng.randint(0, 1) + (0 if known is None else known.incarnation)
    kind = rng.randrange(6)
    if kind == 0:
        return RemovePeer(peer, force=rng.random() < 0.8)
    if kind == 1:
        return DrainPeer(peer, draining=rng.random() < 0.5)
    listens = rng.random() < 0.3
    uri = f"http://{rng.choice([peer, peer, peer, 1])}:6335"
    return RegisterPeer(peer, uri, incarnation=incarnation, node_type="Listener" if listens else "Normal")


def _collection(rng: Random, state: ClusterState) -> Command:
    kind = rng.randrange(6)
    if kind == 0:
        return DropCollection(rng.choice(["c", "k"]))
    if kind == 1:
        factor = CollectionParamsDiff(replication_factor=rng.randint(1, 3))
        return ChangeCollection(rng.choice(["c", "k"]), UpdateCollection(params=factor))
    if kind == 2:
        return DropShardKey("k", rng.choice(KEYS))
    placed = place_shards(state, count=rng.randint(1, 2), replication_factor=rng.randint(1, 3))
    if kind == 3:
        name, custom = rng.choice(["c", "k"]), rng.random() < 0.5
        params = CollectionParams(
            {"": VectorParams(4, Distance.DOT)}, len(placed), "custom" if custom else None, 2
        )
        uuid = f"u{state.version}"
        return AddCollection(name, uuid, CollectionConfig(params), () if custom else placed, 0)
    initial = rng.choice([ReplicaState.ACTIVE, ReplicaState.PARTIAL, ReplicaState.PARTIAL])
    return CreateShardKey("k", rng.choice(KEYS), tuple(one.peers for one in placed), initial)


def _replica(rng: Random, collection: CollectionState, shard: ShardState) -> Command:
    ref = _ref(rng, collection, shard)
    peer = rng.choice([*shard.replicas, *shard.replicas, rng.choice(PEERS)])
    epoch = shard.epoch_of(peer) + (rng.random() < 0.1)
    target = rng.choice(PEERS)
    states = list(ReplicaState)
    to_shard_id = rng.choice([None, None, *collection.shards])
    commands: list[Command] = [
        _restoring(rng, collection, shard),
        EvictReplica(ref, peer, epoch),
        PromotePrimary(ref, peer, lost=rng.random() < 0.5),
        AddReplica(ref, target, rng.choice([*states, ReplicaState.INITIALIZING, ReplicaState.PARTIAL])),
        ReplicaReady(ref, peer, epoch),
        ListenReplica(ref, peer, epoch),
        DropReplica(ref, peer, epoch, by_user=rng.random() < 0.3),
        StartTransfer(
            ref,
            shard.primary if rng.random() < 0.5 else peer,
            target,
            rng.choice(list(TransferMethod)),
            sync=rng.random() < 0.6,
            to_shard_id=to_shard_id,
            by_user=rng.random() < 0.3,
        ),
    ]
    return rng.choice([*commands, commands[-1], commands[-1]])


def resharding_command(rng: Random, collection: CollectionState) -> Command:
    """A step of a resharding, mostly one that is due."""
    name, uuid, running = collection.name, collection.uuid, collection.resharding
    strangers = [shard for shard in collection.shards.values() if shard.strangers]
    if strangers and rng.random() < 0.3:
        step = collection.buckets_step - (rng.random() < 0.2)
        return ShardCleaned(name, uuid, rng.choice(strangers).id, step)
    if running is None or rng.random() < 0.05:
        peers = tuple(rng.sample(PEERS, rng.randint(1, 3)))
        key = rng.choice([*[group.key for group in collection.groups], None])
        operation = f"r{collection.buckets_step}"
        if rng.random() < 0.5:
            return StartResharding(name, uuid, operation, "up", peers[0], peers, key)
        return StartResharding(name, uuid, operation, "down", peers[0], (), key)
    operation = running.uuid if rng.random() < 0.95 else "x"
    step = collection.buckets_step - (rng.random() < 0.1)
    move = rng.choice(running.moves)
    if rng.random() < 0.04:
        return rng.choice([AbortResharding(name, uuid, operation), LowerFence(name, uuid, operation, step)])
    if running.stage is ReshardingStage.MOVING:
        if rng.random() < 0.1:
            session = (move.session[0] + rng.randint(-1, 1), rng.randint(0, 2))
            return BeginMove(name, uuid, operation, move.source, move.target, session)
        return MoveReady(name, uuid, operation, move.source, move.target, move.session)
    if running.stage is ReshardingStage.FENCED:
        return MoveWhole(name, uuid, operation, move.source, move.target, move.session, step)
    return SourceReleased(name, uuid, operation, move.source, step)


def _restoring(rng: Random, collection: CollectionState, shard: ShardState) -> RestoreShards:
    restoring = Restoring(rng.choice(PEERS), rng.choice([0, 0, 1, 2]), {shard.id: f"files-{rng.random()}"})
    terms = {shard.id: shard.term + (rng.random() < 0.1)}
    return RestoreShards(collection.name, collection.uuid, terms, restoring, trim=rng.random() < 0.5)


def _ref(rng: Random, collection: CollectionState, shard: ShardState) -> ShardRef:
    ref = shard_ref(collection, shard)
    if rng.random() < 0.05:
        return rng.choice(
            [
                replace(ref, term=ref.term + 1),
                replace(ref, uuid="x"),
                replace(ref, collection="x"),
                replace(ref, shard_id=99),
            ]
        )
    return ref


def _transfer(rng: Random, collection: CollectionState) -> Command:
    transfer: Transfer = rng.choice(collection.transfers)
    if rng.random() < 0.1:
        transfer = replace(transfer, epoch=transfer.epoch + 1)
    name, uuid = collection.name, collection.uuid
    term = collection.shards[transfer.target_shard_id].term
    commands: list[Command] = [
        FinishTransfer(name, uuid, transfer, term),
        FinishTransfer(name, uuid, transfer, term),
        AbortTransfer(name, uuid, transfer, "it failed"),
        RestartTransfer(name, uuid, transfer, rng.choice(list(TransferMethod))),
    ]
    return rng.choice(commands)
