"""What holds in every cluster state, and between a state and the next: for tests and simulations.

The numbers are those of ``consensus.state``. Raises AssertionError, which names the place.
"""

from __future__ import annotations

import numpy as np

from consensus.buckets import unpack_buckets
from consensus.ownership import ownership_of
from consensus.replica_sets import FILLING, in_sync, is_in_sync, transfers_of
from consensus.state import ClusterState, CollectionState, ReplicaState, ReshardingStage, ShardState


def check_invariants(state: ClusterState) -> None:
    assert not state.aliases.keys() & state.collections.keys(), "I1: a name is collection and alias"
    assert set(state.aliases.values()) <= state.collections.keys(), "I1: an alias without collection"
    assert state.peers, "there is no peer"
    assert all(peer_id == peer.id for peer_id, peer in state.peers.items())
    assert not state.peers.keys() & state.removed_peers.keys()
    assert state.feature_level >= 1
    for name, collection in state.collections.items():
        assert name == collection.name
        _check_collection(state, collection)


def check_step(before: ClusterState, after: ClusterState, *, data_lost: bool = False) -> None:
    """``data_lost``: the command was a forced removal that reported ``DataLost``."""
    if before is after:
        return
    assert after.version == before.version + 1, "I4: version"
    assert after.feature_level >= before.feature_level
    for name, old in before.collections.items():
        new = after.collections.get(name)
        if new is None or new.uuid != old.uuid:
            continue
        assert new.next_shard_id >= old.next_shard_id
        assert new.buckets_step - old.buckets_step in (0, 1), "I8: steps"
        if new.buckets_step == old.buckets_step:
            for shard_id in new.shards.keys() & old.shards.keys():
                same_buckets = ownership_of(old, shard_id) == ownership_of(new, shard_id)
                assert same_buckets, "I8: a shard does something else at the same step"
        same = (old.config, old.payload_schema) == (new.config, new.payload_schema)
        assert new.config_version == old.config_version + (not same), f"I4: {name}"
        for shard_id in old.shards.keys() & new.shards.keys():
            _check_shard_step(old.shards[shard_id], new.shards[shard_id], data_lost=data_lost)


def _check_collection(state: ClusterState, collection: CollectionState) -> None:
    grouped = [shard_id for group in collection.groups for shard_id in group.shards]
    lone = _owning_nothing(collection)
    assert sorted([*grouped, *lone]) == sorted(collection.shards), "I3: groups and shards differ"
    _check_resharding(collection)
    for group in collection.groups:
        assert set(memoryview(group.buckets).cast("I")) == set(group.shards), "I3: buckets"
    for shard_id, shard in collection.shards.items():
        assert shard_id == shard.id
        _check_shard(state, shard, f"{collection.name}:{shard_id}")
    _check_transfers(collection)


def _owning_nothing(collection: CollectionState) -> list[int]:
    """The shard that a resharding makes, before it answers, or has emptied."""
    resharding = collection.resharding
    if resharding is None:
        return []
    growing = resharding.direction == "up"
    switched = resharding.stage is ReshardingStage.SWITCHED
    return [] if growing is switched else [resharding.shard_id]


def _check_resharding(collection: CollectionState) -> None:
    """I8: of what each shard does by ``consensus.ownership``."""
    resharding = collection.resharding
    for group in collection.groups:
        moving = resharding is not None and resharding.key == group.key
        ids = {*group.shards, *(_owning_nothing(collection) if moving else ())}
        owned = [ownership_of(collection, shard_id) for shard_id in ids]
        found = [one for one in owned if one is not None]
        if not found:
            continue
        answering = np.sum([unpack_buckets(one.answers) for one in found], axis=0)
        assert (answering == 1).all(), "I8: a bucket has no owner, or two"
        taking = np.sum([unpack_buckets(one.takes) for one in found], axis=0)
        assert (taking <= 1).all(), "I8: two shards take writes of a bucket"
        assert moving or (taking == 1).all(), "I8: nobody takes writes of a bucket"
        for one in found:
            assert not (unpack_buckets(one.takes) & ~unpack_buckets(one.answers)).any(), "I8: O2"
            assert not (unpack_buckets(one.receives) & unpack_buckets(one.answers)).any(), "I8: O3"
            assert one.strangers or not one.receives, "I8: copies come in that are not hidden"


def _check_shard(state: ClusterState, shard: ShardState, where: str) -> None:
    assert shard.replicas.keys() <= state.peers.keys(), f"I2: {where} is on unknown peers"
    assert shard.primary in shard.replicas, f"I2: {where} has no primary"
    if in_sync(shard):
        assert is_in_sync(shard, shard.primary), f"I5: the primary of {where} is not in sync"
    else:
        assert shard.replicas[shard.primary] in FILLING, f"I5: {where} has no replica in sync"
    assert shard.term >= 1
    assert shard.epochs.keys() <= shard.replicas.keys(), f"I7: {where} has epochs without replicas"
    epochs = list(shard.epochs.values())
    assert len(set(epochs)) == len(epochs), f"I7: {where} has an epoch twice"
    assert all(0 < epoch <= shard.last_epoch for epoch in epochs)
    unfilled = {peer for peer in shard.replicas if not is_in_sync(shard, peer)}
    assert shard.failed.keys() <= unfilled, f"{where} is in sync where a transfer failed"


def _check_transfers(collection: CollectionState) -> None:
    for transfer in collection.transfers:
        where = f"I6: {collection.name}, {transfer}"
        assert is_in_sync(collection.shards[transfer.shard_id], transfer.source), where
        shard = collection.shards[transfer.target_shard_id]
        found = shard.replicas.get(transfer.target)
        elsewhere = transfer.target_shard_id != transfer.shard_id
        assert found in FILLING or (elsewhere and is_in_sync(shard, transfer.target)), where
        assert shard.epoch_of(transfer.target) == transfer.epoch, where
        for end in ((transfer.shard_id, transfer.source), (shard.id, transfer.target)):
            assert transfers_of(collection, *end) == [transfer], where


def _check_shard_step(before: ShardState, after: ShardState, *, data_lost: bool) -> None:
    where = f"shard {after.id}"
    assert after.term - before.term in (0, 1), f"I7: the term of {where}"
    assert after.term > before.term or after.primary == before.primary, f"I7: the term of {where}"
    assert after.last_epoch >= before.last_epoch, f"I7: the epochs of {where}"
    if in_sync(before):
        assert in_sync(after), f"I5: {where} lost its last replica in sync"
    for peer, epoch in after.epochs.items():
        new = epoch > before.last_epoch
        assert new or before.epochs.get(peer) == epoch, f"I7: {where} took up an old epoch"
        joined = is_in_sync(after, peer) and not is_in_sync(before, peer)
        if joined and not data_lost and peer not in after.restored:
            assert not new, f"{where}: peer {peer} came in sync under an epoch it could not have reported"
    for peer, state in before.replicas.items():
        left = state is not ReplicaState.DEAD and after.replicas.get(peer) is ReplicaState.DEAD
        assert not left or after.epoch_of(peer) > before.epoch_of(peer), f"{where}: died in its epoch"
