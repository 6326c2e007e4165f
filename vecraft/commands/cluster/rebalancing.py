"""Which replicas to move so that peers hold equally many. Pure.

A move is good if it brings the counts of one collection closer together, or leaves them as they are and
brings those of the whole cluster closer together: (sum over collections and peers of count², sum over peers
of count²) falls with every move, so there is an end. A move never puts two replicas of a shard on one peer,
nor into more crowded a zone. Of moves that are as good, that of the shard with the fewest points is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct


class Seat(Struct, frozen=True):
    """A peer that may hold replicas. ``zone`` "": one of its own."""

    peer: int
    zone: str = ""


class Placed(Struct, frozen=True):
    """A shard and who holds it; ``movable``: those whose replica is whole and not on the move."""

    collection: str
    shard: int
    holders: frozenset[int]
    movable: frozenset[int]
    points: int = 0


class Move(Struct, frozen=True):
    collection: str
    shard: int
    source: int
    target: int


def plan(seats: Iterable[Seat], shards: Iterable[Placed]) -> list[Move]:
    """The moves, to be done one after another."""
    return list(_Board(seats, shards).moves())


class _Board:
    def __init__(self, seats: Iterable[Seat], shards: Iterable[Placed]) -> None:
        self._zones: dict[int, str | int] = {seat.peer: seat.zone or seat.peer for seat in seats}
        self._shards = {(each.collection, each.shard): each for each in shards}
        self._held: Counter[tuple[str, int]] = Counter(
            (each.collection, peer) for each in self._shards.values() for peer in each.holders
        )
        self._all: Counter[int] = Counter(peer for each in self._shards.values() for peer in each.holders)

    def moves(self) -> Iterator[Move]:
        while (best := min(self._gains(), default=None)) is not None:
            *_, collection, shard, source, target = best
            move = Move(collection, shard, source, target)
            self._carry_out(move)
            yield move

    def _gains(self) -> Iterator[tuple[int, int, int, str, int, int, int]]:
        """Good moves, the best first in order: (change for the collection, for the cluster, points, move)."""
        for placed in self._shards.values():
            for source in placed.movable & self._zones.keys():
                for target in self._zones.keys() - placed.holders:
                    here = self._held[placed.collection, target] - self._held[placed.collection, source] + 1
                    overall = self._all[target] - self._all[source] + 1
                    if (here, overall) < (0, 0) and self._keeps_zones(placed, source, target):
                        yield here, overall, placed.points, placed.collection, placed.shard, source, target

    def _keeps_zones(self, placed: Placed, source: int, target: int) -> bool:
        others = Counter(self._zones.get(peer, peer) for peer in placed.holders - {source})
        return others[self._zones[target]] <= others[self._zones[source]]

    def _carry_out(self, move: Move) -> None:
        placed = self._shards[move.collection, move.shard]
        self._shards[move.collection, move.shard] = Placed(
            placed.collection,
            placed.shard,
            placed.holders - {move.source} | {move.target},
            placed.movable - {move.source} | {move.target},
            placed.points,
        )
        for peer, change in ((move.source, -1), (move.target, 1)):
            self._held[move.collection, peer] += change
            self._all[peer] += change
