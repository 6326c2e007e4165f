"""HNSW graphs over compressed codes: build, file, search for candidates, scan of the codes.

A graph answers with *candidates*, ordered by its codes; who wants exact similarities scores them again on
the original vectors (``node.index.exact``). Filters are not pushed into FAISS's walk: it is the same with
and without a selector, so a caller that takes the whole of what was walked (``count = ef``) and keeps what
it may return gets the same rows, and also learns how many of the nearest rows pass.

Links are always made over codes that lose nothing; codes too coarse for that take their place afterwards.
Files are FAISS's own format, mapped on opening. ``docs/decisions/0002-graphs-over-codes.md`` and
``0003-quantization.md`` have the measurements behind the codes.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.index.codes import (
    BLOCK_ROWS,
    Code,
    Encoding,
    choose_lossless,
    code_bytes,
    for_faiss,
    integers_of,
    metric_of,
    sq_type,
    train,
)
from node.index.exact import NO_ROW, Rows
from node.index.library import faiss
from node.index.quantization import Quantization
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
GraphRows = npt.NDArray[np.uint32]

_LINKS_MIN = 2  # FAISS's level distribution needs a base above 1
_LINK_BYTES = 4
_NODE_BYTES = 40  # level, offset, lock and upper-level links
_UPPER_LINKS = 1.1  # room for the links of upper levels, as a multiple of the lowest's
_LEVELS = 255


class GraphParams(Struct, frozen=True):
    """``m`` links per node and level above the lowest, which has twice as many."""

    m: int = 16
    ef_construct: int = 100
    quantization: Quantization | None = None


class HnswGraph:
    """A finished graph. Searching is safe from many threads.

    Attributes:
        count: nodes in it. ``rows``: (count,) uint32, the matrix row of each node; None: node i is row i.
        params, encoding, distance: how it was built.
    """

    def __init__(
        self,
        index: Any,
        rows: GraphRows | None,
        params: GraphParams,
        encoding: Encoding,
        distance: Distance,
        path: Path | None = None,
    ) -> None:
        self._index = index
        self._storage = faiss.downcast_index(index.storage)
        self._path = path
        self._floats: Any = None  # the same graph for queries beyond the range of integers, made late
        self._making = Lock()
        self.rows = rows
        self.params = params
        self.encoding = encoding
        self.distance = distance
        self.count = int(index.ntotal)
        assert rows is None or len(rows) == self.count
        if encoding.code is Code.SIGNS and params.quantization is not None:
            self._storage.qb = params.quantization.query_bits

    @classmethod
    def build(
        cls,
        distance: Distance,
        matrix: npt.NDArray[Any],
        rows: GraphRows | None,
        params: GraphParams,
        encoding: Encoding,
        linked: Encoding | None = None,
    ) -> HnswGraph:
        """Link ``matrix[rows]`` (all rows if None). Uses as many threads as ``set_threads`` allows.

        ``linked``: what ``linking`` chose for it, if already known.
        """
        metric = metric_of(distance, encoding.code)
        linked = linked or linking(distance, matrix, rows, encoding)
        index = _empty_index(linked, matrix.shape[1], params, metric)
        index.hnsw.efConstruction = params.ef_construct
        _fill(index, index, linked, matrix, rows)
        if linked != encoding:
            coarse = _empty_index(encoding, matrix.shape[1], params, metric)
            _speak(coarse, encoding, metric)
            _fill(coarse, faiss.downcast_index(coarse.storage), encoding, matrix, rows)
            coarse.hnsw, coarse.ntotal = index.hnsw, index.ntotal
            index = coarse
        return cls(index, rows, params, encoding, distance)

    @classmethod
    def open(
        cls, path: Path, rows: GraphRows | None, params: GraphParams, encoding: Encoding, distance: Distance
    ) -> HnswGraph:
        """Map the graph at ``path``; nothing is read before it is needed.

        Raises: OSError if there is no such file, RuntimeError if FAISS cannot read it.
        """
        path.stat()  # FAISS reports a missing file as a RuntimeError
        index = _map(path)
        _speak(index, encoding, metric_of(distance, encoding.code))
        return cls(index, rows, params, encoding, distance, path)

    def save(self, path: Path) -> None:
        _speak(self._index, self.encoding, faiss.METRIC_L2)
        faiss.write_index(self._index, str(path))
        _speak(self._index, self.encoding, metric_of(self.distance, self.encoding.code))

    def candidates(self, queries: FloatArray, ef: int, count: int) -> Rows:
        """Rows near each query (nq, dim), by code, best first: (nq, count) padded with NO_ROW.

        ``ef`` is the number of nodes the walk keeps; ``count`` must not exceed it.
        """
        return self._rows_of(self._nearest(queries, ef, count)[1])

    def search(self, queries: FloatArray, ef: int, count: int) -> tuple[Rows, FloatArray]:
        """``candidates``, and their similarities by code (nq, count), -inf where there is no row."""
        distances, nodes, step = self._nearest(queries, ef, count)
        return self._rows_of(nodes), self._similarities(distances, nodes, step)

    def _nearest(self, queries: FloatArray, ef: int, count: int) -> tuple[FloatArray, Rows, float]:
        """FAISS's distances and nodes, both (nq, count), and the step that the distances are counted in."""
        assert count <= ef
        taken, index, step = self._taken(queries), self._index, self._step
        if taken is None:
            taken, index, step = self._padded(queries), self._of_floats(), 1.0
        assert taken.shape[1] == index.d
        shape = (len(taken), count)
        distances, nodes = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64)
        pointer = faiss.swig_ptr
        # ``search_c`` is FAISS's own method: the wrapper above it costs more than everything else here.
        index.search_c(
            len(taken), pointer(taken), count, pointer(distances), pointer(nodes), _walk_parameters(ef)
        )
        return distances, nodes, step

    @property
    def scans(self) -> bool:
        """Can ``scan`` be used? (FAISS has no filtered scan of product codes.)"""
        return self.encoding.code is not Code.PRODUCT

    def scan(
        self, queries: FloatArray, allowed: npt.NDArray[np.uint8], count: int
    ) -> tuple[Rows, FloatArray]:
        """The best ``count`` rows by code among those allowed, from reading the codes alone; no walk.

        Args:
            allowed: packed bits of matrix rows, little-endian, at least one bit per row.

        Returns: rows and similarities by code, both (nq, count), best first, padded with NO_ROW and -inf.
        """
        assert self.scans
        if self.rows is not None:
            flags = allowed[self.rows >> 3] >> (self.rows & 7).astype(np.uint8) & 1
            allowed = np.packbits(flags, bitorder="little")
        selector = faiss.IDSelectorBitmap(np.ascontiguousarray(allowed))  # FAISS keeps a bare pointer
        wanted = faiss.SearchParameters(sel=selector)
        if self.encoding.code is Code.SIGNS:
            wanted = faiss.RaBitQSearchParameters(sel=selector, qb=self._storage.qb, centered=False)
        taken = self._taken(queries)
        if taken is None:
            storage = faiss.downcast_index(self._of_floats().storage)
            distances, nodes = storage.search(self._padded(queries), count, params=wanted)
            return self._rows_of(nodes), self._similarities(distances, nodes, step=1.0)
        distances, nodes = self._storage.search(taken, count, params=wanted)
        return self._rows_of(nodes), self._similarities(distances, nodes, self._step)

    # --- queries and answers ---------------------------------------------------------------------------

    @property
    def _step(self) -> float:
        return self.encoding.step if self.encoding.code is Code.INTEGER_8BIT else 1.0

    def _taken(self, queries: FloatArray) -> FloatArray | None:
        """Queries as the codes take them; None: compare them as floats (``_of_floats``)."""
        if self.encoding.code is Code.INTEGER_8BIT:
            return integers_of(self.encoding, queries)
        return for_faiss(self.encoding, queries)

    def _padded(self, queries: FloatArray) -> FloatArray:
        padded = np.full((len(queries), self.encoding.width), self.encoding.low, dtype=np.float32)
        padded[:, : queries.shape[1]] = queries
        return padded

    def _of_floats(self) -> Any:
        """The same links and codes, but with queries compared as floats."""
        with self._making:
            if self._floats is None:
                index = faiss.clone_index(self._index) if self._path is None else _map(self._path)
                low, step = self.encoding.low, self.encoding.step
                quantizer = faiss.downcast_index(index.storage).sq
                quantizer.qtype = sq_type(Code.UNIFORM_8BIT)
                range_ = np.array([low - step / 2, _LEVELS * step], dtype=np.float32)
                faiss.copy_array_to_vector(range_, quantizer.trained)
                self._floats = index
        return self._floats

    def _rows_of(self, nodes: npt.NDArray[np.int64]) -> Rows:
        if self.rows is None or self.count == 0:
            return np.asarray(nodes, dtype=np.int64)
        rows = self.rows.take(nodes, mode="wrap").astype(np.int64)
        rows[nodes < 0] = NO_ROW
        return rows

    def _similarities(self, distances: FloatArray, nodes: Rows, step: float) -> FloatArray:
        """Internal similarities from FAISS's distances."""
        found = distances
        if self._index.metric_type != faiss.METRIC_INNER_PRODUCT:
            square = np.float32(step * step)
            found = 1 - distances * (square / 2) if self.distance is Distance.COSINE else distances * -square
        return np.where(nodes < 0, np.float32(-np.inf), found).astype(np.float32)


