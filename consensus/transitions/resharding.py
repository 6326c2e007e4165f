"""Transitions of reshardings: start, abort, and the claims that bring one from stage to stage.

Who may claim what is told in ``consensus.commands``; what a stage means for each shard in
``consensus.ownership``. Texts: reference 14.11.
"""

from __future__ import annotations

from msgspec.structs import replace

from consensus.buckets import owners_of, show_shard_key
from consensus.commands import (
    AbortResharding,
    BeginMove,
    LowerFence,
    MoveReady,
    MoveWhole,
    ShardCleaned,
    SourceReleased,
    StartResharding,
)
from consensus.events import Outdated, ReshardingChanged
from consensus.ownership import moves_down, moves_up, owners_after
from consensus.replica_sets import in_sync
from consensus.state import (
    LEVEL_OF_RESHARDING,
    ClusterState,
    CollectionState,
    Move,
    Resharding,
    ReshardingStage,
    ShardGroup,
    ShardState,
)
from consensus.transitions.edits import abort_all, first_replicas
from consensus.transitions.outcome import (
    Events,
    Handler,
    Outcome,
    check_peer,
    collection_named,
    put_collection,
    put_shard,
    shard_in,
)
from protos.errors import BadRequest

MOVING, FENCED, SWITCHED = ReshardingStage.MOVING, ReshardingStage.FENCED, ReshardingStage.SWITCHED


# --- start and abort ---------------------------------------------------------------------------------------


def start(state: ClusterState, command: StartResharding) -> Outcome:
    collection = collection_named(state, command.collection, command.uuid)
    if collection.resharding is not None and collection.resharding.uuid == command.operation:
        return state, ()  # asked again
    group = _check_start(state, collection, command)
    if command.direction == "up":
        collection, resharding = _grown(state, collection, group, command)
    else:
        gone = max(group.shards)
        moves = moves_down(owners_of(group), group.shards, gone)
        resharding = Resharding(command.operation, "down", gone, command.peer_id, moves, group.key)
    if not resharding.moves:
        raise BadRequest(f"There are as many shards of collection {collection.name} as there can be")
    step = collection.buckets_step + 1
    for move in resharding.moves:
        target = collection.shards[move.target]
        collection = put_shard(collection, replace(target, strangers=step))
    return _put(state, replace(collection, resharding=resharding))


def _check_start(state: ClusterState, collection: CollectionState, command: StartResharding) -> ShardGroup:
    """The group whose shards become more or fewer. Raises: BadRequest."""
    if state.feature_level < LEVEL_OF_RESHARDING:
        raise BadRequest("Resharding can start once every peer is of a version that knows of it")
    if collection.resharding is not None:
        raise BadRequest(f"resharding of collection {collection.name} is already in progress")
    group = group_to_reshard(collection, command.key)
    for shard_id in sorted(collection.shards):
        if collection.shards[shard_id].strangers:
            raise BadRequest(f"Shard {shard_id} is still being cleaned up after another resharding")
    for shard_id in group.shards:
        if not in_sync(collection.shards[shard_id]):
            raise BadRequest(f"Shard {shard_id} is not active on any peer")
    for transfer in collection.transfers:
        if transfer.to_shard_id is not None and {transfer.shard_id, transfer.to_shard_id} & {*group.shards}:
            raise BadRequest(f"Points of shard {transfer.shard_id} are being copied to another shard key")
    for peer_id in (command.peer_id, *command.peers):
        check_peer(state, peer_id)
    if command.direction == "down" and len(group.shards) == 1:
        raise BadRequest(f"The last shard of collection {collection.name} cannot be removed")
    if command.direction == "up" and len(set(command.peers)) != max(len(command.peers), 1):
        raise BadRequest("A new shard needs peers to hold it, each of them once")
    return group


def group_to_reshard(collection: CollectionState, key: str | int | None) -> ShardGroup:
    """Raises: BadRequest."""
    if key is None and collection.custom_sharding:
        raise BadRequest("Shard key not specified")
    if key is not None and not collection.custom_sharding:
        raise BadRequest("Shard key cannot be specified with Auto sharding method")
    for group in collection.groups:
        if group.key == key:
            return group
    raise BadRequest(f"Shard key {show_shard_key(key)} not found")


def _grown(
    state: ClusterState, collection: CollectionState, group: ShardGroup, command: StartResharding
) -> tuple[CollectionState, Resharding]:
    """With a new, empty shard, which is in no group before it answers."""
    new = max(collection.next_shard_id, max(collection.shards) + 1)
    like = collection.shards[group.shards[0]]
    shard = ShardState(
        id=new,
        replicas=first_replicas(state, command.peers),
        primary=command.peers[0],
        key=group.key,
        wanted=like.wanted,
        answers_since=collection.buckets_step + 1,
    )
    collection = replace(put_shard(collection, shard), next_shard_id=new + 1)
    moves = moves_up(owners_of(group), group.shards, new)
    return collection, Resharding(command.operation, "up", new, command.peer_id, moves, group.key)


