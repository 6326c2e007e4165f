"""Requests about shards into ours."""

from __future__ import annotations

import msgspec
import pytest

from consensus.state import ReplicaState, TransferMethod
from protos.errors import VecraftError
from protos.qdrant import collections_pb2 as wire
from protos.qdrant import filters_pb2, points_pb2
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
from router.grpc.convert.points import shard_selector
from router.grpc.convert.shards import cluster_change
from router.grpc.errors import Unconvertible
from router.shards import KeyWithFallback

ENDS = {"shard_id": 1, "from_peer_id": 2, "to_peer_id": 3}
A, B = wire.ShardKey(keyword="a"), wire.ShardKey(number=7)
TAGGED = filters_pb2.Filter(must=[filters_pb2.Condition(is_null=filters_pb2.IsNullCondition(key="x"))])

CHANGES: list[tuple[dict[str, object], ClusterChange]] = [
    ({"move_shard": wire.MoveShard(**ENDS)}, MoveShard(**ENDS)),
    (
        {"replicate_shard": wire.ReplicateShard(**ENDS, method=wire.WalDelta, to_shard_id=0)},
        ReplicateShard(**ENDS, method=TransferMethod.WAL_DELTA, to_shard_id=0),
    ),
    ({"abort_transfer": wire.AbortShardTransfer(**ENDS)}, AbortShardTransfer(**ENDS)),
    (
        {"restart_transfer": wire.RestartTransfer(**ENDS, method=wire.Snapshot)},
        RestartShardTransfer(**ENDS, method=TransferMethod.SNAPSHOT),
    ),
    ({"drop_replica": wire.Replica(shard_id=1, peer_id=2)}, DropShardReplica(shard_id=1, peer_id=2)),
    (
        {"create_shard_key": wire.CreateShardKey(shard_key=A, placement=[4], initial_state=wire.Partial)},
        CreateShardingKey(shard_key="a", placement=(4,), initial_state=ReplicaState.PARTIAL),
    ),
    (
        {"create_shard_key": wire.CreateShardKey(shard_key=B, shards_number=2, replication_factor=3)},
        CreateShardingKey(shard_key=7, shards_number=2, replication_factor=3),
    ),
    ({"delete_shard_key": wire.DeleteShardKey(shard_key=A)}, DropShardingKey(shard_key="a")),
    (
        {"replicate_points": wire.ReplicatePoints(from_shard_key=A, to_shard_key=B, filter=TAGGED)},
        ReplicatePoints(
            from_shard_key="a",
            to_shard_key=7,
            filter=msgspec.json.encode({"must": [{"is_null": {"key": "x"}}]}),
        ),
    ),
]


@pytest.mark.parametrize(("fields", "change"), CHANGES)
def test_changes_are_those_of_rest(fields: dict[str, object], change: ClusterChange) -> None:
    request = wire.UpdateCollectionClusterSetupRequest(collection_name="c", **fields)  # type: ignore[arg-type]
    assert cluster_change(request) == change


@pytest.mark.parametrize(
    "fields", [{}, {"delete_shard_key": wire.DeleteShardKey()}, {"create_shard_key": wire.CreateShardKey()}]
)
def test_changes_that_say_nothing_are_refused(fields: dict[str, object]) -> None:
    request = wire.UpdateCollectionClusterSetupRequest(collection_name="c", **fields)  # type: ignore[arg-type]
    with pytest.raises(VecraftError):
        cluster_change(request)


def test_shards_are_selected_by_keys_or_by_one_with_a_fallback() -> None:
    assert shard_selector(points_pb2.ShardKeySelector(shard_keys=[A, B])) == ("a", 7)
    with_fallback = points_pb2.ShardKeySelector(shard_keys=[A], fallback=B)
    assert shard_selector(with_fallback) == KeyWithFallback("a", 7)
    with pytest.raises(Unconvertible):
        shard_selector(points_pb2.ShardKeySelector(shard_keys=[A, B], fallback=B))