def linking(
    distance: Distance, matrix: npt.NDArray[Any], rows: GraphRows | None, encoding: Encoding
) -> Encoding:
    """The encoding to link over: ``encoding`` itself unless it is too coarse for good links."""
    if encoding.coarse or encoding.code is Code.UNIFORM_4BIT:
        return choose_lossless(distance, matrix, rows)
    return encoding


def build_bytes(
    dim: int, rows: int, params: GraphParams, encoding: Encoding, linked: Encoding | None = None
) -> int:
    """Estimated memory that ``HnswGraph.build`` allocates."""
    links = 2 * max(params.m, _LINKS_MIN) * _LINK_BYTES * _UPPER_LINKS
    vectors = code_bytes(encoding, dim)
    if linked is not None and linked != encoding:
        vectors += code_bytes(linked, dim)
        links *= 2  # the finished graph's own copy
    widest = max(dim, encoding.width)
    blocks = 3 * min(rows, BLOCK_ROWS) * widest * 4  # gathered, converted, and FAISS's own
    return int(rows * (vectors + links + _NODE_BYTES)) + blocks


@lru_cache(maxsize=64)
def _walk_parameters(ef: int) -> Any:
    """FAISS only reads them, so that threads share them."""
    return faiss.SearchParametersHNSW(efSearch=ef)