def abort(state: ClusterState, command: AbortResharding) -> Outcome:
    """Back to the former map, which was all along what counted; what was copied is thrown away."""
    collection, resharding = _running(state, command.collection, command.uuid, command.operation)
    if resharding.stage is SWITCHED:
        raise BadRequest(
            f"resharding of collection {collection.name} cannot be aborted any more: its new owners answer"
        )
    events: Events = ()
    if resharding.direction == "up":
        collection, events = without_shard(collection, resharding.shard_id)
    else:
        step = collection.buckets_step + 1
        for move in resharding.moves:
            shard = replace(collection.shards[move.target], strangers=step)
            collection = put_shard(collection, shard)
    after, more = _put(state, replace(collection, resharding=None))
    return after, (*events, *more)


def without_shard(collection: CollectionState, shard_id: int) -> tuple[CollectionState, Events]:
    """The collection less a shard that owns nothing."""
    touching = [one for one in collection.transfers if shard_id in (one.shard_id, one.target_shard_id)]
    collection, events = abort_all(collection, touching, "shard removed by resharding")
    shards = {kept: shard for kept, shard in collection.shards.items() if kept != shard_id}
    next_shard_id = max(collection.next_shard_id, shard_id + 1)
    return replace(collection, shards=shards, next_shard_id=next_shard_id), events


# --- from stage to stage -----------------------------------------------------------------------------------


def begin(state: ClusterState, command: BeginMove) -> Outcome:
    collection, resharding = _running(state, command.collection, command.uuid, command.operation)
    move = _move(resharding, command.source, command.target)
    if resharding.stage is SWITCHED or command.session < move.session:
        raise Outdated(f"Nothing moves from shard {move.source} to shard {move.target} in that session")
    if command.session == move.session:
        return state, ()
    begun = replace(move, session=command.session, ready=False, whole=False)
    resharding = _with(resharding, begun)
    if resharding.stage is FENCED:
        return _put(state, replace(collection, resharding=_lowered(resharding)))
    return _put(state, replace(collection, resharding=resharding), steps=0)


def ready(state: ClusterState, command: MoveReady) -> Outcome:
    collection, resharding = _running(state, command.collection, command.uuid, command.operation)
    move = _claimed(resharding, command)
    if resharding.stage is not MOVING or move.ready:
        return state, ()
    resharding = _with(resharding, replace(move, ready=True))
    if all(move.ready for move in resharding.moves):
        return _put(state, replace(collection, resharding=replace(resharding, stage=FENCED)))
    return _put(state, replace(collection, resharding=resharding), steps=0)


def whole(state: ClusterState, command: MoveWhole) -> Outcome:
    collection, resharding = _running(state, command.collection, command.uuid, command.operation)
    _check_stage(collection, resharding, FENCED, command.step)
    resharding = _with(resharding, replace(_claimed(resharding, command), whole=True))
    collection = replace(collection, resharding=resharding)
    if not all(move.whole for move in resharding.moves):
        return _put(state, collection, steps=0)
    return _put(state, _switched(collection, resharding))


def _switched(collection: CollectionState, resharding: Resharding) -> CollectionState:
    """The moved buckets are the targets'; the sources of a growing group hold copies that are strangers."""
    step = collection.buckets_step + 1
    up = resharding.direction == "up"
    for move in resharding.moves:
        target, source = collection.shards[move.target], collection.shards[move.source]
        collection = put_shard(collection, replace(target, answers_since=step, strangers=0))
        source = replace(source, answers_since=step, strangers=step if up else 0)
        collection = put_shard(collection, source)
    groups = tuple(
        _after(group, resharding) if group.key == resharding.key else group for group in collection.groups
    )
    resharding = replace(resharding, stage=SWITCHED, switched_step=step)
    return replace(collection, groups=groups, resharding=resharding)


def _after(group: ShardGroup, resharding: Resharding) -> ShardGroup:
    if resharding.direction == "up":
        shards = (*group.shards, resharding.shard_id)
    else:
        shards = tuple(shard for shard in group.shards if shard != resharding.shard_id)
    return replace(group, shards=shards, buckets=owners_after(owners_of(group), resharding.moves))


def lower(state: ClusterState, command: LowerFence) -> Outcome:
    collection, resharding = _running(state, command.collection, command.uuid, command.operation)
    _check_stage(collection, resharding, FENCED, command.step)
    return _put(state, replace(collection, resharding=_lowered(resharding)))


