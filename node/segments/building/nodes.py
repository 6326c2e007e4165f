"""Which rows are the nodes of a graph to be built, and which former graph it continues.

Continuing keeps every node of the former graph, so also rows that have died since: searches pass over them,
as they pass over rows that die after a build. When they are too many the graph is built anew without them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.index import HnswGraph
from node.segments.rows import Dense, Ragged, Stored

DEAD_MAX = 0.1  # of the nodes of a graph that is continued

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
GraphRows = npt.NDArray[np.uint32]


class Former(Struct, frozen=True):
    """A source's graph, and where the row of each of its nodes (count,) comes to lie; -1: nowhere.

    Nodes are rows of a matrix: points, or the sub-vectors of multivectors.
    """

    graph: HnswGraph
    rows: Places


def elements_wanted(stored: Stored, wanted: Flags) -> tuple[Dense, Flags]:
    """The matrix whose rows become nodes, and which of them, from the points that are ``wanted``."""
    if not isinstance(stored, Ragged):
        return stored, wanted
    matrix = stored.parts[0]
    assert len(matrix) < 2**32, "more sub-vectors than a graph can number"
    return matrix, np.repeat(wanted, np.diff(stored.offsets))


def elements_placed(former: Stored, places: Places, stored: Stored) -> Places:
    """Where rows of ``former``'s matrix come to lie in ``stored``'s, by where its points do; -1: nowhere."""
    if not isinstance(former, Ragged):
        return places
    assert isinstance(stored, Ragged)
    counts = np.diff(former.offsets)
    moved = np.where(places < 0, 0, stored.offsets[places]) - former.offsets[:-1]
    found = np.arange(int(former.offsets[-1]), dtype=np.int64) + np.repeat(moved, counts)
    return np.where(np.repeat(places, counts) < 0, -1, found)


def worth_continuing(formers: Iterable[Former], wanted: Flags) -> Former | None:
    """The largest of those that can be continued in a graph of the ``wanted`` rows."""
    usable = [former for former in formers if _usable(former, wanted)]
    return max(usable, key=lambda former: former.graph.count, default=None)


def nodes_of(wanted: Flags, former: Former | None) -> GraphRows:
    """The row of each node: those of ``former`` first, then the other ``wanted`` ones, ascending."""
    kept = np.empty(0, dtype=np.uint32) if former is None else former.rows.astype(np.uint32)
    fresh = wanted.copy()
    fresh[kept] = False
    return np.concatenate([kept, np.flatnonzero(fresh).astype(np.uint32)])


def _usable(former: Former, wanted: Flags) -> bool:
    if former.rows.min(initial=0) < 0:
        return False
    return int(np.count_nonzero(~wanted[former.rows])) <= DEAD_MAX * former.graph.count
