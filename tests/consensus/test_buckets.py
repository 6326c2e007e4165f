"""Points belong to shards by buckets: stable, even, and the same one by one or all at once."""

from __future__ import annotations

import uuid
from collections import Counter

import numpy as np
import pytest

from consensus.buckets import BUCKETS, bucket_of, buckets_of, deal_buckets, group_of, shard_of, shards_of
from consensus.commands import AddCollection, PlacedShard
from consensus.placement import deal_shards
from consensus.state import CollectionState, Peer, founding_state
from consensus.transitions import apply
from protos.collections import CollectionConfig, CollectionParams
from protos.errors import BadInput
from protos.ids import PointId, id_key


def collection(*placed: PlacedShard, custom: bool = False) -> CollectionState:
    params = CollectionParams({}, shard_number=len(placed), sharding_method="custom" if custom else None)
    command = AddCollection("c", "u", CollectionConfig(params), placed, created_ms=0)
    state, _ = apply(founding_state(Peer(1)), command)
    return state.collections["c"]


def keys_of(ids: list[PointId]) -> list[bytes]:
    return [id_key(point_id) for point_id in ids]


def test_a_points_bucket_never_changes() -> None:
    """Part of the storage format: a difference here loses points."""
    ids: list[PointId] = [0, 1, 2**64 - 1, "550e8400-e29b-41d4-a716-446655440000"]
    assert [bucket_of(key) for key in keys_of(ids)] == [177, 327, 466, 339]


@pytest.mark.parametrize("step", [1, 2, 10, 64, 1000, 1024, 2**20, 2**32])
def test_ids_with_a_regular_step_spread_over_all_buckets(step: int) -> None:
    counts = Counter(buckets_of(keys_of([index * step for index in range(20_000)])).tolist())
    assert len(counts) == BUCKETS
    assert max(counts.values()) < 60  # 19.5 on average


def test_uuids_spread_over_all_buckets() -> None:
    ids: list[PointId] = [str(uuid.UUID(int=index << 64)) for index in range(20_000)]
    counts = Counter(buckets_of(keys_of(ids)).tolist())
    assert len(counts) == BUCKETS
    assert max(counts.values()) < 60


def test_a_batch_gets_the_shards_its_points_get_alone() -> None:
    target = collection(*deal_shards(count=5, replication_factor=1, peers=[1]))
    keys = keys_of([*range(200), str(uuid.UUID(int=3))])
    assert shards_of(target, keys).tolist() == [shard_of(target, key) for key in keys]
    assert buckets_of(keys).tolist() == [bucket_of(key) for key in keys]
    assert set(shards_of(target, keys).tolist()) == {0, 1, 2, 3, 4}


def test_one_shard_takes_all_points() -> None:
    target = collection(*deal_shards(count=1, replication_factor=1, peers=[1], first_id=9))
    assert shard_of(target, id_key(3)) == 9
    assert shards_of(target, keys_of([1, 2])).tolist() == [9, 9]
    assert shards_of(target, []).tolist() == []


def test_buckets_are_dealt_evenly() -> None:
    owners = np.frombuffer(deal_buckets([4, 8, 15]), dtype="<u4")
    assert len(owners) == BUCKETS
    counts = Counter(owners.tolist())
    assert set(counts) == {4, 8, 15}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_shard_keys_have_their_own_shards() -> None:
    target = collection(
        PlacedShard(0, (1,), "eu"), PlacedShard(1, (1,), "eu"), PlacedShard(2, (1,), 5), custom=True
    )
    assert group_of(target, "eu").shards == (0, 1)
    assert shard_of(target, id_key(3), 5) == 2
    with pytest.raises(BadInput, match="Shard key not specified"):
        group_of(target)
    with pytest.raises(BadInput, match='Shard key "us" not found'):
        group_of(target, "us")
    with pytest.raises(BadInput, match="Shard key 6 not found"):
        group_of(target, 6)


def test_a_shard_key_does_not_fit_automatic_sharding() -> None:
    with pytest.raises(BadInput):
        group_of(collection(PlacedShard(0, (1,))), "eu")


def test_shards_are_dealt_to_peers_in_turn_and_replicas_are_capped() -> None:
    placed = deal_shards(count=4, replication_factor=2, peers=[1, 2, 3])
    assert [shard.id for shard in placed] == [0, 1, 2, 3]
    assert all(len(set(shard.peers)) == 2 for shard in placed)
    load = Counter(peer for shard in placed for peer in shard.peers)
    assert max(load.values()) - min(load.values()) <= 1
    assert deal_shards(count=1, replication_factor=3, peers=[5]) == (PlacedShard(0, (5,)),)
