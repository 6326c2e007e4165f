"""Shard keys: ids that only grow, documented refusals, what goes with a key."""

from __future__ import annotations

import pytest

from consensus.buckets import group_of
from consensus.commands import Command, CreateShardKey, DropShardKey, RegisterPeer, StartTransfer
from consensus.events import ShardKeysChanged
from consensus.replica_sets import wanted_replicas
from consensus.state import ClusterState, ReplicaState
from tests.consensus.material import ACTIVE, PARTIAL, STREAM, cluster, do, ref, refusal, shard, step


def keyed() -> ClusterState:
    return do(
        cluster(custom=True), CreateShardKey("c", "a", ((1, 2), (2, 3))), CreateShardKey("c", 7, ((3,),))
    )


def test_a_key_has_shards_of_its_own_whose_ids_go_on_over_keys() -> None:
    state = keyed()
    collection = state.collections["c"]
    assert group_of(collection, "a").shards == (0, 1)
    assert group_of(collection, 7).shards == (2,)
    assert [shard(state, number).key for number in range(3)] == ["a", "a", 7]
    assert shard(state, 1).replicas == {2: ACTIVE, 3: ACTIVE}
    assert shard(state, 1).primary == 2


def test_ids_of_a_dropped_key_do_not_come_back() -> None:
    state, events = step(keyed(), DropShardKey("c", 7))
    assert events == (ShardKeysChanged("c"),)
    state = do(state, CreateShardKey("c", 7, ((1,),)))
    assert sorted(state.collections["c"].shards) == [0, 1, 3]


def test_a_key_may_begin_partial_and_want_its_own_number_of_replicas() -> None:
    state = cluster(custom=True, factor=2)
    state = do(state, CreateShardKey("c", "k", ((1,),), initial_state=PARTIAL, wanted=1))
    assert shard(state).replicas == {1: PARTIAL}
    assert wanted_replicas(state.collections["c"], shard(state)) == 1


def test_new_replicas_on_a_listener_node_listen_unless_they_lead() -> None:
    state = do(cluster(custom=True), RegisterPeer(2, "http://2:6335", node_type="Listener"))
    state = do(state, CreateShardKey("c", "k", ((1, 2), (2, 1))))
    assert shard(state, 0).replicas == {1: ACTIVE, 2: ReplicaState.LISTENER}
    assert shard(state, 1).replicas == {2: ACTIVE, 1: ACTIVE}


def test_dropping_a_key_ends_the_transfers_out_of_it() -> None:
    state = do(keyed(), CreateShardKey("c", "new", ((1,),), initial_state=PARTIAL))
    state = do(state, StartTransfer(ref(state, 2), 3, 1, STREAM, to_shard_id=3))
    state = do(state, DropShardKey("c", 7))
    assert state.collections["c"].transfers == ()
    assert shard(state, 3).replicas == {1: PARTIAL}


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (CreateShardKey("c", "a", ((1,),)), 'Sharding key "a" already exists for collection c'),
        (CreateShardKey("c", 7, ((1,),)), "Sharding key 7 already exists for collection c"),
        (CreateShardKey("c", "x", ((9,),)), "Peer 9 does not exist"),
        (CreateShardKey("c", "x", ()), "Shard key placement must not be empty"),
        (CreateShardKey("c", "x", ((),)), "Shard key placement must not be empty"),
        (CreateShardKey("c", "x", ((1, 1),)), "Shard key placement must not name a peer twice"),
        (
            CreateShardKey("c", "x", ((1,),), ReplicaState.DEAD),
            "Initial state cannot be Dead, only Active or Partial",
        ),
        (DropShardKey("c", "x"), 'Sharding key "x" does not exist for collection c'),
    ],
)
def test_what_cannot_be_is_refused(command: Command, text: str) -> None:
    assert str(refusal(keyed(), command)) == f"Bad request: {text}"


def test_automatic_sharding_knows_no_keys() -> None:
    state = cluster((1,))
    error = refusal(state, CreateShardKey("c", "a", ((1,),)))
    assert str(error) == "Bad request: Shard Key cannot be created with Auto sharding method"
    error = refusal(state, DropShardKey("c", "a"))
    assert str(error) == "Bad request: Shard Key cannot be deleted with Auto sharding method"
