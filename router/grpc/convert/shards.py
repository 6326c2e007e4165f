"""Changes of where points lie, into ``router.cluster.requests``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from consensus.state import ReplicaState, TransferMethod
from protos.filters import encode_filter
from protos.qdrant import collections_pb2 as wire
from router.cluster.requests import (
    AbortShardTransfer,
    ClusterChange,
    CreateShardingKey,
    DropShardingKey,
    DropShardReplica,
    MoveShard,
    ReplicatePoints,
    ReplicateShard,
    RestartShardTransfer,
)
from router.grpc.convert.filters import filter_of
from router.grpc.convert.points import shard_key
from router.grpc.convert.words import word
from router.grpc.errors import Unconvertible


def cluster_change(message: wire.UpdateCollectionClusterSetupRequest) -> ClusterChange:
    """Raises: Unconvertible; as ``filter_of``."""
    kind = message.WhichOneof("operation")
    if kind is None:
        raise Unconvertible("Operation is missing")
    return _CHANGES[kind](getattr(message, kind))


def new_key(message: wire.CreateShardKey) -> CreateShardingKey:
    """Raises: Unconvertible."""
    state = None
    if message.HasField("initial_state"):
        state = ReplicaState(word("qdrant.ReplicaState", message.initial_state))
    return CreateShardingKey(
        shard_key=shard_key(message.shard_key),
        shards_number=message.shards_number if message.HasField("shards_number") else None,
        replication_factor=message.replication_factor if message.HasField("replication_factor") else None,
        placement=tuple(message.placement) or None,
        initial_state=state,
    )


def dropped_key(message: wire.DeleteShardKey) -> DropShardingKey:
    """Raises: Unconvertible."""
    return DropShardingKey(shard_key=shard_key(message.shard_key))


def _ends(message: Any) -> dict[str, Any]:
    """Of a transfer."""
    return {
        "shard_id": message.shard_id,
        "from_peer_id": message.from_peer_id,
        "to_peer_id": message.to_peer_id,
        "to_shard_id": message.to_shard_id if message.HasField("to_shard_id") else None,
    }


def _method(message: Any) -> TransferMethod | None:
    return _given_method(message) if message.HasField("method") else None


def _given_method(message: Any) -> TransferMethod:
    return TransferMethod(word("qdrant.ShardTransferMethod", message.method))


def _replicate_points(message: wire.ReplicatePoints) -> ReplicatePoints:
    chosen = None
    if message.HasField("filter"):
        chosen = msgspec.json.encode(encode_filter(filter_of(message.filter)))
    return ReplicatePoints(
        from_shard_key=shard_key(message.from_shard_key),
        to_shard_key=shard_key(message.to_shard_key),
        filter=chosen,
    )


_CHANGES: Final[Mapping[str, Callable[[Any], ClusterChange]]] = {
    "move_shard": lambda message: MoveShard(**_ends(message), method=_method(message)),
    "replicate_shard": lambda message: ReplicateShard(**_ends(message), method=_method(message)),
    "abort_transfer": lambda message: AbortShardTransfer(**_ends(message)),
    "restart_transfer": lambda message: RestartShardTransfer(**_ends(message), method=_given_method(message)),
    "drop_replica": lambda message: DropShardReplica(shard_id=message.shard_id, peer_id=message.peer_id),
    "create_shard_key": new_key,
    "delete_shard_key": dropped_key,
    "replicate_points": _replicate_points,
}
