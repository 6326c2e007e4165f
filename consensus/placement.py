"""Which peers hold which shards. Pure: where two are as good, the order of ``peers`` decides.

A shard's replicas go to peers that are no listeners as long as there are any, of these to as many zones as
there are, then to those that hold least; a peer without a zone is a zone of its own. At most one replica of a
shard per peer, so there are never more replicas than peers (reference 14.8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from consensus.commands import PlacedShard
from consensus.replica_sets import replica_counts, wanted_replicas
from consensus.state import ClusterState, CollectionState, Peer, ReplicaState, ShardKey, ShardState


def deal_shards(
    *,
    count: int,
    replication_factor: int,
    peers: Sequence[int],
    first_id: int = 0,
    key: ShardKey | None = None,
) -> tuple[PlacedShard, ...]:
    """Deal ``count`` shards' replicas over ``peers`` in turn, at most one of a shard per peer.

    ``peers`` is not empty; a factor above their number is capped to it (reference 14.8).
    """
    assert peers
    copies = min(replication_factor, len(peers))
    placed = []
    for index in range(count):
        holders = tuple(peers[(index * copies + copy) % len(peers)] for copy in range(copies))
        placed.append(PlacedShard(first_id + index, holders, key))
    return tuple(placed)


def place_shards(
    state: ClusterState,
    *,
    count: int,
    replication_factor: int,
    peers: Sequence[int] | None = None,
    collection: CollectionState | None = None,
    first_id: int = 0,
    key: ShardKey | None = None,
) -> tuple[PlacedShard, ...]:
    """Spread new shards' replicas, and their primaries, over the cluster.

    Args:
        peers: the peers to use, best first among equals; None: all that are not draining, by id.
        collection: what it holds already is counted before what the whole cluster holds.
    """
    order = eligible_peers(state) if peers is None else peers
    load = Load(state, collection)
    placed = []
    for index in range(count):
        holders = load.spread(order, min(replication_factor, len(order)))
        placed.append(PlacedShard(first_id + index, holders, key))
    return tuple(placed)


def place_new_shard(
    state: ClusterState, collection: CollectionState, *, like: int, first: int | None = None
) -> tuple[int, ...]:
    """The holders of one more shard, as many as the shard ``like`` is to have, its primary first: ``first``,
    if that is given."""
    order = eligible_peers(state)
    copies = min(wanted_replicas(collection, collection.shards[like]), len(order))
    load = Load(state, collection)
    if first is None:
        return load.spread(order, copies)
    holders = [first]
    while len(holders) < copies and (peer := load.next_holder(order, holders)) is not None:
        holders.append(peer)
    return tuple(holders)


def eligible_peers(state: ClusterState) -> list[int]:
    """The peers that may get replicas, by id; all of them if all are draining."""
    staying = sorted(peer.id for peer in state.peers.values() if not peer.draining)
    return staying or sorted(state.peers)


class Load:
    """What each peer holds, counting what is being placed."""

    def __init__(self, state: ClusterState, collection: CollectionState | None = None) -> None:
        self._peers = state.peers
        self._all = Counter(replica_counts(state))
        shards = [] if collection is None else collection.shards.values()
        self._held = Counter(peer for shard in shards for peer in shard.replicas)
        self._primaries = Counter(shard.primary for shard in shards)

    def spread(self, order: Sequence[int], copies: int) -> tuple[int, ...]:
        """Choose the holders of a new shard, its primary first, and count them."""
        holders: list[int] = []
        for _ in range(copies):
            peer = self.next_holder(order, holders)
            assert peer is not None
            holders.append(peer)
        primary = min(holders, key=lambda peer: (self._listens(peer), self._primaries[peer]))
        self._primaries[primary] += 1
        holders.sort(key=lambda peer: peer != primary)
        return tuple(holders)

    def next_holder(self, order: Sequence[int], holders: Sequence[int]) -> int | None:
        """The best peer for one more replica of a shard that ``holders`` hold, counted; None: no other."""
        zones = Counter(zone_of(self._peers[holder]) for holder in holders)
        best = min(
            (peer for peer in order if peer not in holders),
            key=lambda peer: (
                self._listens(peer),
                zones[zone_of(self._peers[peer])],
                self._held[peer],
                self._all[peer],
            ),
            default=None,
        )
        if best is not None:
            self._held[best] += 1
            self._all[best] += 1
        return best

    def one_too_many(self, shard: ShardState, candidates: Sequence[int]) -> int:
        """The replica that is missed least: a useless one, of a crowded zone, on a loaded peer."""
        zones = Counter(zone_of(self._peers[peer]) for peer in shard.replicas)
        return max(
            candidates,
            key=lambda peer: (
                shard.replicas[peer] is ReplicaState.DEAD,
                zones[zone_of(self._peers[peer])],
                peer != shard.primary,
                self._held[peer],
                self._all[peer],
                -peer,
            ),
        )

    def _listens(self, peer: int) -> bool:
        return self._peers[peer].node_type == "Listener"


def zone_of(peer: Peer) -> str | int:
    return peer.zone or peer.id
