"""Whom a router follows, and when it leaves."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from consensus.state import Peer
from node.following.course import (
    BEHIND_S,
    LEADERLESS_S,
    Candidate,
    Watched,
    candidates,
    next_to_follow,
    pause_s,
    watched,
    why_leave,
)
from node.peer.feed_wire import Told

A, B, C = "http://a:1/", "http://b:1/", "http://c:1/"


def told(*, leader: int | None = 1, index: int = 10, stopped: bool = False) -> Told:
    return Told(index, 1, index, leader, (1, 2, 3), has_quorum=leader is not None, stopped=stopped)


def test_peers_of_the_state_are_known_and_the_other_addresses_are_tried_too() -> None:
    found = candidates([Peer(1, A), Peer(2, "")], [A, B, B])
    assert found == [Candidate(A, 1), Candidate(B)]


def test_routers_spread_over_the_peers() -> None:
    among = [Candidate(A, 1), Candidate(B, 2), Candidate(C, 3)]
    chosen = Counter(next_to_follow(among, {}, random.Random(seed)) for seed in range(300))
    assert set(chosen) == set(among)
    assert min(chosen.values()) > 60


def test_who_failed_is_asked_again_after_all_others() -> None:
    among = [Candidate(A, 1), Candidate(B, 2), Candidate(C)]
    rng = random.Random(1)
    failed: dict[str, float] = {B: 1.0}
    asked = []
    for now in range(2, 6):
        chosen = next_to_follow(among, failed, rng)
        assert chosen is not None
        asked.append(chosen.uri)
        failed[chosen.uri] = float(now)
    assert asked == [A, C, B, A], "peers that the state names come first"


def test_nobody_is_followed_where_nobody_is() -> None:
    assert next_to_follow([], {}, random.Random(1)) is None


@pytest.mark.parametrize(
    ("wrong", "patience_s", "reason"),
    [
        (told(leader=None), LEADERLESS_S, "leader"),
        (told(index=3), BEHIND_S, "knows less"),
    ],
)
def test_a_peer_is_left_when_it_has_been_cut_off_or_behind_for_too_long(
    wrong: Told, patience_s: float, reason: str
) -> None:
    seen = watched(Watched(), wrong, index=9, now_s=100.0)
    seen = watched(seen, wrong, index=9, now_s=100.0 + patience_s)
    assert why_leave(seen, 100.0 + patience_s) is None
    assert reason in (why_leave(seen, 100.1 + patience_s) or "")
    better = watched(seen, told(), index=9, now_s=101.0 + patience_s)
    assert why_leave(better, 1000.0) is None


def test_a_peer_that_is_no_member_any_more_is_left_at_once() -> None:
    assert why_leave(watched(Watched(), told(stopped=True), index=9, now_s=1.0), 1.0)


def test_the_next_peer_is_tried_at_once_and_all_of_them_less_and_less_often() -> None:
    pauses = [pause_s(misses) for misses in range(5)]
    assert pauses[0] <= 0.1
    assert pauses == sorted(pauses)
    assert pause_s(10**6) == 1.0
