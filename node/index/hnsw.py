"""HNSW graphs over compressed codes: file, search for candidates.

A graph answers with *candidates*, ordered by its codes; who wants exact similarities scores them again on
the original vectors (``node.index.exact``). Filters are not pushed into FAISS's walk: it is the same with
and without a selector, so a caller that takes the whole of what was walked (``count = ef``) and keeps what
it may return gets the same rows, and also learns how many of the nearest rows pass.

Links are made over codes that lose nothing, or little; codes too coarse for that take their place afterwards.
Files (``graph_file``) are mapped on opening. ``docs/decisions/0002-graphs-over-codes.md`` and
``0003-quantization.md`` have the measurements behind the codes.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from node.index import graph_file
from node.index.choice import choose_linked
from node.index.codes import Code, Encoding, for_faiss, metric_of, slim
from node.index.exact import NO_ROW, Rows
from node.index.kernels import kernel_of
from node.index.library import faiss
from node.index.linking import GraphParams, GraphRows, linked_index, links_of, speak
from node.index.narrow import Originals
from node.index.packed_links import FaissLinks, PackedLinks
from node.index.packed_rows import PackedRows
from node.index.twins import Twins
from node.index.walk import ScoredGraph
from node.index.walking import walked, walked_packed
from protos.collections import Distance

_WORTH = {Distance.EUCLID: 0, Distance.COSINE: 1, Distance.DOT: 2}  # as ``walk.Graph.search`` has it

FloatArray = npt.NDArray[np.float32]
Ranking = tuple[Rows, FloatArray]
Best = tuple[Rows, FloatArray, npt.NDArray[np.int64]]
"""Rows and similarities, both (nq, k), best first, equal ones by row, padded with NO_ROW and -inf; and how
many nodes each walk kept, and how many of these were allowed (nq, 2)."""


class HnswGraph:
    """A finished graph. Searching is safe from many threads.

    Attributes:
        count: nodes in it. ``rows``: (count,) uint32, the matrix row of each node; None: node i is row i.
        twins: rows that are no nodes because they equal one; who searches puts them beside it.
        params, encoding, distance: how it was built.
    """

    def __init__(
        self,
        index: Any,
        rows: GraphRows | None,
        params: GraphParams,
        encoding: Encoding,
        distance: Distance,
        twins: Twins | None = None,
        packed: PackedLinks | None = None,
    ) -> None:
        """``index``: FAISS's graph; or, with ``packed`` links beside them, its codes alone."""
        self._index, self._packed = index, packed
        self._storage = index if packed else faiss.downcast_index(index.storage)
        self._scored: tuple[Originals, ScoredGraph | None] | None = None  # on the vectors asked for last
        self._walked, self._worth = None, _WORTH.get(distance, 0)
        if encoding.code is Code.SIGNS and params.quantization is not None:
            self._storage.qb = params.quantization.query_bits
        if packed is not None:
            self._walked = walked_packed(index, packed, encoding)
        elif encoding.of_integers or encoding.code is Code.SIGNS:
            self._walked = walked(index, encoding)
        self.rows, self.twins = rows, twins
        self.params = params
        self.encoding = encoding
        self.distance = distance
        self.count = int(index.ntotal)
        assert rows is None or len(rows) == self.count

    @classmethod
    def build(
        cls,
        distance: Distance,
        matrix: Originals,
        rows: GraphRows | None,
        params: GraphParams,
        encoding: Encoding,
        linked: Encoding | None = None,
        former: HnswGraph | None = None,
    ) -> HnswGraph:
        """Link ``matrix[rows]`` (all rows if None). Uses as many threads as ``set_threads`` allows.

        ``linked``: what ``choose_linked`` chose for it, if already known. ``former``: a graph whose nodes are
        the first of ``rows``, and whose links are kept; its ``params`` must be ``links_like`` these.
        """
        assert former is None or params.links_like(former.params)
        linked = linked or choose_linked(distance, matrix, rows, encoding)
        old = None if former is None else former._links()
        return cls(
            linked_index(distance, matrix, rows, params, encoding, linked, old),
            rows,
            params,
            encoding,
            distance,
        )

    @classmethod
    def open(
        cls,
        path: Path,
        rows: GraphRows | None,
        params: GraphParams,
        encoding: Encoding,
        distance: Distance,
        twins: Twins | None = None,
    ) -> HnswGraph:
        """Map the graph at ``path``; nothing is read before it is needed.

        Raises: OSError if there is no such file, RuntimeError if it cannot be read.
        """
        index, packed = graph_file.open_mapped(path)
        speak(index, encoding, metric_of(distance, encoding.code))
        slim(index if packed else faiss.downcast_index(index.storage), encoding)
        try:
            return cls(index, rows, params, encoding, distance, twins, packed)
        except ValueError as error:
            raise graph_file.GraphDamaged(str(error)) from error

    @property
    def covered(self) -> int:
        """Rows that a search finds: nodes and their twins."""
        return self.count + (0 if self.twins is None else len(self.twins))

    @property
    def covered_rows(self) -> GraphRows:
        """(covered,) in no order."""
        rows = np.arange(self.count, dtype=np.uint32) if self.rows is None else self.rows
        return rows if self.twins is None else np.concatenate([rows, self.twins.members])

    def save(self, path: Path) -> None:
        """Raises: OSError."""
        codes_bytes = self.count * int(self._storage.code_size)
        speak(self._index, self.encoding, faiss.METRIC_L2)
        is_packed = self.quick and graph_file.write_packed(self._storage, self._links(), path, codes_bytes)
        if not is_packed:
            graph_file.write(self._index, path, codes_bytes)
        speak(self._index, self.encoding, metric_of(self.distance, self.encoding.code))

    def _links(self) -> FaissLinks:
        """Unpacked into memory, if they are packed."""
        if self._packed is not None:
            return self._packed.unpacked(links_of(self.params))
        return FaissLinks.of(self._index)

    def candidates(self, queries: FloatArray, ef: int, count: int) -> Rows:
        """Rows near each query (nq, dim), by code, best first: (nq, count) padded with NO_ROW.

        ``ef`` is the number of nodes the walk keeps; ``count`` must not exceed it.
        """
        return self.search(queries, ef, count)[0]

    def best(
        self,
        queries: FloatArray,
        ef: int,
        count: int,
        k: int,
        matrix: Originals,
        allowed: npt.NDArray[np.uint8] | None = None,
    ) -> Best | None:
        """The ``k`` best of ``count`` candidates, scored on ``matrix`` as ``exact`` scores, in one call.

        ``allowed``: packed bits of the rows that may be candidates, of those that a walk kept.
        None: it cannot be done so, for these codes or vectors.
        """
        assert k <= count <= ef
        scored = self.scored(matrix)
        if scored is None:
            return None
        shape = len(queries), k
        rows, scores = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
        walked = np.empty((len(queries), 2), dtype=np.int64)
        queries = np.ascontiguousarray(queries)
        scored.search(queries, ef, count, rows, scores, walked, allowed)
        return rows, scores, walked

    def best_of_codes(
        self,
        queries: FloatArray,
        count: int,
        k: int,
        matrix: Originals,
        rows: Rows | None,
        allowed: npt.NDArray[np.uint8] | None,
    ) -> Ranking | None:
        """As ``best``, of all nodes that are allowed: by their rows, ascending, or else by packed bits.

        None also where codes are too coarse for that.
        """
        assert k <= count
        scored = self.scored(matrix)
        if scored is None or self.encoding.coarse:
            return None
        shape = len(queries), k
        found, scores = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
        scored.scan(np.ascontiguousarray(queries), count, found, scores, rows, allowed)
        return found, scores

    def scored(self, matrix: Originals) -> ScoredGraph | None:
        """What ``best`` calls; None: not with these codes or vectors."""
        kept = self._scored
        if kept is None or kept[0] is not matrix:
            kept = self._scored = matrix, self._scored_on(matrix)
        return kept[1]

    def _scored_on(self, matrix: Originals) -> ScoredGraph | None:
        kernel, is_distance = kernel_of(self.distance), self.distance is Distance.EUCLID
        if self._walked is None or kernel is None:
            return None
        if isinstance(matrix, PackedRows):
            return ScoredGraph(self._walked, matrix.packed, self.rows, kernel, is_distance)
        if not isinstance(matrix, np.ndarray):
            return None
        if matrix.dtype != np.float32 or not matrix.flags.c_contiguous:
            return None
        return ScoredGraph(self._walked, matrix, self.rows, kernel, is_distance)

    def search(self, queries: FloatArray, ef: int, count: int, whole: int | None = None) -> Ranking:
        """``candidates``, and their similarities by code (nq, count), -inf where there is no row; equal ones
        by row.

        ``whole``: how many nodes of a walk are compared by the whole of codes that are split; None: all.
        """
        assert count <= ef
        shape = (len(queries), count)
        if self._walked is None:
            return self._search_faiss(queries, ef, shape)
        rows, scores = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
        queries, whole = np.ascontiguousarray(queries), ef if whole is None else whole
        self._walked.search(queries, ef, whole, self._worth, rows, scores, self.rows)
        return rows, scores

    def _search_faiss(self, queries: FloatArray, ef: int, shape: tuple[int, int]) -> Ranking:
        distances, nodes = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64)
        taken, index = for_faiss(self.encoding, queries), self._index
        assert taken.shape[1] == index.d
        pointer = faiss.swig_ptr
        # ``search_c`` is FAISS's own method: the wrapper above it costs more than everything else here.
        index.search_c(
            len(taken), pointer(taken), shape[1], pointer(distances), pointer(nodes), _walk_parameters(ef)
        )
        rows, scores = self._rows_of(nodes), self._similarities(distances, nodes)
        order = np.lexsort((rows, -scores, rows < 0), axis=1)
        return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)

    @property
    def quick(self) -> bool:
        """Is it walked by ``node.index.walk``, at half of what FAISS's walk costs?"""
        return self._walked is not None

    # --- queries and answers ---------------------------------------------------------------------------

    def _rows_of(self, nodes: npt.NDArray[np.int64]) -> Rows:
        if self.rows is None or self.count == 0:
            return np.asarray(nodes, dtype=np.int64)
        rows = self.rows.take(nodes, mode="wrap").astype(np.int64)
        rows[nodes < 0] = NO_ROW
        return rows

    def _similarities(self, distances: FloatArray, nodes: Rows) -> FloatArray:
        """Internal similarities from FAISS's distances."""
        found = distances
        if self._index.metric_type != faiss.METRIC_INNER_PRODUCT:
            found = 1 - distances * np.float32(0.5) if self.distance is Distance.COSINE else -distances
        return np.where(nodes < 0, np.float32(-np.inf), found).astype(np.float32)


@lru_cache(maxsize=64)
def _walk_parameters(ef: int) -> Any:
    """FAISS only reads them, so that threads share them."""
    return faiss.SearchParametersHNSW(efSearch=ef)
