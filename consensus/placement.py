"""Which peers hold which shards. Pure: the order of ``peers`` is the caller's choice."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.commands import PlacedShard
from consensus.state import ShardKey


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
