"""Multivectors of one name in one segment, and their exact search.

A row holds several sub-vectors, and so does a query. The similarity of the two is MaxSim: for each sub-vector
of the query that of the most similar one of the row, added up (reference 9.5).

Invariant: a row that has a vector has at least one sub-vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from node.bits import PackedBits
from node.bits import Slots as Rows
from node.index import HnswGraph
from node.index.exact import score_table, select
from node.segments.dense import Chosen, FloatArray, Ranking, blank, chosen_of
from node.segments.hints import NO_HINTS, Hints
from node.segments.rows import Matrix, Ragged
from node.segments.schema import VectorSchema
from node.segments.trace import Trace
from protos.ragged import elements_of
from protos.shard import QuantizationSearchParams, Way

_BLOCK_ELEMENTS = 16_384  # sub-vectors of rows that are compared at a time, unless one row has more


class MultiVectors:
    """``rows.parts`` are the sub-vectors of all rows (m, dim)."""

    __slots__ = ("graph", "present", "rows", "schema")

    def __init__(
        self, schema: VectorSchema, rows: Ragged, present: PackedBits | None, graph: HnswGraph | None
    ) -> None:
        self.schema, self.rows, self.present, self.graph = schema, rows, present, graph

    @property
    def indexed(self) -> bool:
        return self.graph is not None

    @property
    def matrix(self) -> Matrix:
        return self.rows.parts[0]

    def search(
        self,
        queries: Sequence[FloatArray],
        k: int,
        allowed: PackedBits | None,
        *,
        ef: int | None,  # noqa: ARG002
        exact: bool,  # noqa: ARG002
        quantization: QuantizationSearchParams | None = None,  # noqa: ARG002
        hints: Hints = NO_HINTS,
    ) -> Ranking:
        """Rows and similarities, both (nq, <= k), best first, padded with NO_ROW and -inf.

        ``queries``: each (m, dim) float32, normalised for Cosine.
        """
        chosen = chosen_of(len(self.rows), self.present, allowed, hints.rows)
        return self._best_rows(queries, min(k, chosen.count), chosen, hints.trace)

    def _best_rows(
        self, queries: Sequence[FloatArray], k: int, chosen: Chosen, trace: Trace | None
    ) -> Ranking:
        ranking = blank(len(queries), k)
        rows = chosen.rows()
        for i, query in enumerate(queries if k else ()):
            scores = self.scores(query, rows)
            best = select(scores, k)
            ranking[0][i], ranking[1][i] = best if rows is None else rows[best], scores[best]
        if trace is not None:
            scored = chosen.count * len(queries)
            trace.step(Way.ROWS, queries=len(queries), matching=chosen.count, scored=scored)
        return ranking

    def scores(self, query: FloatArray, rows: Rows | None) -> FloatArray:
        """Similarity of ``query`` (m, dim) to ``rows`` (None: all), which have vectors; (len(rows),).

        Sums are made in 64 bits, in the order of the query, so a pair has the same bits in any company.
        """
        found = [np.empty(0, dtype=np.float32)]
        for matrix, elements, starts in self._blocks(rows):
            table = score_table(self.schema.distance, query, matrix, elements)
            total = np.zeros(len(starts), dtype=np.float64)
            for best in np.maximum.reduceat(table, starts, axis=1):
                total += best
            found.append(total.astype(np.float32))
        return np.concatenate(found)

    def _blocks(self, rows: Rows | None) -> Iterator[tuple[Matrix, Rows | None, Rows]]:
        """Consecutive rows: a matrix, their sub-vectors in it (None: all), and where each row's begin."""
        offsets = self.rows.offsets
        counts = np.diff(offsets) if rows is None else offsets[rows + 1] - offsets[rows]
        assert counts.all(), "a row without sub-vectors"
        ends = np.cumsum(counts)
        first = 0
        while first < len(counts):
            before = int(ends[first - 1]) if first else 0
            fitting = int(np.searchsorted(ends, before + _BLOCK_ELEMENTS, side="right"))
            last = max(first + 1, fitting)
            if rows is None:
                bounds = offsets[first:last] - offsets[first]
                yield self.matrix[int(offsets[first]) : int(offsets[last])], None, bounds
            else:
                elements, bounds = elements_of(offsets, rows[first:last])
                yield self.matrix, elements, bounds[:-1]
            first = last
