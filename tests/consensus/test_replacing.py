"""Taking a lost peer out: everything that can go without loss goes, or nothing does."""

from __future__ import annotations

from consensus.commands import EvictReplica
from consensus.replacing import replacement
from consensus.state import ClusterState, ReplicaState
from tests.consensus.material import cluster, do, ref, refusal, shard, start


def without(state: ClusterState, peer_id: int) -> ClusterState:
    for commands in replacement(state, peer_id).commands:
        state = do(state, *commands)
    return state


def test_replicas_that_others_have_go_and_then_the_peer() -> None:
    before = cluster((1, 2), (2, 1), (2, 3), peers=3, factor=2)
    after = without(before, 1)
    assert sorted(after.peers) == [2, 3]
    assert [shard(after, number).primary for number in range(3)] == [2, 2, 2]
    assert (shard(after).term, shard(after).wanted) == (2, None)  # as many replicas are wanted as before


def test_one_shard_without_another_complete_replica_keeps_all_of_them() -> None:
    state = cluster((1, 2), (1, 2), peers=3, factor=2)
    state = do(state, EvictReplica(ref(state, 1), 2, 0))
    found = replacement(state, 1)
    assert (found.commands, found.last) == ((), (("c", 1),))


def test_a_shard_that_loses_its_other_replica_meanwhile_keeps_the_last() -> None:
    state = cluster((1, 2), peers=3, factor=2)
    drained, dropped, removed = replacement(state, 1).commands
    state = do(state, *drained, EvictReplica(ref(state), 2, 0))
    assert "at least one active replica" in str(refusal(state, dropped[0]))
    assert "there are shards on it" in str(refusal(state, removed[0]))


def test_a_replica_that_was_being_filled_goes_with_its_transfer() -> None:
    state = cluster((2,), peers=3, factor=2)
    state = do(state, start(state, 2, 1))
    assert shard(state).replicas[1] is ReplicaState.PARTIAL
    after = without(state, 1)
    assert (after.collections["c"].transfers, list(shard(after).replicas)) == ((), [2])


def test_a_peer_that_holds_nothing_just_goes() -> None:
    assert sorted(without(cluster((1,), peers=3), 3).peers) == [1, 2]
