"""Members: registering, addresses, feature levels, removal, draining."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus.commands import (
    AddReplica,
    CreateShardKey,
    DrainPeer,
    EvictReplica,
    RegisterPeer,
    RemovePeer,
    ReplicaReady,
)
from consensus.events import DataLost, Outdated, PeerChanged, PeerRemoved
from consensus.state import FEATURE_LEVEL, REMOVED_PEERS_MAX, Peer, ReplicaState, founding_state
from protos.errors import BadRequest
from tests.consensus.material import ACTIVE, DEAD, PARTIAL, cluster, do, ref, refusal, shard, start, step


def test_a_peer_registers_and_later_brings_a_new_address() -> None:
    first = RegisterPeer(2, "http://a:6335", "zone", "1.0", incarnation=1)
    state, events = step(founding_state(Peer(1)), first)
    assert events == (PeerChanged(2),)
    assert state.peers[2] == Peer(2, "http://a:6335", "zone", "1.0", 1, feature_level=FEATURE_LEVEL)
    assert step(state, first) == (state, ())
    moved = replace(first, uri="http://b:6335", incarnation=2)
    state = do(state, moved)
    assert state.peers[2].uri == "http://b:6335"
    assert isinstance(refusal(state, first), Outdated)


def test_an_address_belongs_to_one_peer() -> None:
    state = do(founding_state(Peer(1)), RegisterPeer(2, "http://a:6335"))
    error = refusal(state, RegisterPeer(3, "http://a:6335"))
    assert str(error) == "Bad request: URI http://a:6335 already belongs to peer 2"


def test_the_feature_level_is_the_least_of_the_peers_and_never_falls() -> None:
    newer = FEATURE_LEVEL + 1
    state = do(founding_state(Peer(1)), RegisterPeer(2, "b", feature_level=newer))
    assert state.feature_level == FEATURE_LEVEL
    state = do(state, RegisterPeer(1, "a", feature_level=newer))
    assert state.feature_level == newer
    assert isinstance(refusal(state, RegisterPeer(3, "c")), BadRequest)


def test_a_peer_with_shards_is_removed_only_by_force() -> None:
    state = cluster((1, 2))
    error = refusal(state, RemovePeer(2))
    assert str(error) == "Bad request: Cannot remove peer 2 as there are shards on it"
    state, events = step(state, RemovePeer(2, force=True))
    assert PeerRemoved(2) in events
    assert shard(state).replicas == {1: ACTIVE}
    assert 2 not in state.peers
    assert str(refusal(state, RemovePeer(2))) == "Bad request: Peer 2 does not exist"
    assert 3 not in do(state, RemovePeer(3)).peers


def test_a_removed_peer_does_not_come_back_by_a_late_registration() -> None:
    state = do(cluster((1,)), RegisterPeer(4, "http://4:6335", incarnation=3), RemovePeer(4))
    assert isinstance(refusal(state, RegisterPeer(4, "http://4:6335", incarnation=3)), Outdated)
    state = do(state, RegisterPeer(4, "http://4:6335", incarnation=4))
    assert state.removed_peers == {}


def test_only_so_many_removed_peers_are_remembered() -> None:
    state = founding_state(Peer(1))
    for peer_id in range(2, REMOVED_PEERS_MAX + 4):
        state = do(state, RegisterPeer(peer_id, str(peer_id)), RemovePeer(peer_id))
    assert list(state.removed_peers) == list(range(4, REMOVED_PEERS_MAX + 4))


def test_the_last_peer_stays() -> None:
    assert isinstance(refusal(founding_state(Peer(1)), RemovePeer(1, force=True)), BadRequest)


def test_a_removed_primary_is_followed_by_a_replica_in_sync() -> None:
    state = cluster((1, 2, 3))
    state = do(state, EvictReplica(ref(state), 2, 0))
    state, events = step(state, RemovePeer(1, force=True))
    assert (shard(state).primary, shard(state).term) == (3, 2)
    assert not [event for event in events if isinstance(event, DataLost)]


def test_without_a_replica_in_sync_the_best_of_the_rest_serves_and_the_loss_is_told() -> None:
    state = cluster((1, 2, 3))
    state = do(state, EvictReplica(ref(state), 2, 0), EvictReplica(ref(state), 3, 0))
    state = do(state, start(state, 1, 2))
    state, events = step(state, RemovePeer(1, force=True))
    assert DataLost("c", 0) in events
    assert shard(state).replicas == {2: ACTIVE, 3: DEAD}
    assert (shard(state).primary, shard(state).term) == (2, 2)


def test_what_a_move_had_brought_over_is_kept_when_its_source_is_removed() -> None:
    state = cluster((1,))
    state = do(state, start(state, 1, 3, sync=False))
    state = do(state, RemovePeer(1, force=True))
    assert shard(state).replicas == {3: ACTIVE}


def test_a_shard_of_which_nothing_is_left_begins_empty_on_the_least_loaded_peer() -> None:
    state = cluster((1,), (2,), (3,), peers=4)
    state, events = step(state, RemovePeer(1, force=True))
    assert DataLost("c", 0) in events
    assert shard(state).replicas == {4: ACTIVE}


def test_a_shard_that_is_being_filled_goes_on_elsewhere() -> None:
    state = cluster(custom=True, peers=3)
    state = do(state, CreateShardKey("c", "k", ((1,),), initial_state=PARTIAL))
    state, events = step(state, RemovePeer(1, force=True))
    assert shard(state).replicas == {2: PARTIAL}
    assert not [event for event in events if isinstance(event, DataLost)]
    state = do(state, ReplicaReady(ref(state), 2, shard(state).epoch_of(2)))
    assert shard(state).replicas == {2: ACTIVE}


def test_a_restarted_primary_voids_what_it_vouched_for() -> None:
    state = cluster((1,))
    state = do(state, AddReplica(ref(state), 2))
    late = ReplicaReady(ref(state), 2, 1)
    state = do(state, RegisterPeer(1, "http://1:6335", incarnation=1))
    assert isinstance(refusal(state, late), Outdated)
    assert shard(state).replicas[2] is ReplicaState.INITIALIZING


@pytest.mark.parametrize("draining", [True, False])
def test_draining_is_set_and_survives_a_restart(draining: bool) -> None:
    state = do(cluster((1,)), DrainPeer(2))
    state = do(state, DrainPeer(2, draining=draining), RegisterPeer(2, "http://2:6335", incarnation=1))
    assert state.peers[2].draining is draining
    assert step(state, DrainPeer(2, draining=draining)) == (state, ())
