"""Bodies of cluster operations and shard keys (reference 14.7, 14.8), and of cluster metadata."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from consensus.state import ReplicaState
from protos.errors import MalformedBody
from protos.filters import decode_filter
from router.cluster.requests import (
    AbortReshardingOf,
    AbortShardTransfer,
    ClusterChange,
    CreateShardingKey,
    Drive,
    DriveResharding,
    DropShardingKey,
    DropShardReplica,
    Key,
    MoveShard,
    PeerId,
    ReplicatePoints,
    ReplicateShard,
    RestartShardTransfer,
    ShardId,
    StartResharding,
)
from router.rest.bodies.reading import decode


class CreateShardingKeyBody(Struct):
    """``shard_number`` is another name of ``shards_number``."""

    shard_key: Key
    shards_number: int | None = None
    shard_number: int | None = None
    replication_factor: int | None = None
    placement: list[int] | None = None
    initial_state: ReplicaState | None = None


class ReplicatePointsBody(Struct):
    from_shard_key: Key
    to_shard_key: Key
    filter: Any = None


class DriveBody(Struct):
    """Which shards and peers it is about makes no difference: stages are of the whole."""

    shard_id: ShardId | None = None
    peer_id: PeerId | None = None


class ClusterChangeBody(Struct, forbid_unknown_fields=True):
    """Exactly one member is present."""

    move_shard: MoveShard | UnsetType = UNSET
    replicate_shard: ReplicateShard | UnsetType = UNSET
    abort_transfer: AbortShardTransfer | UnsetType = UNSET
    restart_transfer: RestartShardTransfer | UnsetType = UNSET
    drop_replica: DropShardReplica | UnsetType = UNSET
    create_sharding_key: CreateShardingKeyBody | UnsetType = UNSET
    drop_sharding_key: DropShardingKey | UnsetType = UNSET
    replicate_points: ReplicatePointsBody | UnsetType = UNSET
    start_resharding: StartResharding | UnsetType = UNSET
    abort_resharding: AbortReshardingOf | UnsetType = UNSET
    finish_migrating_points: DriveBody | UnsetType = UNSET
    commit_read_hash_ring: DriveBody | UnsetType = UNSET
    commit_write_hash_ring: DriveBody | UnsetType = UNSET
    finish_resharding: DriveBody | UnsetType = UNSET


_change = msgspec.json.Decoder(ClusterChangeBody)
_create_key = msgspec.json.Decoder(CreateShardingKeyBody)
_drop_key = msgspec.json.Decoder(DropShardingKey)
_any: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Any)


def decode_cluster_change(body: bytes) -> ClusterChange:
    """Raises: MalformedBody unless there is exactly one operation, of its shape."""
    request = decode(body, _change)
    members = {name: getattr(request, name) for name in request.__struct_fields__}
    given = {name: change for name, change in members.items() if change is not UNSET}
    if len(given) != 1:
        raise MalformedBody(
            "data did not match any variant of untagged enum ClusterOperations:"
            f" expected exactly one operation, found {len(given)}"
        )
    ((name, change),) = given.items()
    return DriveResharding(drive=Drive(name)) if isinstance(change, DriveBody) else _domain(change)


def _domain(change: ClusterChange | CreateShardingKeyBody | ReplicatePointsBody) -> ClusterChange:
    if isinstance(change, CreateShardingKeyBody):
        return _new_key(change)
    if isinstance(change, ReplicatePointsBody):
        return ReplicatePoints(
            from_shard_key=change.from_shard_key,
            to_shard_key=change.to_shard_key,
            filter=_filter(change.filter),
        )
    return change


def _filter(value: Any) -> bytes | None:
    """The filter's JSON. Raises: as ``decode_filter``."""
    if value is None:
        return None
    decode_filter(value, path="filter")
    return msgspec.json.encode(value)


def decode_create_key(body: bytes) -> CreateShardingKey:
    return _new_key(decode(body, _create_key))


def _new_key(body: CreateShardingKeyBody) -> CreateShardingKey:
    return CreateShardingKey(
        shard_key=body.shard_key,
        shards_number=body.shard_number if body.shards_number is None else body.shards_number,
        replication_factor=body.replication_factor,
        placement=None if body.placement is None else tuple(body.placement),
        initial_state=body.initial_state,
    )


def decode_drop_key(body: bytes) -> DropShardingKey:
    return decode(body, _drop_key)


def decode_metadata(body: bytes) -> Any:
    """Any JSON value."""
    return decode(body, _any)
