"""Shards whose points come from a snapshot."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import (
    AddCollection,
    ChangeAliases,
    EvictReplica,
    PlacedShard,
    RegisterPeer,
    RestoreShards,
    Restoring,
)
from consensus.events import CollectionAdded, CollectionDropped, Outdated
from consensus.state import ClusterState
from protos.collections import CollectionConfig, CollectionParams, CreateAlias
from tests.consensus.material import ACTIVE, DEAD, DENSE, cluster, do, ref, refusal, shard, start, step


def restore(state: ClusterState, peer: int, *shards: int, trim: bool = False) -> RestoreShards:
    terms = {one: shard(state, one).term for one in shards or (0,)}
    files = {one: f"files-{one}" for one in terms}
    return RestoreShards("c", "u", terms, Restoring(peer, state.peers[peer].incarnation, files), trim)


def test_all_shards_change_in_one_step_and_the_peer_leads_them() -> None:
    state = cluster((1, 2), (2, 1))
    after = do(state, restore(state, 1, 0, 1))
    for one in (0, 1):
        found = shard(after, one)
        assert (found.primary, found.replicas) == (1, {1: ACTIVE, 2: DEAD})
        assert found.term == shard(state, one).term + 1
        assert found.restored == {1: f"files-{one}"}


def test_a_peer_that_held_nothing_or_was_dead_does_afterwards() -> None:
    state = do(cluster((1, 2)), EvictReplica(ref(cluster((1, 2))), 2, 0))
    for peer in (2, 3):
        after = shard(do(state, restore(state, peer)))
        assert after.primary == peer
        assert [one for one, how in after.replicas.items() if how is ACTIVE] == [peer]


def test_replicas_in_excess_go_if_that_is_asked_for() -> None:
    state = cluster((1, 2, 3), factor=2)
    assert shard(do(state, restore(state, 3))).replicas == {1: DEAD, 2: DEAD, 3: ACTIVE}
    assert shard(do(state, restore(state, 3, trim=True))).replicas == {1: DEAD, 3: ACTIVE}


def test_transfers_of_the_shard_end() -> None:
    state = cluster((1,))
    state = do(state, start(state, 1, 2))
    after = do(state, restore(state, 1))
    assert after.collections["c"].transfers == ()
    assert shard(after).replicas == {1: ACTIVE, 2: DEAD}


def test_what_is_of_an_earlier_process_term_or_collection_is_outdated() -> None:
    state = cluster((1, 2))
    command = restore(state, 1)
    again = do(state, RegisterPeer(1, "http://1:6335", incarnation=1))
    assert isinstance(refusal(again, command), Outdated)
    assert isinstance(refusal(do(state, restore(state, 2)), command), Outdated)
    assert isinstance(refusal(state, replace(command, uuid="x")), Outdated)


def test_a_new_life_of_the_replica_forgets_the_files() -> None:
    state = cluster((1, 2))
    state = do(state, restore(state, 1))
    state = do(state, restore(state, 2))
    assert shard(state).restored == {2: "files-0"}


def test_a_collection_is_created_with_its_points() -> None:
    state = cluster((1,))
    config = CollectionConfig(CollectionParams({"": DENSE}, 2))
    placed = (PlacedShard(3, (2, 1)), PlacedShard(5, (1,)))
    restoring = Restoring(2, 0, {3: "files"})
    state = do(state, AddCollection("d", "v", config, placed, 0, restoring=restoring))
    made = state.collections["d"]
    assert (made.shards[3].replicas, made.shards[3].restored) == ({2: ACTIVE, 1: DEAD}, {2: "files"})
    assert made.shards[5].replicas == {1: ACTIVE}


def test_groups_that_name_other_shards_are_refused() -> None:
    state = cluster((1,))
    config = CollectionConfig(CollectionParams({"": DENSE}, 1))
    groups = state.collections["c"].groups
    command = AddCollection("d", "v", config, (PlacedShard(7, (1,)),), 0, groups=groups)
    assert "Its groups name shards [0]" in str(refusal(state, command))


def test_a_collection_takes_the_place_of_its_namesake_in_one_step() -> None:
    """Its aliases stay; only the namesake that was meant goes."""
    state = do(cluster((1,)), ChangeAliases((CreateAlias("c", "alias"),)))
    config = CollectionConfig(CollectionParams({"": DENSE}, 1))
    placed = (PlacedShard(0, (2,)),)
    command = AddCollection("c", "v", config, placed, 0, max_collections=1, replaces="u")
    after, events = step(state, command)
    assert [type(event) for event in events] == [CollectionDropped, CollectionAdded]
    assert (after.collections["c"].uuid, after.aliases) == ("v", {"alias": "c"})
    assert "already exists" in str(refusal(after, command))
    fresh = AddCollection("d", "w", config, placed, 0, replaces="u")
    assert do(state, fresh).collections.keys() == {"c", "d"}
