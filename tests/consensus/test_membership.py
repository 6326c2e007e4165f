"""Who gets and loses a vote, and who is let in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.membership import LAG_MAX, Change, Stranger, next_change, why_refuse, why_refuse_router
from consensus.state import ClusterState, Peer

PEERS = st.frozensets(st.integers(1, 6), min_size=1)


def change(
    own: int, voters: set[int], peers: set[int], matched: dict[int, int] | None = None
) -> Change | None:
    known = dict.fromkeys(voters | peers, 100) if matched is None else matched
    return next_change(
        own=own, voters=frozenset(voters), peers=frozenset(peers), matched=known, last_index=100
    )


def test_a_peer_that_has_caught_up_gets_a_vote() -> None:
    assert change(1, {1}, {1, 2}, {1: 100, 2: 100 - LAG_MAX}) == Change("add", 2)
    assert change(1, {1}, {1, 2}, {1: 100, 2: 99 - LAG_MAX}) is None


def test_a_peer_that_was_never_reached_gets_no_vote_however_short_the_log_is() -> None:
    young: dict[str, Any] = {"own": 1, "voters": frozenset({1}), "peers": frozenset({1, 2}), "last_index": 3}
    assert next_change(matched={1: 3, 2: 0}, **young) is None
    assert next_change(matched={1: 3}, **young) is None
    assert next_change(matched={1: 3, 2: 1}, **young) == Change("add", 2)


def test_votes_of_those_who_are_gone_go_first() -> None:
    assert change(1, {1, 2, 3}, {1, 2, 4}) == Change("rem", 3)


def test_a_leader_that_is_gone_hands_over_to_one_that_has_everything() -> None:
    assert change(1, {1, 2, 3}, {2, 3}, {1: 100, 2: 99, 3: 100}) == Change("hand_over", 3)
    assert change(1, {1, 2}, {2}, {1: 100, 2: 99}) is None


@given(PEERS, PEERS)
def test_from_any_voters_the_changes_lead_to_the_peers(voters: frozenset[int], peers: frozenset[int]) -> None:
    voters = voters | {min(peers)}
    own = min(voters)
    for _ in range(20):
        found = change(own, set(voters), set(peers))
        if found is None:
            break
        assert found.verb != "rem" or found.peer != own
        if found.verb == "hand_over":
            own = found.peer
        else:
            voters = voters | {found.peer} if found.verb == "add" else voters - {found.peer}
    assert voters == peers


STATE = ClusterState(peers={1: Peer(1), 2: Peer(2, incarnation=5)})


def kind(stranger: Stranger, *, voters: tuple[int, ...] = (1, 2), applied: int = 50) -> str | None:
    refused = why_refuse(stranger, cluster_id="c", own=1, state=STATE, voters=voters, applied=applied)
    return refused and refused.kind


@pytest.mark.parametrize(
    ("stranger", "expected"),
    [
        (Stranger("c", 2, 5, 1, 9), None),
        (Stranger("c", 2, 6, 1, 9), None),
        (Stranger("c", 2, 4, 1, 9), "stale"),
        (Stranger("other", 2, 5, 1, 9), "stranger"),
        (Stranger("", 2, 5, 1, 9), "stranger"),
        (Stranger("c", 2, 5, 3, 9), "stranger"),
        (Stranger("c", 1, 5, 1, 9), "stranger"),
        (Stranger("c", 9, 1, 1, 50), "removed"),
        (Stranger("c", 9, 1, 1, 51), None),
    ],
)
def test_who_is_let_in(stranger: Stranger, expected: str | None) -> None:
    assert kind(stranger) == expected


def test_a_removed_peer_stays_until_its_vote_is_gone() -> None:
    assert kind(Stranger("c", 9, 1, 1, 9), voters=(1, 2, 9)) is None


@pytest.mark.parametrize(
    ("router", "stopped", "expected"),
    [
        (Stranger("c", 9, 0, 1, 0), False, None),
        (Stranger("c", 9, 0, 1, 0), True, "removed"),
        (Stranger("d", 9, 0, 1, 0), False, "stranger"),
        (Stranger("c", 9, 0, 2, 0), False, "stranger"),
        (Stranger("c", 2, 0, 1, 0), False, "stranger"),
        (Stranger("c", 1, 0, 1, 0), False, "stranger"),
    ],
)
def test_a_router_is_let_in_though_it_is_no_peer_and_never_as_one(
    router: Stranger, *, stopped: bool, expected: str | None
) -> None:
    refused = why_refuse_router(router, cluster_id="c", own=1, state=STATE, stopped=stopped)
    assert (refused and refused.kind) == expected