def _lowered(resharding: Resharding) -> Resharding:
    moves = tuple(replace(move, ready=False, whole=False) for move in resharding.moves)
    return replace(resharding, stage=MOVING, moves=moves)


def released(state: ClusterState, command: SourceReleased) -> Outcome:
    collection, resharding = _running(state, command.collection, command.uuid, command.operation)
    if resharding.stage is not SWITCHED or command.step < resharding.switched_step:
        raise Outdated(f"The resharding of {collection.name} is not at step {command.step}")
    moves = tuple(
        replace(move, released=True) if move.source == command.source else move for move in resharding.moves
    )
    if moves == resharding.moves:
        return state, ()
    return _put(state, _finished(replace(collection, resharding=replace(resharding, moves=moves))))


def cleaned(state: ClusterState, command: ShardCleaned) -> Outcome:
    collection = collection_named(state, command.collection, command.uuid)
    shard = shard_in(collection, command.shard_id)
    if not shard.strangers:
        return state, ()
    if command.step < shard.strangers or _receives(collection, shard.id):
        raise Outdated(f"Shard {shard.id} may hold points of others again since step {command.step}")
    return _put(state, _finished(put_shard(collection, replace(shard, strangers=0))))


def _finished(collection: CollectionState) -> CollectionState:
    """Without the resharding, if nothing of it is left to do."""
    resharding = collection.resharding
    if resharding is None or not all(move.released for move in resharding.moves):
        return collection
    if resharding.direction == "down":
        collection, _ = without_shard(collection, resharding.shard_id)
    if any(collection.shards[move.source].strangers for move in _kept(collection, resharding)):
        return collection
    return _told(replace(collection, resharding=None), resharding)


def _told(collection: CollectionState, resharding: Resharding) -> CollectionState:
    """With the number of shards there is now in its configuration; that of a key is nowhere but in it."""
    if resharding.key is not None:
        return collection
    (group,) = collection.groups
    params = replace(collection.config.params, shard_number=len(group.shards))
    config = replace(collection.config, params=params)
    return replace(collection, config=config, config_version=collection.config_version + 1)


def _kept(collection: CollectionState, resharding: Resharding) -> list[Move]:
    """The moves whose source is still there."""
    return [move for move in resharding.moves if move.source in collection.shards]


def _receives(collection: CollectionState, shard_id: int) -> bool:
    resharding = collection.resharding
    if resharding is None or resharding.stage is SWITCHED:
        return False
    return any(move.target == shard_id for move in resharding.moves)


# --- look-ups ----------------------------------------------------------------------------------------------


def _running(state: ClusterState, name: str, uuid: str, operation: str) -> tuple[CollectionState, Resharding]:
    """Raises: NotFound, BadRequest, Outdated."""
    collection = collection_named(state, name, uuid)
    resharding = collection.resharding
    if resharding is None:
        raise BadRequest(f"resharding is not in progress for collection {name}")
    if resharding.uuid != operation:
        raise Outdated(f"Another resharding of collection {name} is in progress")
    return collection, resharding


def _check_stage(
    collection: CollectionState, resharding: Resharding, stage: ReshardingStage, step: int
) -> None:
    """Raises: Outdated."""
    if resharding.stage is not stage or collection.buckets_step != step:
        raise Outdated(
            f"The resharding of {collection.name} is at step {collection.buckets_step}, not {step}"
        )


def _move(resharding: Resharding, source: int, target: int) -> Move:
    """Raises: Outdated if there is no such move."""
    for move in resharding.moves:
        if (move.source, move.target) == (source, target):
            return move
    raise Outdated(f"Nothing moves from shard {source} to shard {target}")


def _claimed(resharding: Resharding, claim: MoveReady | MoveWhole) -> Move:
    """Raises: Outdated if there is no such move, or another session of it."""
    move = _move(resharding, claim.source, claim.target)
    if move.session != claim.session:
        raise Outdated(f"The move to shard {move.target} is in session {move.session}, not {claim.session}")
    return move


def _with(resharding: Resharding, move: Move) -> Resharding:
    ends = (move.source, move.target)
    moves = tuple(move if (one.source, one.target) == ends else one for one in resharding.moves)
    return replace(resharding, moves=moves)


def _put(state: ClusterState, collection: CollectionState, *, steps: int = 1) -> Outcome:
    collection = replace(collection, buckets_step=collection.buckets_step + steps)
    return put_collection(state, collection), (ReshardingChanged(collection.name),)


HANDLERS: dict[type, Handler] = {
    StartResharding: start,
    AbortResharding: abort,
    BeginMove: begin,
    MoveReady: ready,
    MoveWhole: whole,
    LowerFence: lower,
    SourceReleased: released,
    ShardCleaned: cleaned,
}
