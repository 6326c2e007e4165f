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
from node.index import NO_ROW, HnswGraph, best_of, similarities
from node.index.exact import select
from node.segments import planner
from node.segments.schema import VectorSchema
from node.segments.scoring import Scoring, scoring_of
from protos.shard import QuantizationSearchParams

FloatArray = npt.NDArray[np.float32]
Ranking = tuple[Rows, FloatArray]


class VectorsView:
    """Vectors of one name: ``matrix`` (rows, dim); ``present``: rows that have one, None if all have."""

    __slots__ = ("graph", "matrix", "present", "schema")

    def __init__(
        self, schema: VectorSchema, matrix: FloatArray, present: PackedBits | None, graph: HnswGraph | None
    ) -> None:
        self.schema = schema
        self.matrix = matrix
        self.present = present
        self.graph = graph

    def search(
        self,
        queries: FloatArray,
        k: int,
        allowed: PackedBits | None,
        *,
        ef: int | None,
        exact: bool,
        quantization: QuantizationSearchParams | None = None,
    ) -> Ranking:
        """Rows and similarities, both (nq, <= k), best first, padded with NO_ROW and -inf."""
        mask = self._mask(allowed)
        count = len(self.matrix) if mask is None else bits.count(mask)
        k = min(k, count)
        graph = self.graph
        if graph is None or exact or k == 0:
            return self._best_rows(queries, k, mask)
        scoring = scoring_of(graph, quantization)
        width = planner.search_width(graph.params.ef_construct if ef is None else ef, k)
        width = scoring.width(width, k, graph.count)
        if planner.exact_is_cheaper(width, count):
            return self._best_rows(queries, k, mask)
        if count >= graph.count:
            return self._walk(graph, queries, k, width, mask, scoring)
        assert mask is not None
        return self._walk_filtered(graph, queries, k, width, mask, count, scoring)

    def _mask(self, allowed: PackedBits | None) -> PackedBits | None:
        """Rows that may be returned; None: all."""
        if allowed is None:
            return self.present
        allowed = bits.trimmed(allowed, len(self.matrix))
        return allowed if self.present is None else allowed & self.present

    def _best_rows(self, queries: FloatArray, k: int, mask: PackedBits | None) -> Ranking:
        rows = None if mask is None else bits.unpack(mask)
        return best_of(self.schema.distance, queries, self.matrix, k, rows)

    def _walk(
        self,
        graph: HnswGraph,
        queries: FloatArray,
        k: int,
        width: int,
        mask: PackedBits | None,
        scoring: Scoring,
    ) -> Ranking:
        """Every node may be returned."""
        if not scoring.rescore:
            return self._walk_codes(graph, queries, k, width, mask)
        found = graph.candidates(queries, width, scoring.count(k, width))
        ranking = blank(len(queries), k)
        for i, candidates in enumerate(found):
            candidates = candidates[candidates >= 0]
            if len(candidates) < k:  # parts of the graph cannot be reached
                _put(ranking, i, *self._best_rows(queries[i : i + 1], k, mask))
            else:
                self._rescore(ranking, i, queries[i], candidates)
        return ranking

    def _walk_codes(
        self, graph: HnswGraph, queries: FloatArray, k: int, width: int, mask: PackedBits | None
    ) -> Ranking:
        """As ``_walk``, with the similarities that the codes tell."""
        ranking = blank(len(queries), k)
        for i, (rows, scores) in enumerate(zip(*graph.search(queries, width, k), strict=True)):
            if rows[-1] < 0:
                _put(ranking, i, *self._best_rows(queries[i : i + 1], k, mask))
            else:
                order = np.lexsort((rows, -scores))
                ranking[0][i], ranking[1][i] = rows[order], scores[order]
        return ranking

    def _walk_filtered(
        self,
        graph: HnswGraph,
        queries: FloatArray,
        k: int,
        ef: int,
        mask: PackedBits,
        count: int,
        scoring: Scoring,
    ) -> Ranking:
        """What passes is scored on the original vectors, whatever was asked: it may be scored so anyway."""
        ranking = blank(len(queries), k)
        first = planner.first_width(ef, graph.count, count)
        hard = []
        for i, query in enumerate(queries):
            candidates = _passing_ball(graph, query, first, ef, mask, count)
            if candidates is None:
                hard.append(i)
            else:
                self._rescore(ranking, i, query, candidates[: scoring.count(k, ef)])
        if hard:
            rows, scores = self._best_rows(queries[hard], k, mask)
            ranking[0][hard], ranking[1][hard] = rows, scores
        return ranking

    def _rescore(self, ranking: Ranking, i: int, query: FloatArray, candidates: Rows) -> None:
        candidates = np.sort(candidates)
        scores = similarities(self.schema.distance, query, self.matrix, candidates)
        best = select(scores, ranking[0].shape[1])
        ranking[0][i], ranking[1][i] = candidates[best], scores[best]


def _passing_ball(
    graph: HnswGraph, query: FloatArray, width: int, ef: int, mask: PackedBits, count: int
) -> Rows | None:
    """The passing rows of the nearest nodes, best first, at least about ``ef``; None: score all exactly."""
    while not planner.exact_is_cheaper(width, count):
        nodes = graph.candidates(query[np.newaxis], width, width)[0]
        nodes = nodes[nodes >= 0]
        passing: Rows = nodes[bits.contains(mask, nodes)]
        if planner.ball_is_full(len(passing), ef):
            return passing
        if len(nodes) < width:
            return None
        width = planner.next_width(width, ef, len(passing))
    return None


def blank(queries: int, k: int) -> Ranking:
    rows = np.full((queries, k), NO_ROW, dtype=np.int64)
    return rows, np.full((queries, k), -np.inf, dtype=np.float32)


def _put(ranking: Ranking, i: int, rows: Rows, scores: FloatArray) -> None:
    ranking[0][i], ranking[1][i] = rows[0], scores[0]