def _map(path: Path) -> Any:
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def _empty_index(encoding: Encoding, dim: int, params: GraphParams, metric: int) -> Any:
    links, width = max(params.m, _LINKS_MIN), encoding.width or dim
    match encoding.code:
        case Code.FLOAT32:
            return faiss.IndexHNSWFlat(width, links, metric)
        case Code.PRODUCT:
            return faiss.IndexHNSWPQ(width, encoding.parts, links, 8, metric)
        case Code.SIGNS:
            return faiss.IndexHNSWRaBitQ(width, links, 1, faiss.METRIC_L2)
        case _:
            return faiss.IndexHNSWSQ(width, sq_type(encoding.code), links, metric)


def _speak(index: Any, encoding: Encoding, metric: int) -> None:
    """Have a graph over signs compare by ``metric``: FAISS makes and reads such graphs for L2 only."""
    if encoding.code is Code.SIGNS:
        storage = faiss.downcast_index(index.storage)
        index.metric_type = storage.metric_type = storage.rabitq.metric_type = metric
        index.hnsw.is_similarity = metric == faiss.METRIC_INNER_PRODUCT


def _fill(
    index: Any, adding: Any, encoding: Encoding, matrix: npt.NDArray[Any], rows: GraphRows | None
) -> None:
    """Train ``index`` and add all rows to ``adding``: to the index, which links them, or to its storage."""
    storage = faiss.downcast_index(index.storage)
    train(storage, encoding, matrix, rows)
    index.is_trained = True
    total = len(matrix) if rows is None else len(rows)
    _reserve(storage.codes, total * storage.code_size)
    if adding is index:
        _reserve(index.hnsw.neighbors, int(total * index.hnsw.nb_neighbors(0) * _UPPER_LINKS))
    for first in range(0, total, BLOCK_ROWS):
        part = slice(first, first + BLOCK_ROWS)
        adding.add(for_faiss(encoding, matrix[part] if rows is None else matrix[rows[part]]))


def _reserve(vector: Any, size: int) -> None:
    """Give a C++ vector room at once: one that grows holds itself twice while it moves."""
    vector.resize(size)
    vector.resize(0)
