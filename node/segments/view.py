"""One segment as a reader sees it: immutable vectors, presence and graphs of a range of slots.

Invariants: every row that a caller may allow and that has a vector is in the graph, if there is one (rows
kept out were dead when it was built, and slots never come back to life); arrays are read-only and stay
valid after the segment's files are unlinked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from node import bits
from node.bits import PackedBits
from node.bits import Slots as Rows
from node.index import NO_ROW, HnswGraph, best_of, similarities
from node.index.exact import select
from node.segments import planner
from node.segments.schema import VectorSchema

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
        self, queries: FloatArray, k: int, allowed: PackedBits | None, *, ef: int | None, exact: bool
    ) -> Ranking:
        """Rows and similarities, both (nq, <= k), best first, padded with NO_ROW and -inf."""
        mask = self._mask(allowed)
        count = len(self.matrix) if mask is None else bits.count(mask)
        k = min(k, count)
        graph = self.graph
        if graph is None or exact or k == 0:
            return self._best_rows(queries, k, mask)
        width = planner.search_width(graph.params.ef_construct if ef is None else ef, k)
        if planner.exact_is_cheaper(width, count):
            return self._best_rows(queries, k, mask)
        if count >= graph.count:
            return self._walk(graph, queries, k, width, mask)
        assert mask is not None
        return self._walk_filtered(graph, queries, k, width, mask, count)

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
        self, graph: HnswGraph, queries: FloatArray, k: int, width: int, mask: PackedBits | None
    ) -> Ranking:
        """Every node may be returned."""
        found = graph.candidates(queries, width, planner.rescored(k, width))
        ranking = _blank(len(queries), k)
        for i, candidates in enumerate(found):
            candidates = candidates[candidates >= 0]
            if len(candidates) < k:  # parts of the graph cannot be reached
                _put(ranking, i, *self._best_rows(queries[i : i + 1], k, mask))
            else:
                self._rescore(ranking, i, queries[i], candidates)
        return ranking

    def _walk_filtered(
        self, graph: HnswGraph, queries: FloatArray, k: int, ef: int, mask: PackedBits, count: int
    ) -> Ranking:
        ranking = _blank(len(queries), k)
        first = planner.first_width(ef, graph.count, count)
        hard = []
        for i, query in enumerate(queries):
            candidates = _passing_ball(graph, query, first, ef, mask, count)
            if candidates is None:
                hard.append(i)
            else:
                self._rescore(ranking, i, query, candidates[: planner.rescored(k, ef)])
        if hard:
            rows, scores = self._best_rows(queries[hard], k, mask)
            ranking[0][hard], ranking[1][hard] = rows, scores
        return ranking

    def _rescore(self, ranking: Ranking, i: int, query: FloatArray, candidates: Rows) -> None:
        candidates = np.sort(candidates)
        scores = similarities(self.schema.distance, query, self.matrix, candidates)
        best = select(scores, ranking[0].shape[1])
        ranking[0][i], ranking[1][i] = candidates[best], scores[best]


class SegmentView:
    """Slots [start, start + rows) and their vectors. ``capacity`` is what the range may grow to.

    Attributes:
        id: unique among all segments of the shard; the name of ``directory``.
    """

    def __init__(
        self,
        directory: Path,
        *,
        start: int,
        rows: int,
        capacity: int,
        vectors: Mapping[str, VectorsView],
        measure: Callable[[], int],
    ) -> None:
        assert start % 64 == 0
        self.id = directory.name
        self.directory = directory
        self.start = start
        self.rows = rows
        self.capacity = capacity
        self._vectors = dict(vectors)
        self._measure = measure

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._vectors)

    @property
    def schemas(self) -> tuple[VectorSchema, ...]:
        return tuple(vectors.schema for vectors in self._vectors.values())

    @property
    def bytes_on_disk(self) -> int:
        """Asks the file system."""
        return self._measure()

    def dense(self, name: str) -> tuple[FloatArray, PackedBits | None]:
        """Matrix (rows, dim) and packed presence (None: all). Raises: KeyError for a name it lacks."""
        vectors = self._vectors[name]
        return vectors.matrix, vectors.present

    def graph(self, name: str) -> HnswGraph | None:
        vectors = self._vectors.get(name)
        return vectors.graph if vectors else None

    def vector(self, slot: int, name: str) -> FloatArray | None:
        """The row (dim,) of ``slot``, which is in range; None if the point has no such vector."""
        vectors = self._vectors.get(name)
        row = slot - self.start
        assert 0 <= row < self.rows
        if vectors is None:
            return None
        if vectors.present is not None and not vectors.present[row >> 3] >> (row & 7) & 1:
            return None
        found: FloatArray = vectors.matrix[row]
        return found

    def search(
        self,
        name: str,
        queries: FloatArray,
        k: int,
        *,
        allowed: PackedBits | None = None,
        allowed_count: int | None = None,
        ef: int | None = None,
        exact: bool = False,
    ) -> Ranking:
        """The k most similar rows to each query, exactly or by the graph, whichever serves better.

        Args:
            queries: (nq, dim) float32, normalised for Cosine.
            allowed: packed bits of the rows of this segment that may be returned (bits past ``rows`` are
                ignored); None: all of them are live and match.
            allowed_count: set bits in it, if known; all rows set saves work.
            ef: nodes a graph walk keeps (raised to fit ``k`` and the filter); None: ``ef_construct``.

        Returns: slots int64 and internal similarities float32, both (nq, k'), k' <= k, best first; missing
            ones are -1 and -inf. Equal similarities go by slot. No results for a name it lacks.
        """
        vectors = self._vectors.get(name)
        if vectors is None or not self.rows:
            return _blank(len(queries), 0)
        if allowed_count is not None and allowed_count >= self.rows:
            allowed = None
        rows, scores = vectors.search(queries, k, allowed, ef=ef, exact=exact)
        return np.where(rows < 0, NO_ROW, rows + self.start), scores


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


def _blank(queries: int, k: int) -> Ranking:
    rows = np.full((queries, k), NO_ROW, dtype=np.int64)
    return rows, np.full((queries, k), -np.inf, dtype=np.float32)


def _put(ranking: Ranking, i: int, rows: Rows, scores: FloatArray) -> None:
    ranking[0][i], ranking[1][i] = rows[0], scores[0]
