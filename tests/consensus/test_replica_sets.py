"""Commands about replica sets: who stays in sync, who leads, and what is refused."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus import replica_sets
from consensus.commands import (
    AddReplica,
    ChangeCollection,
    Command,
    DropReplica,
    EvictReplica,
    ListenReplica,
    PromotePrimary,
    RegisterPeer,
    ReplicaReady,
    ShardRef,
)
from consensus.events import Outdated, ReplicaSetChanged
from consensus.state import ReplicaState, ShardState
from protos.collections import CollectionParamsDiff, UpdateCollection
from protos.errors import BadRequest, NotFound
from tests.consensus.material import ACTIVE, DEAD, PARTIAL, cluster, do, ref, refusal, shard, start, step

SYNCED = {ReplicaState.ACTIVE, ReplicaState.ACTIVE_READ, ReplicaState.RESHARDING_SCALE_DOWN}
SILENT = {ReplicaState.DEAD, ReplicaState.MANUAL_RECOVERY, ReplicaState.PARTIAL_SNAPSHOT}


def test_every_state_is_in_sync_logging_and_readable_as_documented() -> None:
    every = ShardState(0, dict(enumerate(ReplicaState)), primary=0)
    states = list(ReplicaState)
    assert {states[peer] for peer in replica_sets.in_sync(every)} == SYNCED
    assert {states[peer] for peer in replica_sets.readable(every)} == SYNCED
    assert {states[peer] for peer in replica_sets.logging(every)} == set(ReplicaState) - SILENT


def test_who_serves_and_who_holds_what() -> None:
    state = cluster((1, 2), (2, 3))
    state = do(state, EvictReplica(ref(state), 2, 0))
    assert replica_sets.readable_peers(state.collections["c"], (0, 1)) == {0: (1,), 1: (2, 3)}
    assert replica_sets.shards_on(state, 2) == [("c", 0), ("c", 1)]
    assert replica_sets.replica_counts(state) == {1: 1, 2: 2, 3: 1, 4: 0}
    assert replica_sets.primary_counts(state) == {1: 1, 2: 1, 3: 0, 4: 0}


def test_an_evicted_replica_is_dead_and_begins_a_new_epoch() -> None:
    before = cluster((1, 2))
    state, events = step(before, EvictReplica(ref(before), 2, 0))
    assert events == (ReplicaSetChanged("c", 0),)
    assert shard(state).replicas == {1: ACTIVE, 2: DEAD}
    assert (shard(state).epoch_of(2), shard(state).term) == (1, 1)
    assert step(state, EvictReplica(ref(state), 2, 1)) == (state, ())
    assert isinstance(refusal(state, EvictReplica(ref(state), 2, 0)), Outdated)


def test_the_last_replica_in_sync_and_the_primary_are_not_evicted() -> None:
    state = cluster((1, 2))
    error = refusal(state, EvictReplica(ref(state), 1, 0))
    assert "Peer 1 is the primary of shard 0" in str(error)
    state = do(state, EvictReplica(ref(state), 2, 0))
    text = "Bad request: Shard 0 must have at least one active replica after removing 1"
    for command in (EvictReplica(ref(state), 1, 0), DropReplica(ref(state), 1, 0)):
        assert str(refusal(state, command)) == text


def test_promotion_begins_a_term_and_a_lost_primary_dies_with_it() -> None:
    before = cluster((1, 2, 3))
    handed = do(before, PromotePrimary(ref(before), 2))
    assert (shard(handed).primary, shard(handed).term) == (2, 2)
    assert set(shard(handed).replicas.values()) == {ACTIVE}
    lost = do(before, PromotePrimary(ref(before), 2, lost=True))
    assert (shard(lost).primary, shard(lost).term) == (2, 2)
    assert shard(lost).replicas == {1: DEAD, 2: ACTIVE, 3: ACTIVE}
    again = do(lost, PromotePrimary(ref(lost), 2))
    assert (shard(again).primary, shard(again).term, shard(again).replicas) == (2, 3, shard(lost).replicas)
    assert isinstance(refusal(lost, PromotePrimary(ref(lost), 2, lost=True)), BadRequest)


def test_only_a_replica_in_sync_is_promoted() -> None:
    state = cluster((1, 2))
    state = do(state, EvictReplica(ref(state), 2, 0))
    for peer in (2, 3, 99):
        error = refusal(state, PromotePrimary(ref(state), peer, lost=True))
        assert str(error) == f"Bad request: Shard 0 is not active on peer {peer}"


def test_every_command_of_an_earlier_term_or_collection_is_outdated() -> None:
    state = cluster((1, 2, 3))
    old = ref(state)
    state = do(state, PromotePrimary(old, 2))
    other = replace(ref(state), uuid="an earlier one")
    for seen in (old, other):
        for command in commands_about(seen):
            assert isinstance(refusal(state, command), Outdated), command
    missing = replace(ref(state), collection="x")
    assert all(isinstance(refusal(state, command), NotFound) for command in commands_about(missing))
    gone = replace(ref(state), shard_id=7)
    for command in commands_about(gone):
        assert str(refusal(state, command)) == "Bad request: Shard 7 of c does not exist"


def commands_about(seen: ShardRef) -> list[Command]:
    return [
        EvictReplica(seen, 3, 0),
        PromotePrimary(seen, 3),
        AddReplica(seen, 4),
        ReplicaReady(seen, 3, 0),
        ListenReplica(seen, 3, 0),
        DropReplica(seen, 3, 0),
    ]


def test_an_added_replica_logs_until_it_is_ready() -> None:
    state = cluster((1,))
    state = do(state, AddReplica(ref(state), 2))
    assert shard(state).replicas[2] is ReplicaState.INITIALIZING
    assert replica_sets.logging(shard(state)) == (1, 2)
    assert replica_sets.in_sync(shard(state)) == (1,)
    assert isinstance(refusal(state, ReplicaReady(ref(state), 2, 0)), Outdated)
    state = do(state, ReplicaReady(ref(state), 2, 1))
    assert shard(state).replicas[2] is ACTIVE
    assert step(state, ReplicaReady(ref(state), 2, 1)) == (state, ())


def test_what_cannot_be_added_or_ready_is_refused() -> None:
    state = cluster((1, 2))
    state = do(state, EvictReplica(ref(state), 2, 0))
    texts = {
        AddReplica(ref(state), 1): "Peer 1 already has a replica of shard 0",
        AddReplica(ref(state), 9): "Peer 9 does not exist",
        AddReplica(ref(state), 3, ACTIVE): "A new replica cannot be Active",
        ReplicaReady(ref(state), 2, 1): "The replica of shard 0 on peer 2 is Dead",
        ReplicaReady(ref(state), 3, 0): "Peer 3 has no replica of shard 0",
    }
    for command, text in texts.items():
        assert str(refusal(state, command)) == f"Bad request: {text}"


def test_a_replica_that_a_transfer_fills_is_not_ready_by_itself() -> None:
    state = cluster((1,))
    state = do(state, start(state, 1, 2))
    error = refusal(state, ReplicaReady(ref(state), 2, 1))
    assert str(error) == "Bad request: Shard 0 is already involved in transfer 1 -> 2"


def test_a_dropped_primary_is_followed_by_the_peer_that_leads_least() -> None:
    state = cluster((1, 2, 3), (2,))
    state = do(state, DropReplica(ref(state), 1, 0))
    assert (shard(state).primary, shard(state).term) == (3, 2)
    assert set(shard(state).replicas) == {2, 3}
    error = refusal(state, DropReplica(ref(state), 1, 0))
    assert str(error) == "Bad request: Peer 1 has no replica of shard 0"


def test_a_late_drop_does_not_hit_a_replica_made_since() -> None:
    state = cluster((1, 2))
    late = DropReplica(ref(state), 2, 0)
    state = do(state, late)
    state = do(state, AddReplica(ref(state), 2, PARTIAL))
    assert isinstance(refusal(state, late), Outdated)


def test_what_a_user_drops_stays_dropped_until_the_factor_is_set() -> None:
    state = cluster((1, 2), factor=2)
    state = do(state, DropReplica(ref(state), 2, 0, by_user=True))
    collection = state.collections["c"]
    assert replica_sets.wanted_replicas(collection, shard(state)) == 1
    same = UpdateCollection(params=CollectionParamsDiff(replication_factor=2))
    state = do(state, ChangeCollection("c", same))
    collection = state.collections["c"]
    assert replica_sets.wanted_replicas(collection, shard(state)) == 2
    assert collection.config_version == 1
    state = do(state, ChangeCollection("c", UpdateCollection(params=CollectionParamsDiff(3))))
    assert replica_sets.wanted_replicas(state.collections["c"], shard(state)) == 3


def test_a_replica_on_a_listener_node_leaves_the_ones_in_sync() -> None:
    state = cluster((1, 2))
    assert isinstance(refusal(state, ListenReplica(ref(state), 2, 0)), Outdated)
    state = do(state, RegisterPeer(2, "http://2:6335", node_type="Listener"))
    state = do(state, ListenReplica(ref(state), 2, 0))
    assert shard(state).replicas == {1: ACTIVE, 2: ReplicaState.LISTENER}
    assert isinstance(refusal(state, ListenReplica(ref(state), 2, 1)), BadRequest)


@pytest.mark.parametrize("holders", [(2,), (2, 1)])
def test_the_last_active_replica_and_a_primary_do_not_become_listeners(holders: tuple[int, ...]) -> None:
    state = cluster(holders)
    state = do(state, RegisterPeer(2, "http://2:6335", node_type="Listener"))
    assert isinstance(refusal(state, ListenReplica(ref(state), 2, 0)), BadRequest)


def test_replicas_made_on_a_listener_node_listen_from_the_start() -> None:
    state = do(cluster((1,)), RegisterPeer(2, "http://2:6335", node_type="Listener"))
    state = do(state, AddReplica(ref(state), 2))
    state = do(state, ReplicaReady(ref(state), 2, 1))
    assert shard(state).replicas[2] is ReplicaState.LISTENER
