"""HNSW graphs over compressed codes: choice of code, build, file, and search for candidates.

A graph answers with *candidates*, ordered by its codes; who wants similarities scores them again on the
original vectors (``node.index.exact``). Filters are not pushed into FAISS: its walk is the same with and
without a selector, so a caller that takes the whole of what was walked (``count = ef``) and keeps what it
may return gets the same rows, and also learns how many of the nearest rows pass.

Files are FAISS's own format, mapped on opening. ``docs/decisions/0002-graphs-over-codes.md`` has the
measurements behind the codes.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.index.exact import NO_ROW, Rows, best_of, similarities
from node.index.library import faiss
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
GraphRows = npt.NDArray[np.uint32]

_LINKS_MIN = 2  # FAISS's level distribution needs a base above 1
_BLOCK_ROWS = 65_536
_PROBE_ROWS, _PROBE_QUERIES, _PROBE_K = 4096, 128, 10
_PROBE_RECALL_MIN = 0.999
_LINK_BYTES = 4
_NODE_BYTES = 40  # level, offset, lock and upper-level links


class Code(enum.Enum):
    """How a graph stores vectors, cheapest first."""

    UNIFORM_8BIT = "8bit_uniform"
    PER_DIMENSION_8BIT = "8bit"
    FLOAT16 = "float16"
    FLOAT32 = "float32"


_QUANTIZERS = {
    Code.UNIFORM_8BIT: faiss.ScalarQuantizer.QT_8bit_uniform,
    Code.PER_DIMENSION_8BIT: faiss.ScalarQuantizer.QT_8bit,
    Code.FLOAT16: faiss.ScalarQuantizer.QT_fp16,
}
_COMPONENT_BYTES = {Code.UNIFORM_8BIT: 1, Code.PER_DIMENSION_8BIT: 1, Code.FLOAT16: 2, Code.FLOAT32: 4}
_METRICS = {
    Distance.COSINE: faiss.METRIC_INNER_PRODUCT,
    Distance.DOT: faiss.METRIC_INNER_PRODUCT,
    Distance.EUCLID: faiss.METRIC_L2,
    Distance.MANHATTAN: faiss.METRIC_L1,
}


class GraphParams(Struct, frozen=True):
    """``m`` links per node and level above the lowest, which has twice as many."""

    m: int = 16
    ef_construct: int = 100


class HnswGraph:
    """A finished graph. Searching is safe from many threads.

    Attributes:
        count: nodes in it. ``rows``: (count,) uint32, the matrix row of each node; None: node i is row i.
        params, code: how it was built.
    """

    def __init__(self, index: Any, rows: GraphRows | None, params: GraphParams, code: Code) -> None:
        self._index = index
        self.rows = rows
        self.params = params
        self.code = code
        self.count = int(index.ntotal)
        assert rows is None or len(rows) == self.count

    @classmethod
    def build(
        cls, distance: Distance, matrix: FloatArray, rows: GraphRows | None, params: GraphParams, code: Code
    ) -> HnswGraph:
        """Link ``matrix[rows]`` (all rows if None). Uses as many threads as ``set_threads`` allows."""
        index = _empty_index(distance, matrix.shape[1], params, code)
        _train(index, matrix, rows)
        if rows is None:
            index.add(matrix)
        else:
            for first in range(0, len(rows), _BLOCK_ROWS):
                index.add(matrix[rows[first : first + _BLOCK_ROWS]])
        return cls(index, rows, params, code)

    @classmethod
    def open(cls, path: Path, rows: GraphRows | None, params: GraphParams, code: Code) -> HnswGraph:
        """Map the graph at ``path``; nothing is read before it is needed.

        Raises: OSError if there is no such file, RuntimeError if FAISS cannot read it.
        """
        path.stat()  # FAISS reports a missing file as a RuntimeError
        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC), rows, params, code)

    def save(self, path: Path) -> None:
        faiss.write_index(self._index, str(path))

    def candidates(self, queries: FloatArray, ef: int, count: int) -> Rows:
        """Rows near each query (nq, dim), by code, best first: (nq, count) padded with NO_ROW.

        ``ef`` is the number of nodes the walk keeps; ``count`` must not exceed it.
        """
        assert count <= ef
        wanted = faiss.SearchParametersHNSW(efSearch=ef)
        _, nodes = self._index.search(np.ascontiguousarray(queries), count, params=wanted)
        if self.rows is None or self.count == 0:
            return np.asarray(nodes, dtype=np.int64)
        return np.where(nodes < 0, NO_ROW, self.rows[nodes].astype(np.int64))


def choose_code(distance: Distance, matrix: FloatArray, rows: GraphRows | None = None) -> Code:
    """The cheapest code whose best 2k hold the true best k of a sample of ``matrix[rows]``.

    Manhattan always keeps float32: FAISS computes L1 on floats only.
    """
    if distance is Distance.MANHATTAN:
        return Code.FLOAT32
    total = len(matrix) if rows is None else len(rows)
    picked = np.unique(np.linspace(0, total - 1, min(total, _PROBE_ROWS)).astype(np.int64))
    sample = matrix[picked if rows is None else rows[picked]]
    return next(
        (
            code
            for code in _QUANTIZERS
            if _code_recall(distance, matrix, rows, sample, code) >= _PROBE_RECALL_MIN
        ),
        Code.FLOAT32,
    )


def build_bytes(dim: int, rows: int, params: GraphParams, code: Code, *, gathered: bool) -> int:
    """Estimated memory that ``HnswGraph.build`` allocates. Codes grow by doubling when gathered."""
    links = 2 * max(params.m, _LINKS_MIN) * _LINK_BYTES
    growth = 2.0 if gathered else 1.1
    block = min(rows, _BLOCK_ROWS) * dim * 4 if gathered else 0
    return int(rows * (dim * _COMPONENT_BYTES[code] + links + _NODE_BYTES) * growth) + block


def _empty_index(distance: Distance, dim: int, params: GraphParams, code: Code) -> Any:
    links, metric = max(params.m, _LINKS_MIN), _METRICS[distance]
    if code is Code.FLOAT32:
        index = faiss.IndexHNSWFlat(dim, links, metric)
    else:
        index = faiss.IndexHNSWSQ(dim, _QUANTIZERS[code], links, metric)
    index.hnsw.efConstruction = params.ef_construct
    return index


def _train(index: Any, matrix: FloatArray, rows: GraphRows | None) -> None:
    """Teach the code its range from the extremes of every row: a value outside would be clipped."""
    if index.is_trained:
        return
    blocks = range(0, len(matrix) if rows is None else len(rows), _BLOCK_ROWS)
    extremes = []
    for first in blocks:
        part = slice(first, first + _BLOCK_ROWS)
        block = matrix[part] if rows is None else matrix[rows[part]]
        extremes += [block.min(axis=0), block.max(axis=0)]
    index.train(np.stack(extremes))


def _code_recall(
    distance: Distance, matrix: FloatArray, rows: GraphRows | None, sample: FloatArray, code: Code
) -> float:
    k = min(_PROBE_K, len(sample))
    queries = sample[:: max(1, len(sample) // _PROBE_QUERIES)]
    coded = faiss.IndexScalarQuantizer(sample.shape[1], _QUANTIZERS[code], _METRICS[distance])
    _train(coded, matrix, rows)
    coded.add(sample)
    _, by_code = coded.search(queries, min(2 * k, len(sample)))
    _, scores = best_of(distance, queries, sample, k)
    hits = [
        np.count_nonzero(similarities(distance, query, sample, found[found >= 0]) >= best[-1])
        for query, found, best in zip(queries, by_code, scores, strict=True)
    ]
    return float(np.mean(np.minimum(hits, k)) / k)
