"""Dense vectors of one name in one segment, and how they are searched: by rows or by graph.

Lives here: carrying out what ``planner`` decides. May not live here: slots, files, other kinds of vectors.

Invariants: every row that a caller may allow and that has a vector is in the graph, if there is one, as a
node or as the twin of one (rows kept out were dead when it was built, and slots never come back to life).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
import numpy.typing as npt

from node import bits
from node.bits import PackedBits
from node.bits import Slots as Rows
from node.index import NO_ROW, GraphParams, HnswGraph, best_of
from node.index.exact import best_candidates, score_table
from node.index.hnsw import Best
from node.index.walk import ScoredGraph
from node.segments import planner
from node.segments.encoding import originals
from node.segments.hints import NO_HINTS, Hints
from node.segments.plain import PlainCodes, PlainScan, PlainSearch, PlainWalk
from node.segments.rows import Dense
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

    @property
    def is_listed(self) -> bool:
        """Are the rows known one by one already?"""
        return self._rows is not None

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
        self, schema: VectorSchema, rows: Dense, present: PackedBits | None, graph: HnswGraph | None
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

    def plain_search(
        self,
        k: int,
        allowed: PackedBits | None,
        *,
        ef: int | None,
        quantization: QuantizationSearchParams | None,
        hints: Hints = NO_HINTS,
    ) -> PlainSearch | None:
        """What ``search`` with these arguments would do; None: something else than one walk or scan."""
        graph, chosen = self.graph, self._chosen(allowed, hints)
        scored, k = None if graph is None else graph.scored(self._originals), min(k, chosen.count)
        if graph is None or scored is None or not k:
            return None
        if chosen.count * self.schema.row_bytes <= hints.full_scan_bytes:
            return None
        scoring = scoring_of(graph, quantization, hints.wanted)
        ef = width = _width(graph, k, ef, scoring)
        candidates = scoring.count(k, ef)
        if chosen.count < graph.covered:
            return self._plain_filtered(graph, scored, chosen, k, ef, candidates)
        if planner.exact_is_cheaper(width, chosen.count, self._rows_per_node(graph, filtered=False)):
            return None
        beside = None if graph.twins is None else partial(graph.twins.beside, k=k, mask=None)
        wanted = min(k, graph.count)
        if not scoring.rescore:
            return PlainCodes(graph, width, scoring.whole(k, width), wanted, Way.GRAPH, beside)
        return PlainWalk(scored, width, candidates, wanted, wanted, None, Way.GRAPH, beside)

    def _plain_filtered(
        self, graph: HnswGraph, scored: ScoredGraph, chosen: Chosen, k: int, ef: int, candidates: int
    ) -> PlainSearch | None:
        """Rows that are listed are scanned as they are, without bits being made of them."""
        mask, nodes, beside, total = None, chosen.count, None, len(self.rows)
        if graph.twins is not None:
            own = chosen.mask(total)
            assert own is not None
            mask, nodes = graph.twins.admitting(own, chosen.count)
            beside = partial(graph.twins.beside, k=k, mask=own)
        wanted = min(k, nodes)
        width = max(candidates, planner.first_width(ef, wanted, graph.count, nodes))
        if planner.exact_is_cheaper(width, chosen.count, self._rows_per_node(graph, filtered=True)):
            if graph.encoding.coarse:
                return None
            listed = chosen.rows() if mask is None else None
            count, way = max(candidates, planner.rescored(k, width)), Way.CODES
            if planner.scored_at_once(nodes):
                count, way = nodes, Way.ROWS
            return PlainScan(scored, listed, mask, count, wanted, way, beside)
        enough = min(nodes, planner.enough(width, ef, wanted))
        mask = chosen.mask(total) if mask is None else mask
        return PlainWalk(scored, width, candidates, wanted, enough, mask, Way.WIDENED, beside)

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
        scoring = scoring_of(graph, quantization, hints.wanted)
        width = _width(graph, k, ef, scoring)
        filtered = chosen.count < graph.covered
        if chosen.count * self.schema.row_bytes <= hints.full_scan_bytes:
            return self._best_rows(queries, k, chosen, hints.trace)
        if planner.exact_is_cheaper(width, chosen.count, self._rows_per_node(graph, filtered=filtered)):
            return self._best_of_all(graph, queries, k, chosen, scoring.count(k, width), hints.trace)
        if not filtered:
            return self._walk(graph, queries, k, width, chosen, scoring, hints.trace)
        return self._walk_filtered(graph, queries, k, width, chosen, scoring, hints.trace)

    def _rows_per_node(self, graph: HnswGraph, *, filtered: bool) -> float:
        """How many rows are looked at in the time a walk of ``graph`` takes per node."""
        if filtered and graph.scored(self._originals) is not None and not graph.encoding.coarse:
            return planner.CODES_PER_NODE
        return planner.node_rows(self.schema.dim, quick=graph.quick)

    def _best_of_all(
        self,
        graph: HnswGraph,
        queries: FloatArray,
        k: int,
        chosen: Chosen,
        candidates: int,
        trace: Trace | None,
    ) -> Ranking:
        """Of all that are chosen, by their codes in ``graph`` if these serve."""
        mask = chosen.mask(len(self.rows)) if chosen.count < graph.covered else None
        if mask is None or planner.scored_at_once(chosen.count):
            return self._best_rows(queries, k, chosen, trace)
        admitted, nodes = _admitted(graph, mask, chosen.count)
        wanted = min(k, nodes)
        rows = chosen.rows() if chosen.is_listed and graph.twins is None else None
        bits_, candidates = (
            None if rows is not None else admitted,
            max(candidates, planner.rescored(k, nodes)),
        )
        ranking = graph.best_of_codes(queries, candidates, wanted, self._originals, rows, bits_)
        if ranking is None:
            return self._best_rows(queries, k, chosen, trace)
        tell(
            trace,
            Way.CODES,
            queries=len(queries),
            matching=chosen.count,
            scored=min(candidates, nodes) * len(queries),
            row_bytes=self.schema.row_bytes,
        )
        return ranking if graph.twins is None else graph.twins.beside(ranking, k, mask)

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
        wanted = min(k, graph.count)
        if scoring.rescore:
            count = scoring.count(k, width)
            ranking = self.best_of_walks(graph, queries, width, count, wanted)[:2]
        else:
            count, ranking = 0, graph.search(queries, width, wanted, scoring.whole(k, width))
        # Too few candidates: parts of the graph cannot be reached.
        last = ranking[0][:, -1]
        short = np.flatnonzero(last < 0).tolist() if last.min() < 0 else []
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
        if graph.twins is not None:
            ranking = graph.twins.beside(ranking, k)
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
        mask, twins = chosen.mask(len(self.rows)), graph.twins
        assert mask is not None
        admitted, nodes = _admitted(graph, mask, chosen.count)
        candidates, wanted = scoring.count(k, ef), min(k, nodes)
        ranking = blank(len(queries), wanted)
        balls = _Balls(
            self, graph, admitted, nodes=nodes, rows=chosen.count, ef=ef, k=wanted, candidates=candidates
        )
        hard = balls.into(ranking, queries)
        way, walked = self._way(graph, Way.WIDENED), len(queries) - len(hard)
        tell(
            trace,
            way,
            queries=walked,
            matching=chosen.count,
            scored=balls.scored,
            row_bytes=self.schema.row_bytes,
            width=balls.widest,
        )
        if twins is not None:
            ranking = twins.beside(ranking, k, mask)
        if hard:
            width = ranking[0].shape[1]
            rest = self._best_of_all(graph, queries[hard], width, chosen, candidates, trace)
            ranking[0][hard], ranking[1][hard] = rest
        return ranking

    def best_of_walks(
        self,
        graph: HnswGraph,
        queries: FloatArray,
        width: int,
        count: int,
        k: int,
        mask: PackedBits | None = None,
    ) -> Best:
        """As ``HnswGraph.best``, on the original vectors, whatever codes and vectors there are."""
        best = graph.best(queries, width, count, k, self._originals, mask)
        if best is not None:
            return best
        nodes = graph.candidates(queries, width, count if mask is None else width)
        walked = np.empty((len(queries), 2), dtype=np.int64)
        walked[:, 0] = np.count_nonzero(nodes >= 0, axis=1)
        if mask is not None:
            nodes = _allowed_first(nodes, mask)
        walked[:, 1] = np.count_nonzero(nodes >= 0, axis=1)
        return *best_candidates(self.schema.distance, queries, self._originals, k, nodes[:, :count]), walked

    def _way(self, graph: HnswGraph, way: Way) -> Way:
        return way if graph is self.graph else Way.VALUE_GRAPH

    def _finish_exactly(
        self, ranking: Ranking, left: list[int], queries: FloatArray, chosen: Chosen, trace: Trace | None
    ) -> None:
        if left:
            rows, scores = self._best_rows(queries[left], ranking[0].shape[1], chosen, trace)
            ranking[0][left], ranking[1][left] = rows, scores


Ball = tuple[Rows, FloatArray, int, int]
"""The nearest nodes to a query: the k best of those allowed and their similarities, how many nodes there are,
and how many of them are allowed."""


class _Balls:
    """The nearest nodes to queries, as many as it takes to hold enough rows of ``mask``.

    Attributes: ``widest``: nodes of the widest one. ``scored``: rows, of those that hold enough.
    """

    def __init__(
        self,
        vectors: VectorsView,
        graph: HnswGraph,
        mask: PackedBits,
        *,
        nodes: int,
        rows: int,
        ef: int,
        k: int,
        candidates: int,
    ) -> None:
        """``nodes`` are in ``mask``, to find ``rows`` that may be returned; of each ball ``candidates`` are
        scored."""
        self._vectors, self._graph, self._mask = vectors, graph, mask
        self._nodes, self._count, self._ef, self._k, self._candidates = nodes, rows, ef, k, candidates
        self._rows_per_node = vectors._rows_per_node(graph, filtered=True)
        self.widest = self.scored = 0

    def into(self, ranking: Ranking, queries: FloatArray) -> list[int]:
        """Write the best of each query's ball; returns those whose rows are scored cheaper all, exactly."""
        width = planner.first_width(self._ef, self._k, self._graph.count, self._nodes)
        width = max(width, self._candidates)  # of few nodes, more may be asked for than there are
        if planner.exact_is_cheaper(width, self._count, self._rows_per_node):
            return list(range(len(queries)))
        hard = []
        group = max(1, _BALLS_MAX // width)
        for first in range(0, len(queries), group):
            for i, ball in enumerate(self._walk(queries[first : first + group], width), first):
                enough = self._widened(queries[i], width, ball)
                if enough is None:
                    hard.append(i)
                else:
                    ranking[0][i], ranking[1][i], _, allowed = enough
                    self.scored += min(allowed, self._candidates)
        return hard

    def _walk(self, queries: FloatArray, width: int) -> Iterable[Ball]:
        self.widest = max(self.widest, width)
        rows, scores, walked = self._vectors.best_of_walks(
            self._graph, queries, width, self._candidates, self._k, self._mask
        )
        return zip(rows, scores, walked[:, 0].tolist(), walked[:, 1].tolist(), strict=True)

    def _widened(self, query: FloatArray, width: int, ball: Ball) -> Ball | None:
        while ball[3] < self._nodes and not planner.ball_is_full(width, self._ef, self._k, ball[3]):
            is_whole = ball[2] < width  # there are no more nodes to be had
            width = planner.next_width(width, self._ef, self._k, ball[3])
            if is_whole or planner.exact_is_cheaper(width, self._count, self._rows_per_node):
                return None
            (ball,) = self._walk(query[np.newaxis], width)
        return ball


def _admitted(graph: HnswGraph, mask: PackedBits, count: int) -> tuple[PackedBits, int]:
    """The nodes to be found so that the ``count`` rows of ``mask`` are, and how many these are."""
    return (mask, count) if graph.twins is None else graph.twins.admitting(mask, count)


def _allowed_first(nodes: Rows, mask: PackedBits) -> Rows:
    """Of each row of ``nodes`` (nq, n) those in ``mask``, as they come, then NO_ROW."""
    kept = bits.contains(mask, np.maximum(nodes, 0)) & (nodes >= 0)
    order = np.argsort(~kept, axis=1, kind="stable")
    return np.where(np.take_along_axis(kept, order, axis=1), np.take_along_axis(nodes, order, axis=1), NO_ROW)


def _width(graph: HnswGraph, k: int, ef: int | None, scoring: Scoring) -> int:
    """Nodes that a walk keeps where all may be returned."""
    width = planner.search_width(graph.params.ef_construct if ef is None else ef, k)
    return scoring.width(width, k, graph.count)


def blank(queries: int, k: int) -> Ranking:
    rows = np.full((queries, k), NO_ROW, dtype=np.int64)
    return rows, np.full((queries, k), -np.inf, dtype=np.float32)
