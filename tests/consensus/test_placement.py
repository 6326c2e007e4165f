"""Where replicas go: zones first, then balance; always the same for the same arguments."""

from __future__ import annotations

from collections import Counter

from consensus.commands import DrainPeer, EvictReplica, RegisterPeer
from consensus.placement import Load, deal_shards, eligible_peers, place_shards
from consensus.state import ClusterState, Peer, founding_state
from tests.consensus.material import DEAD, cluster, do, ref, shard


def zoned(*zones: str) -> ClusterState:
    state = founding_state(Peer(1))
    peers = (RegisterPeer(number, f"http://{number}", zone) for number, zone in enumerate(zones, 1))
    return do(state, *peers)


def test_dealing_goes_round_and_caps_the_copies() -> None:
    placed = deal_shards(count=3, replication_factor=5, peers=[4, 9], first_id=2)
    assert [(one.id, one.peers) for one in placed] == [(2, (4, 9)), (3, (4, 9)), (4, (4, 9))]


def test_replicas_of_a_shard_are_in_as_many_zones_as_there_are() -> None:
    state = zoned("a", "a", "b", "b", "c")
    for placed in place_shards(state, count=8, replication_factor=3):
        assert {state.peers[peer].zone for peer in placed.peers} == {"a", "b", "c"}
    for placed in place_shards(state, count=8, replication_factor=4):
        zones = Counter(state.peers[peer].zone for peer in placed.peers)
        assert len(set(placed.peers)) == 4
        assert max(zones.values()) == 2


def test_replicas_and_primaries_are_balanced() -> None:
    state = zoned("", "", "", "")
    placed = place_shards(state, count=6, replication_factor=2)
    assert set(Counter(peer for one in placed for peer in one.peers).values()) == {3}
    assert max(Counter(one.peers[0] for one in placed).values()) == 2


def test_there_are_never_more_replicas_than_peers() -> None:
    placed = place_shards(zoned("", ""), count=1, replication_factor=5)
    assert sorted(placed[0].peers) == [1, 2]


def test_the_callers_order_decides_between_equals() -> None:
    state = zoned("", "", "")
    assert place_shards(state, count=1, replication_factor=1, peers=[3, 1, 2])[0].peers == (3,)
    again = [place_shards(state, count=4, replication_factor=2) for _ in range(2)]
    assert again[0] == again[1]


def test_loaded_and_draining_peers_come_last() -> None:
    state = cluster((1,), (2,), peers=3)
    assert place_shards(state, count=1, replication_factor=1)[0].peers == (3,)
    drained = do(state, DrainPeer(3))
    assert eligible_peers(drained) == [1, 2]
    assert eligible_peers(do(drained, DrainPeer(1), DrainPeer(2))) == [1, 2, 3]


def test_listeners_are_used_last_and_lead_only_alone() -> None:
    state = do(zoned("a", "a", "b"), RegisterPeer(3, "http://3", "b", node_type="Listener"))
    assert sorted(place_shards(state, count=1, replication_factor=2)[0].peers) == [1, 2]
    placed = place_shards(state, count=4, replication_factor=3)
    assert all(one.peers[0] != 3 for one in placed)
    assert place_shards(state, count=1, replication_factor=1, peers=[3])[0].peers == (3,)


def test_one_too_many_is_a_dead_one_or_one_of_a_crowded_zone() -> None:
    state = cluster((1, 2, 3), peers=3)
    for peer, zone in ((1, "a"), (2, "a"), (3, "b")):
        state = do(state, RegisterPeer(peer, f"http://{peer}:6335", zone))
    assert Load(state).one_too_many(shard(state), [2, 3]) == 2
    state = do(state, EvictReplica(ref(state), 3, 0))
    assert shard(state).replicas[3] is DEAD
    assert Load(state).one_too_many(shard(state), [2, 3]) == 3
