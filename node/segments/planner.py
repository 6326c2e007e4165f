"""Which way a segment is searched: by its rows or by its graph. Pure arithmetic.

A graph walk that keeps the ``ef`` nearest nodes answers an unfiltered search well because the k best are
deep inside that ball. A filter changes nothing about it as long as the ball holds ``ef`` rows *that pass*;
so the walk is widened to ``ef / (share that passes nearby)``. A filter correlated with the vectors shows up
as a ball with fewer passing rows than expected; then the walk is widened again by what was seen, until
scoring all passing rows exactly is the cheaper way, which is also what ends the widening.
"""

from __future__ import annotations

# Rows that are scored exactly in the time a walk takes per node it keeps (measured at 384 dimensions).
GRAPH_NODE_ROWS = 24
# A first walk is this much wider than expected to be needed, and a ball this full is full enough.
WIDENING = 1.15
FULL_ENOUGH = 0.9
RESCORED_MIN = 10


def exact_is_cheaper(width: int, allowed: int) -> bool:
    return allowed <= GRAPH_NODE_ROWS * width


def rescored(k: int, ef: int) -> int:
    """Candidates to score again on the original vectors, so that the order of codes costs nothing."""
    return min(ef, max(2 * k, k + RESCORED_MIN))


def search_width(ef: int, k: int) -> int:
    return max(ef, k + RESCORED_MIN)


def first_width(ef: int, nodes: int, allowed: int) -> int:
    return min(nodes, int(WIDENING * ef * nodes / allowed) + 1)


def next_width(width: int, ef: int, passing: int) -> int:
    """Wider, given that the last walk's ball held ``passing`` rows of the ``ef`` wanted."""
    return max(width + 1, int(WIDENING * width * ef / max(passing, 1)))


def ball_is_full(passing: int, ef: int) -> bool:
    return passing >= FULL_ENOUGH * ef
