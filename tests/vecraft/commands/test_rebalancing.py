"""Plans of moves: they help, they end, they keep copies apart."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from vecraft.commands.cluster.rebalancing import Move, Placed, Seat, plan

PEERS = range(1, 6)


@st.composite
def boards(draw: st.DrawFn) -> tuple[list[Seat], list[Placed]]:
    zones = draw(st.lists(st.sampled_from(["", "a", "b"]), min_size=len(PEERS), max_size=len(PEERS)))
    seated = draw(st.sets(st.sampled_from(PEERS)))
    seats = [Seat(peer, zone) for peer, zone in zip(PEERS, zones) if peer in seated]
    shards = []
    for number in range(draw(st.integers(0, 8))):
        holders = draw(st.frozensets(st.sampled_from(PEERS), min_size=1, max_size=3))
        movable = draw(st.frozensets(st.sampled_from(sorted(holders))))
        name = draw(st.sampled_from("cd"))
        shards.append(Placed(name, number, holders, movable, points=draw(st.integers(0, 3))))
    return seats, shards


def carried_out(shards: list[Placed], moves: list[Move]) -> list[Placed]:
    """Checks on the way that each move can be done."""
    held = {(each.collection, each.shard): each for each in shards}
    for move in moves:
        placed = held[move.collection, move.shard]
        assert move.source in placed.movable
        assert move.target not in placed.holders
        held[move.collection, move.shard] = Placed(
            placed.collection,
            placed.shard,
            placed.holders - {move.source} | {move.target},
            placed.movable - {move.source} | {move.target},
            placed.points,
        )
    return list(held.values())


def unevenness(shards: list[Placed]) -> tuple[int, int]:
    each = Counter((placed.collection, peer) for placed in shards for peer in placed.holders)
    whole = Counter(peer for placed in shards for peer in placed.holders)
    return sum(count**2 for count in each.values()), sum(count**2 for count in whole.values())


@given(boards())
def test_every_move_makes_the_cluster_more_even_and_afterwards_none_does(
    board: tuple[list[Seat], list[Placed]],
) -> None:
    seats, shards = board
    moves = plan(seats, shards)
    before = unevenness(shards)
    for count in range(1, len(moves) + 1):
        after = unevenness(carried_out(shards, moves[:count]))
        assert after < before
        before = after
    assert {move.target for move in moves} <= {seat.peer for seat in seats}
    assert plan(seats, carried_out(shards, moves)) == []


@given(boards())
def test_copies_never_come_closer_together(board: tuple[list[Seat], list[Placed]]) -> None:
    seats, shards = board
    zones = {seat.peer: seat.zone or seat.peer for seat in seats}

    def spread(placed: Placed) -> int:
        return len({zones.get(peer, peer) for peer in placed.holders})

    after = {(each.collection, each.shard): each for each in carried_out(shards, plan(seats, shards))}
    for placed in shards:
        moved = after[placed.collection, placed.shard]
        assert len(moved.holders) == len(placed.holders)
        assert spread(moved) >= spread(placed)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12))
def test_single_copies_without_zones_end_up_even(holders: list[int]) -> None:
    shards = [
        Placed("c", number, frozenset({peer}), frozenset({peer})) for number, peer in enumerate(holders)
    ]
    after = carried_out(shards, plan([Seat(peer) for peer in range(1, 5)], shards))
    counts = Counter(dict.fromkeys(range(1, 5), 0))
    counts.update(peer for placed in after for peer in placed.holders)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_smallest_of_equal_shards_is_moved() -> None:
    shards = [
        Placed("c", 0, frozenset({1}), frozenset({1}), points=9),
        Placed("c", 1, frozenset({1}), frozenset({1}), points=5),
    ]
    assert plan([Seat(1), Seat(2)], shards) == [Move("c", 1, 1, 2)]
