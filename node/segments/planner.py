"""Which way a segment is searched: by its rows or by a graph. Pure arithmetic.

A graph walk that keeps the ``ef`` nearest nodes answers an unfiltered search well because the k best are
deep inside that ball. A filter changes nothing about it as long as the ball holds enough rows *that pass*;
so the walk is widened to what it takes to hold them. A filter correlated with the vectors shows up as a ball
with fewer passing rows than expected; then the walk is widened again by what was seen, until scoring all
passing rows exactly is the cheaper way, which is also what ends the widening.

How many is enough (docs/decisions/0004-filtered-search.md): a ball of ``ef`` nodes needs all of them to
pass. A wider one finds its inner nodes more surely, so it needs fewer, down to a few times ``k``.
"""

from __future__ import annotations

import math

from node.index.halves import RESCORED_MIN

# Rows that are scored exactly in the time a walk takes per node it keeps; see ``node_rows``.
GRAPH_NODE_ROWS = 24
_NODE_ROWS_LEAST, _NODE_ROWS_DIM = 7, 2400
_QUICK_LEAST, _QUICK_DIM = 3, 1400  # where the walk is our own
CODES_PER_NODE = 30  # compared, in the order they lie in, in the time of a node of a walk of our own
# Of fewer admitted rows than these the codes are not looked at first.
_LISTED_MAX = 32
# A first walk is this much wider than expected to be needed, and a ball this full is full enough.
WIDENING = 1.15
FULL_ENOUGH = 0.9
WIDTH_MIN = 10
# Passing rows for each wanted one that a wide ball must hold, and how fast the need falls with the width.
DEPTH = 3
_DECAY = 1.3


def node_rows(dim: int, *, quick: bool = False) -> float:
    """Rows of ``dim`` components that are scored in the time of a node: the more components, the fewer.

    A node's codes are a quarter of its row, and half of its cost is not for the codes
    (docs/decisions/0004-filtered-search.md). Short rows count as if they were longer: they cost little.
    ``quick``: the graph is one whose walk does not wait for memory (``HnswGraph.quick``).
    """
    least, by_dim = (_QUICK_LEAST, _QUICK_DIM) if quick else (_NODE_ROWS_LEAST, _NODE_ROWS_DIM)
    return min(GRAPH_NODE_ROWS, least + by_dim / max(dim, 1))


def scored_at_once(allowed: int) -> bool:
    """Are all allowed rows scored on their vectors as soon as by their codes?"""
    return allowed <= _LISTED_MAX


def exact_is_cheaper(width: int, allowed: int, rows_per_node: float = GRAPH_NODE_ROWS) -> bool:
    """``rows_per_node``: ``node_rows`` where the dimension is known."""
    return allowed <= rows_per_node * width


def rescored(k: int, ef: int) -> int:
    """Candidates to score again on the original vectors, so that the order of codes costs nothing."""
    return min(ef, max(2 * k, k + RESCORED_MIN))


def search_width(ef: int, k: int) -> int:
    return max(ef, k + WIDTH_MIN)


def needed(width: int, ef: int, k: int) -> float:
    """Passing rows among the ``width`` nearest nodes with which the k best are as sure as unfiltered."""
    falling: float = ef * (ef / width) ** _DECAY
    return max(min(ef, DEPTH * k), falling)


def first_width(ef: int, k: int, nodes: int, allowed: int) -> int:
    """The narrowest ball that is expected to be full when rows pass at random."""
    share = allowed / nodes / WIDENING
    falling = ef * share ** (-1 / (1 + _DECAY))
    return min(nodes, int(max(ef, falling, min(ef, DEPTH * k) / share)) + 1)


def next_width(width: int, ef: int, k: int, passing: int) -> int:
    """Wider, given that the last walk's ball held ``passing`` rows."""
    wanted = min(ef, DEPTH * k)
    return max(width + 1 + width // 4, int(WIDENING * width * wanted / max(passing, 1)))


def value_graph_pays(
    ef: int, k: int, *, inside: int, nodes: int, strays: int, all_nodes: int | None, rows_per_node: float
) -> bool:
    """Is the graph of a value, ``nodes`` of which ``inside`` are allowed, the cheapest way?

    The ``strays``, allowed rows outside of it, are scored beside. The other ways: to score all that are
    allowed, or to walk the graph of all rows (``all_nodes``; None: there is none).
    """
    allowed = inside + strays
    walk = rows_per_node * first_width(ef, k, nodes, inside) + strays
    if all_nodes and walk >= rows_per_node * first_width(ef, k, all_nodes, min(allowed, all_nodes)):
        return False
    return walk < allowed


def enough(width: int, ef: int, k: int) -> int:
    """Passing rows with which a ball is full."""
    return max(k, math.ceil(FULL_ENOUGH * needed(width, ef, k)))


def ball_is_full(width: int, ef: int, k: int, passing: int) -> bool:
    return passing >= enough(width, ef, k)
