"""Multivectors of one name in one segment, and how they are searched: by rows or by graph.

A row holds several sub-vectors, and so does a query. The similarity of the two is MaxSim: for each sub-vector
of the query that of the most similar one of the row, added up (reference 9.5).

Invariants: a row that has a vector has at least one sub-vector; all sub-vectors of every row that a caller
may allow are in the graph, if there is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from node.bits import PackedBits
from node.bits import Slots as Rows
from node.index import GraphParams, HnswGraph
from node.index.exact import score_table, select
from node.index.narrow import Originals
from node.segments import planner
from node.segments.dense import Chosen, FloatArray, Ranking, blank, chosen_of
from node.segments.encoding import originals
from node.segments.hints import NO_HINTS, Hints
from node.segments.owners import Owners
from node.segments.rows import Matrix, Ragged
from node.segments.schema import VectorSchema
from node.segments.scoring import scoring_of
from node.segments.trace import Trace, tell
from protos.ragged import elements_of
from protos.shard import QuantizationSearchParams, Way

_BLOCK_ELEMENTS = 16_384  # sub-vectors of rows that are compared at a time, unless one row has more
_TABLE_ENTRIES = 1 << 22


class MultiVectors:
    """``rows.parts`` are the sub-vectors of all rows (m, width)."""

    __slots__ = ("graph", "present", "rows", "schema")

    def __init__(
        self, schema: VectorSchema, rows: Ragged, present: PackedBits | None, graph: HnswGraph | None
    ) -> None:
        self.schema, self.rows, self.present, self.graph = schema, rows, present, graph

    @property
    def built(self) -> GraphParams | None:
        return None if self.graph is None else self.graph.params

    @property
    def matrix(self) -> Matrix:
        return self.rows.parts[0]

    def search(
        self,
        queries: Sequence[FloatArray],
        k: int,
        allowed: PackedBits | None,
        *,
        ef: int | None,
        exact: bool,
        quantization: QuantizationSearchParams | None = None,
        hints: Hints = NO_HINTS,
    ) -> Ranking:
        """Rows and similarities, both (nq, <= k), best first, padded with NO_ROW and -inf.

        Scores are always those of the original vectors. ``queries``: each (m, dim) float32, normalised for
        Cosine; ``ef``: nodes that a walk keeps per sub-vector.
        """
        chosen = chosen_of(len(self.rows), self.present, allowed, hints.rows)
        k = min(k, chosen.count)
        graph = self.graph
        size = chosen.count * self.rows.nbytes // max(1, len(self.rows))
        if graph is None or exact or k == 0 or size <= hints.full_scan_bytes:
            return self._best_rows(queries, k, chosen, hints.trace)
        width = planner.search_width(graph.params.ef_construct if ef is None else ef, k)
        width = scoring_of(graph, quantization, hints.wanted).width(width, k, graph.count)
        filtered = allowed is not None or hints.rows is not None
        owners = Owners(graph, self.rows.offsets, chosen, k, filtered=filtered)
        return self._walk(owners, queries, k, width, chosen, hints.trace)

    def _walk(
        self,
        owners: Owners,
        queries: Sequence[FloatArray],
        k: int,
        width: int,
        chosen: Chosen,
        trace: Trace | None,
    ) -> Ranking:
        ranking = blank(len(queries), k)
        left, scored = [], 0
        for i, query in enumerate(queries):
            rows = owners.near(query, width)
            if rows is None:
                left.append(i)
            else:
                scored += len(rows)
                self._rank(ranking, i, query, rows)
        if len(left) < len(queries):
            walked, way = len(queries) - len(left), Way.WIDENED if owners.filtered else Way.GRAPH
            tell(
                trace,
                way,
                queries=walked,
                matching=chosen.count,
                scored=scored,
                row_bytes=self.rows.row_bytes,
                width=owners.widest,
            )
        if left:
            best = self._best_rows([queries[i] for i in left], k, chosen, trace)
            ranking[0][left], ranking[1][left] = best
        return ranking

    def similarities(self, queries: Sequence[FloatArray], rows: Rows) -> FloatArray:
        """(nq, len(rows)); ``rows``: any that have a vector."""
        table = np.empty((len(queries), len(rows)), dtype=np.float32)
        for query, out in zip(queries, table, strict=True):
            out[:] = self._scores(query, rows)
        return table

    def _best_rows(
        self, queries: Sequence[FloatArray], k: int, chosen: Chosen, trace: Trace | None
    ) -> Ranking:
        ranking = blank(len(queries), k)
        rows = chosen.rows()
        for i, query in enumerate(queries if k else ()):
            self._rank(ranking, i, query, rows)
        scored = chosen.count * len(queries)
        tell(
            trace,
            Way.ROWS,
            queries=len(queries),
            matching=chosen.count,
            scored=scored,
            row_bytes=self.rows.row_bytes,
        )
        return ranking

    def _rank(self, ranking: Ranking, i: int, query: FloatArray, rows: Rows | None) -> None:
        scores = self._scores(query, rows)
        best = select(scores, ranking[0].shape[1])
        ranking[0][i], ranking[1][i] = best if rows is None else rows[best], scores[best]

    def _scores(self, query: FloatArray, rows: Rows | None) -> FloatArray:
        """Similarity of ``query`` (m, dim) to ``rows`` (None: all), which have vectors; (len(rows),).

        Sums are made in 64 bits, in the order of the query, so a pair has the same bits in any company.
        """
        found = [np.empty(0, dtype=np.float32)]
        for matrix, elements, starts in self._blocks(rows):
            total = np.zeros(len(starts), dtype=np.float64)
            at_once = max(1, _TABLE_ENTRIES // (len(matrix) if elements is None else len(elements)))
            for first in range(0, len(query), at_once):
                part = np.ascontiguousarray(query[first : first + at_once])
                table = score_table(self.schema.distance, part, matrix, elements)
                for best in np.maximum.reduceat(table, starts, axis=1):
                    total += best
            found.append(total.astype(np.float32))
        return np.concatenate(found)

    def _blocks(self, rows: Rows | None) -> Iterator[tuple[Originals, Rows | None, Rows]]:
        """Consecutive rows: a matrix, their sub-vectors in it (None: all), and where each row's begin."""
        offsets, whole = self.rows.offsets, originals(self.matrix, self.schema)
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
                inside = self.matrix[int(offsets[first]) : int(offsets[last])]
                yield originals(inside, self.schema), None, bounds
            else:
                elements, bounds = elements_of(offsets, rows[first:last])
                yield whole, elements, bounds[:-1]
            first = last
