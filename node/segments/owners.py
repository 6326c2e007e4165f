"""Rows near a multivector, from walking a graph over all sub-vectors of a segment.

Each sub-vector of a query is walked for on its own. A row is a candidate if one of its sub-vectors was met;
it is worth as much as each walk's best sub-vector of it is better than the worst that this walk met. (What a
walk did not meet is no better than its worst, as far as it missed nothing.) Callers score candidates on the
original vectors.
``docs/decisions/0007-multivector-graphs.md`` has the measurements.
"""

from __future__ import annotations

import numpy as np

from node import bits
from node.bits import Slots as Rows
from node.index import HnswGraph
from node.segments import planner
from node.segments.dense import Chosen, FloatArray
from node.segments.rows import Offsets
from protos.ragged import owners_of

# Rows that are best in sum are not the nearest to any sub-vector of the query, so walks go further for them.
SEVERAL_WIDER = 4
# Sub-vectors scored again for each node that a walk keeps, at most; candidates beyond the best are left out.
_RESCORED_PER_NODE = 2 * planner.GRAPH_NODE_ROWS
_RESCORED_ROWS_MIN = 100
_SCAN_GAIN = 1.5  # how much faster rows are scored when several sub-vectors are compared with each
_NODES_MAX = 1 << 21  # of all walks of one query


class Owners:
    """One search of ``k`` rows among those ``chosen``: walks of one graph, as wide as it takes."""

    def __init__(self, graph: HnswGraph, offsets: Offsets, chosen: Chosen, k: int, *, filtered: bool) -> None:
        """``filtered``: rows in the graph may be not ``chosen``."""
        self._graph, self._offsets, self._chosen, self._k = graph, offsets, chosen, k
        self.filtered = filtered
        self._mask = chosen.mask(len(offsets) - 1) if filtered else None
        self._average = int(offsets[-1]) / max(1, int(np.count_nonzero(np.diff(offsets))))
        self._allowed = min(graph.count, int(chosen.count * self._average))
        self.widest = 0

    def near(self, query: FloatArray, width: int) -> Rows | None:
        """Candidates for ``query`` (m, dim), ascending; None: scoring all chosen rows is cheaper.

        ``width``: nodes that would do for one sub-vector, were all rows chosen.
        """
        needed = width * (SEVERAL_WIDER if len(query) > 1 else 1)
        wider = needed
        if self._mask is not None:
            # As many as in an unfiltered walk must pass: each may be the one a row's sum is made of.
            wider = planner.first_width(needed, needed, self._graph.count, max(1, self._allowed))
        while len(query) * wider <= _NODES_MAX and not self._exact_is_cheaper(wider, len(query)):
            rows, worth, passing, reached = self._walk(query, wider)
            if len(rows) >= self._k and passing >= planner.FULL_ENOUGH * min(needed, wider):
                return self._best(rows, worth, wider)
            if not reached:
                return None
            wider = planner.next_width(wider, needed, needed, int(passing))
        return None

    def _exact_is_cheaper(self, width: int, sub_vectors: int) -> bool:
        """All is per sub-vector of the query."""
        rescored = min(sub_vectors * width * self._average, _RESCORED_PER_NODE * width)
        cost = planner.GRAPH_NODE_ROWS * width + rescored
        return self._allowed <= cost * (_SCAN_GAIN if sub_vectors > 1 else 1)

    def _walk(self, query: FloatArray, width: int) -> tuple[Rows, FloatArray, float, bool]:
        """Rows, what each is worth, passing nodes per walk, and whether all walks reached their width."""
        self.widest = max(self.widest, width)
        nodes, similar = self._graph.search(query, width, width)
        met = nodes >= 0
        gain = similar - np.where(met, similar, np.inf).min(axis=1, keepdims=True)
        walks, _ = np.nonzero(met)
        owners, gain = owners_of(self._offsets, nodes[met]), gain[met]
        if self._mask is not None:
            passing = bits.contains(self._mask, owners)
            owners, gain, walks = owners[passing], gain[passing], walks[passing]
        # A walk's nodes come best first: of a row's sub-vectors that it met, the first one counts.
        _, first = np.unique(walks * len(self._offsets) + owners, return_index=True)
        rows, places = np.unique(owners[first], return_inverse=True)
        worth = np.bincount(places, weights=gain[first], minlength=len(rows)).astype(np.float32)
        return rows, worth, len(owners) / len(query), bool(met[:, -1].all())

    def _best(self, rows: Rows, worth: FloatArray, width: int) -> Rows:
        affordable = int(_RESCORED_PER_NODE * width / self._average)
        count = max(affordable, _RESCORED_ROWS_MIN, 10 * self._k)
        if count >= len(rows):
            return rows
        return np.sort(rows[np.argpartition(-worth, count)[:count]])
