"""The planner's decisions, as pure functions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.segments import planner

EF, K = 100, 14


@given(
    nodes=st.integers(1000, 10_000_000),
    share=st.floats(0.001, 0.999),
    ef=st.integers(10, 1000),
    k=st.integers(1, 200),
)
def test_a_first_ball_is_expected_to_be_full(nodes: int, share: float, ef: int, k: int) -> None:
    ef = planner.search_width(ef, k)
    allowed = max(1, int(nodes * share))
    width = planner.first_width(ef, k, nodes, allowed)
    assert min(ef, nodes) <= width <= nodes
    if width < nodes:
        assert width * allowed / nodes >= planner.FULL_ENOUGH * planner.needed(width, ef, k)


@given(
    width=st.integers(1, 10**6),
    ef=st.integers(10, 1000),
    k=st.integers(1, 1000),
    passing=st.integers(0, 5000),
)
def test_a_full_ball_holds_all_that_is_wanted(width: int, ef: int, k: int, passing: int) -> None:
    ef = planner.search_width(ef, k)
    if planner.ball_is_full(width, ef, k, passing):
        assert passing >= k
    assert planner.ball_is_full(width, ef, k, max(k, ef)) or width < ef


def test_a_ball_as_wide_as_without_a_filter_must_be_full() -> None:
    assert planner.needed(EF, EF, K) == EF
    assert planner.needed(10 * EF, EF, K) == planner.DEPTH * K


def test_the_need_falls_with_the_width() -> None:
    needs = [planner.needed(width, EF, K) for width in range(EF, 20 * EF, 10)]
    assert needs == sorted(needs, reverse=True)


@given(width=st.integers(1, 10**6), passing=st.integers(0, 100))
def test_widening_ends(width: int, passing: int) -> None:
    assert planner.next_width(width, EF, K, passing) > width * 1.2


def test_the_longer_rows_are_the_sooner_a_graph_is_walked() -> None:
    costs = [planner.node_rows(dim) for dim in (1, 128, 384, 768, 1536)]
    assert costs[:2] == [planner.GRAPH_NODE_ROWS] * 2
    assert costs[1:] == sorted(set(costs[1:]), reverse=True)
    rows = int(15 * EF)
    assert planner.exact_is_cheaper(EF, rows, planner.node_rows(128))
    assert not planner.exact_is_cheaper(EF, rows, planner.node_rows(768))


def test_where_walks_are_quick_they_are_taken_sooner() -> None:
    for dim in (128, 384, 1536):
        assert planner.node_rows(dim, quick=True) < 0.7 * planner.node_rows(dim)


def test_rare_matches_are_scored_and_common_ones_walked_to() -> None:
    assert planner.exact_is_cheaper(planner.first_width(EF, K, 10**6, 1_000), 1_000)
    assert not planner.exact_is_cheaper(planner.first_width(EF, K, 10**6, 500_000), 500_000)
