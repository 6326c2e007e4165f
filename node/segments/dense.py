"""Dense vectors of one name in one segment, and how they are searched: by rows or by graph.

Lives here: carrying out what ``planner`` decides. May not live here: slots, files, other kinds of vectors.

Invariants: every row that a caller may allow and that has a vector is in the graph, if there is one (rows
kept out were dead when it was built, and slots never come back to life).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from node import bits
from node.bits import PackedBits
from node.bits import Slots as Rows
from node.index import NO_ROW, GraphParams, HnswGraph, best_of, similarities
from node.index.exact import best_candidates, score_table, select
from node.segments import planner
from node.segments.encoding import originals
from node.segments.hints import NO_HINTS, Hints
from node.segments.rows import Matrix
from node.segments.schema import VectorSchema
from node.segments.scoring import Scoring, scoring_of
from node.segments.trace import Trace, tell
from protos.shard import QuantizationSearchParams, Way

FloatArray = npt.NDArray[np.float32]
Ranking = tuple[Rows, FloatArray]

_BALLS_MAX = 1 << 20  # nodes of all balls that are walked in one call


class Chosen:
    """The rows that may be returned, listed or as bits (neither: all); ``count`` of them."""

    __slots__ = ("_mask", "_rows", "count")

    def __init__(
        self, rows: Rows | None, mask: PackedBits | None, total: int, count: int | None = None
    ) -> None:
        """``count``: of the bits, if known."""
        self._rows, self._mask = rows, mask
        if rows is not None:
            self.count = len(rows)
        elif mask is None:
            self.count = total
        else:
            self.count = bits.count(mask) if count is None else count

    def rows(self) -> Rows | None:
        """Ascending; None: all."""
        if self._rows is None and self._mask is not None:
            self._rows = bits.unpack(self._mask)
        return self._rows

    def mask(self, total: int) -> PackedBits | None:
        if self._mask is None and self._rows is not None:
            self._mask = bits.pack(self._rows, bits.bytes_for(total))
        return self._mask


def chosen_of(
    total: int,
    present: PackedBits | None,
    allowed: PackedBits | None,
    rows: Rows | None,
    count: int | None = None,
) -> Chosen:
    """Those of ``total`` rows that have a vector and are allowed, by their list or else by their bits, of
    which ``count`` are set, if that is known."""
    if rows is not None:
        return Chosen(rows if present is None else rows[bits.contains(present, rows)], None, total)
    if allowed is None:
        return Chosen(None, present, total)
    allowed = bits.trimmed(allowed, total)
    if present is None:
        return Chosen(None, allowed, total, count)
    return Chosen(None, allowed & present, total)


class VectorsView:
    """Vectors of one name: ``rows`` (n, dim) as stored; ``present``: which have one, None if all."""

    __slots__ = ("_both", "_originals", "graph", "present", "rows", "schema")

    def __init__(
        self, schema: VectorSchema, rows: Matrix, present: PackedBits | None, graph: HnswGraph | None
    ) -> None:
        self.schema = schema
        self.rows = rows
        self._originals = originals(rows, schema)
        self.present = present
        self._both: tuple[PackedBits, PackedBits, int] | None = None
        self.graph = graph

    @property
    def built(self) -> GraphParams | None:
        return None if self.graph is None else self.graph.params

    def search(
        self,
        queries: FloatArray,
        k: int,
        allowed: PackedBits | None,
        *,
        ef: int | None,
        exact: bool,
        quantization: QuantizationSearchParams | None = None,
        hints: Hints = NO_HINTS,
    ) -> Ranking:
        """Rows and similarities, both (nq, <= k), best first, padded with NO_ROW and -inf."""
        chosen = self._chosen(allowed, hints)
        k = min(k, chosen.count)
        graph = self.graph
        if graph is None or exact or k == 0:
            return self._best_rows(queries, k, chosen, hints.trace)
        return self.by_graph(graph, queries, k, ef, chosen, quantization, hints)

    def _chosen(self, allowed: PackedBits | None, hints: Hints) -> Chosen:
        """Searches without a filter bring the same bits each time: what they admit here is kept."""
        total = len(self.rows)
        if allowed is None or self.present is None or hints.rows is not None:
            return chosen_of(total, self.present, allowed, hints.rows, hints.count)
        kept = self._both
        if kept is None or kept[0] is not allowed:
            both = bits.trimmed(allowed, total) & self.present
            kept = self._both = allowed, both, bits.count(both)
        return Chosen(None, kept[1], total, kept[2])

    def by_graph(
        self,
        graph: HnswGraph,
        queries: FloatArray,
        k: int,
        ef: int | None,
        chosen: Chosen,
        quantization: QuantizationSearchParams | None,
        hints: Hints,
    ) -> Ranking:
        """By ``graph``, which has all of ``chosen``, or by scoring them all, whichever is cheaper."""
        scoring = scoring_of(graph, quantization)
        width = planner.search_width(graph.params.ef_construct if ef is None else ef, k)
        width = scoring.width(width, k, graph.count)
        size = chosen.count * self.schema.row_bytes
        if size <= hints.full_scan_bytes or planner.exact_is_cheaper(
            width, chosen.count, planner.node_rows(self.schema.dim, quick=graph.quick)
        ):
            return self._best_rows(queries, k, chosen, hints.trace)
        if chosen.count >= graph.count:
            return self._walk(graph, queries, k, width, chosen, scoring, hints.trace)
        return self._walk_filtered(graph, queries, k, width, chosen, scoring, hints.trace)

    def similarities(self, queries: FloatArray, rows: Rows) -> FloatArray:
        """(nq, len(rows)); ``rows``: any that have a vector."""
        return score_table(self.schema.distance, np.ascontiguousarray(queries), self._originals, rows)

    def _best_rows(self, queries: FloatArray, k: int, chosen: Chosen, trace: Trace | None) -> Ranking:
        found = best_of(self.schema.distance, queries, self._originals, k, chosen.rows())
        scored = chosen.count * len(queries)
        tell(
            trace,
            Way.ROWS,
            queries=len(queries),
            matching=chosen.count,
            scored=scored,
            row_bytes=self.schema.row_bytes,
        )
        return found

    def _walk(
        self,
        graph: HnswGraph,
        queries: FloatArray,
        k: int,
        width: int,
        chosen: Chosen,
        scoring: Scoring,
        trace: Trace | None,
    ) -> Ranking:
        """Every node may be returned."""
        if scoring.rescore:
            count = scoring.count(k, width)
            candidates = graph.candidates(queries, width, count)
            ranking = best_candidates(self.schema.distance, queries, self._originals, k, candidates)
            # Too few candidates: parts of the graph cannot be reached.
            last = ranking[0][:, -1]
            short = np.flatnonzero(last < 0).tolist() if last.min() < 0 else []
        else:
            count, ranking = 0, blank(len(queries), k)
            short = _walk_codes(ranking, graph, queries, width)
        way, scored = self._way(graph, Way.GRAPH), count * len(queries)
        tell(
            trace,
            way,
            queries=len(queries),
            matching=chosen.count,
            scored=scored,
            row_bytes=self.schema.row_bytes,
            width=width,
        )
        self._finish_exactly(ranking, short, queries, chosen, trace)
        return ranking

    def _walk_filtered(
        self,
        graph: HnswGraph,
        queries: FloatArray,
        k: int,
        ef: int,
        chosen: Chosen,
        scoring: Scoring,
        trace: Trace | None,
    ) -> Ranking:
        """Some nodes may not be returned: walks are widened until enough may.

        What passes is scored on the original vectors, whatever was asked: it may be scored so anyway.
        """
        mask = chosen.mask(len(self.rows))
        assert mask is not None
        ranking = blank(len(queries), k)
        rows_per_node = planner.node_rows(self.schema.dim, quick=graph.quick)
        balls = _Balls(graph, mask, chosen.count, ef, k, rows_per_node)
        hard, scored = [], 0
        for i, candidates in enumerate(balls.of(queries)):
            if candidates is None:
                hard.append(i)
            else:
                candidates = candidates[: scoring.count(k, ef)]
                scored += len(candidates)
                self._rescore(ranking, i, queries[i], candidates)
        way, walked = self._way(graph, Way.WIDENED), len(queries) - len(hard)
        tell(
            trace,
            way,
            queries=walked,
            matching=chosen.count,
            scored=scored,
            row_bytes=self.schema.row_bytes,
            width=balls.widest,
        )
        self._finish_exactly(ranking, hard, queries, chosen, trace)
        return ranking

    def _way(self, graph: HnswGraph, way: Way) -> Way:
        return way if graph is self.graph else Way.VALUE_GRAPH

    def _finish_exactly(
        self, ranking: Ranking, left: list[int], queries: FloatArray, chosen: Chosen, trace: Trace | None
    ) -> None:
        if left:
            rows, scores = self._best_rows(queries[left], ranking[0].shape[1], chosen, trace)
            ranking[0][left], ranking[1][left] = rows, scores

    def _rescore(self, ranking: Ranking, i: int, query: FloatArray, candidates: Rows) -> None:
        candidates = np.sort(candidates)
        scores = similarities(self.schema.distance, query, self._originals, candidates)
        best = select(scores, ranking[0].shape[1])
        ranking[0][i], ranking[1][i] = candidates[best], scores[best]


class _Balls:
    """The nearest nodes to queries, as many as it takes to hold enough rows of ``mask``."""

    def __init__(
        self, graph: HnswGraph, mask: PackedBits, count: int, ef: int, k: int, rows_per_node: float
    ) -> None:
        self._graph, self._mask, self._count, self._ef, self._k = graph, mask, count, ef, k
        self._rows_per_node = rows_per_node
        self.widest = 0

    def of(self, queries: FloatArray) -> list[Rows | None]:
        """Per query the passing rows of its ball, best first; None: scoring all exactly is cheaper."""
        width = planner.first_width(self._ef, self._k, self._graph.count, self._count)
        found: list[Rows | None] = []
        group = max(1, _BALLS_MAX // width)
        for first in range(0, len(queries), group):
            part = queries[first : first + group]
            if planner.exact_is_cheaper(width, self._count, self._rows_per_node):
                found += [None] * len(part)
            else:
                nearest = self._walk(part, width)
                found += [self._widened(query, width, *ball) for query, ball in zip(part, nearest)]
        return found

    def _walk(self, queries: FloatArray, width: int) -> list[tuple[Rows, bool]]:
        """Per query the passing rows, and whether the ball reached its width."""
        self.widest = max(self.widest, width)
        nodes = self._graph.candidates(queries, width, width)
        passing = bits.contains(self._mask, np.maximum(nodes, 0)) & (nodes >= 0)
        return [(row[kept], bool(row[-1] >= 0)) for row, kept in zip(nodes, passing, strict=True)]

    def _widened(self, query: FloatArray, width: int, passing: Rows, reached: bool) -> Rows | None:
        while not planner.ball_is_full(width, self._ef, self._k, len(passing)):
            width = planner.next_width(width, self._ef, self._k, len(passing))
            if not reached or planner.exact_is_cheaper(width, self._count, self._rows_per_node):
                return None
            ((passing, reached),) = self._walk(query[np.newaxis], width)
        return passing


def _walk_codes(ranking: Ranking, graph: HnswGraph, queries: FloatArray, width: int) -> list[int]:
    """The best by code, with the similarities that the codes tell; returns the queries with too few."""
    short = []
    found = graph.search(queries, width, ranking[0].shape[1])
    for i, (rows, scores) in enumerate(zip(*found, strict=True)):
        if rows[-1] < 0:
            short.append(i)
        else:
            order = np.lexsort((rows, -scores))
            ranking[0][i], ranking[1][i] = rows[order], scores[order]
    return short


def blank(queries: int, k: int) -> Ranking:
    rows = np.full((queries, k), NO_ROW, dtype=np.int64)
    return rows, np.full((queries, k), -np.inf, dtype=np.float32)
