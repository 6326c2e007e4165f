"""Exact similarity of queries to rows of a matrix, and the best rows by it.

Every value is computed pair by pair (FAISS's ``by_idx`` kernels), never as ‖x‖² + ‖y‖² − 2xy, which loses
the small distances; for batches such a product tells which pairs are worth it (``products``). Equal vectors
at Euclid are at exactly 0. The kernels read rows in place, release the interpreter lock and give a pair the
same bits in whatever company it is scored.

Memory is bounded: scores are held for a group of queries at a time; Manhattan gathers rows in blocks, and
rows of fewer bits than float32 are widened in blocks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from node.index import products
from node.index.library import faiss
from node.index.narrow import NarrowRows, Originals
from node.index.packed_rows import PackedRows, floats_of
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

NO_ROW = -1  # pads results; its similarity is -inf

_BLOCK_ROWS = 65_536
_CACHED_BLOCK_BYTES = 512 * 1024  # rows that several queries read while they stay in a core's cache
_GATHER_BYTES = 4 * 1024 * 1024
_SCORES_BYTES_MAX = 64 * 1024 * 1024
_SORTED_MAX = 512  # more scores than these are partitioned before they are sorted
_ALL_ROWS = np.arange(_BLOCK_ROWS, dtype=np.int64)


def similarities(distance: Distance, query: FloatArray, matrix: Originals, rows: Rows) -> FloatArray:
    """Similarity of ``query`` (dim,) to ``matrix[rows]``; (len(rows),). Rows must exist."""
    if isinstance(matrix, NarrowRows):
        found: FloatArray = score_table(distance, query[np.newaxis], matrix, rows)[0]
        return found
    scores = np.empty(len(rows), dtype=np.float32)
    _score(distance, np.ascontiguousarray(query), matrix, np.ascontiguousarray(rows), scores)
    return scores


def best_of(
    distance: Distance, queries: FloatArray, matrix: Originals, k: int, rows: Rows | None = None
) -> tuple[Rows, FloatArray]:
    """The k rows most similar to each query, among ``rows`` (ascending) or all of ``matrix`` (n, dim).

    Returns: rows and similarities, both (nq, min(k, candidates)), best first; of equal ones, and of equal
    ones at the edge, the smaller row comes first.
    """
    candidates = len(matrix) if rows is None else len(rows)
    k = min(k, candidates)
    found = np.empty((len(queries), k), dtype=np.int64)
    scores = np.empty((len(queries), k), dtype=np.float32)
    group = max(1, _SCORES_BYTES_MAX // max(1, candidates * scores.itemsize))
    for first in range(0, len(queries) if k else 0, group):
        part = np.ascontiguousarray(queries[first : first + group])
        ranking = found[first : first + group], scores[first : first + group]
        floats = floats_of(matrix)
        if floats is not None and k < candidates and products.serve(distance, len(part), floats, candidates):
            _rank_chosen(ranking, distance, part, floats, rows)
        else:
            _rank_all(ranking, distance, part, matrix, rows)
    return found, scores


def _rank_all(
    ranking: tuple[Rows, FloatArray],
    distance: Distance,
    queries: FloatArray,
    matrix: Originals,
    rows: Rows | None,
) -> None:
    for found, scores, row in zip(*ranking, score_table(distance, queries, matrix, rows), strict=True):
        picked = select(row, len(found))
        found[:] = picked if rows is None else rows[picked]
        scores[:] = row[picked]


def _rank_chosen(
    ranking: tuple[Rows, FloatArray],
    distance: Distance,
    queries: FloatArray,
    matrix: FloatArray | PackedRows,
    rows: Rows | None,
) -> None:
    """``_rank_all``, bit for bit, by scoring only what ``products`` leaves to be decided."""
    k = ranking[0].shape[1]
    left = []
    chosen = products.candidates_of(distance, queries, matrix, k, rows)
    for i, candidates in enumerate(chosen):
        if candidates is None:
            left.append(i)
            continue
        scored = similarities(distance, queries[i], matrix, candidates)
        best = select(scored, k)
        ranking[0][i], ranking[1][i] = candidates[best], scored[best]
    if left:
        rest = np.empty((len(left), k), dtype=np.int64), np.empty((len(left), k), dtype=np.float32)
        _rank_all(rest, distance, queries[left], matrix, rows)
        ranking[0][left], ranking[1][left] = rest


def best_candidates(
    distance: Distance, queries: FloatArray, matrix: Originals, k: int, candidates: Rows
) -> tuple[Rows, FloatArray]:
    """The k rows most similar to each query among candidates of its own, (nq, c) padded with NO_ROW.

    Returns: rows and similarities, both (nq, min(k, c)), best first, equal ones by row; where a query has
    fewer, NO_ROW and -inf.
    """
    rows = candidates.copy()
    rows.view(np.uint64).sort(axis=1)  # NO_ROW is last
    scores = _score_candidates(distance, queries, matrix, rows)
    if len(rows) == 1 and rows.shape[1] <= _SORTED_MAX and rows[0, -1] >= 0:
        order = (-scores[0]).argsort(kind="stable")[:k]
        return rows[:, order], scores[:, order]
    if rows.shape[1] > _SORTED_MAX or rows[:, -1].min() < 0:
        places = np.stack([select(row, k) for row in scores])
    else:
        places = (-scores).argsort(axis=1, kind="stable")[:, :k]
    places += np.arange(len(rows))[:, np.newaxis] * rows.shape[1]
    return rows.take(places), scores.take(places)


def select(scores: FloatArray, k: int) -> Rows:
    """Positions of the k largest scores, best first, equal ones by position. NaN ranks last."""
    if len(scores) and np.isnan(np.maximum.reduce(scores)):
        scores = np.where(np.isnan(scores), np.float32(-np.inf), scores)
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    edge = np.partition(scores, len(scores) - k)[len(scores) - k]
    picked = np.flatnonzero(scores >= edge)
    return picked[np.argsort(-scores[picked], kind="stable")[:k]]


def score_table(
    distance: Distance, queries: FloatArray, matrix: Originals, rows: Rows | None = None
) -> FloatArray:
    """Similarities of all ``queries`` to ``rows`` (None: all) of ``matrix``; (nq, candidates).

    Several queries go over the rows block by block, together, and narrow rows are widened so.
    """
    candidates = len(matrix) if rows is None else len(rows)
    if isinstance(matrix, PackedRows):
        found = matrix.score(distance, queries, np.arange(candidates) if rows is None else rows)
        if found is not None:
            return found
    scores = np.empty((len(queries), candidates), dtype=np.float32)
    narrow = isinstance(matrix, NarrowRows)
    block = _BLOCK_ROWS
    if narrow or len(queries) > 1:
        block = min(block, max(64, _CACHED_BLOCK_BYTES // (matrix.shape[1] * scores.itemsize)))
    for first in range(0, candidates, block):
        last = min(first + block, candidates)
        part, wanted = matrix, _ALL_ROWS[: last - first]
        if rows is None:
            part = matrix[first:last]
        elif narrow:
            part = matrix[rows[first:last]]
        else:
            wanted = rows[first:last]
        assert not isinstance(part, NarrowRows)
        for query, out in zip(queries, scores, strict=True):
            _score(distance, query, part, wanted, out[first:last])
    return scores


def _score_candidates(
    distance: Distance, queries: FloatArray, matrix: Originals, candidates: Rows
) -> FloatArray:
    """Of each query to rows of its own, both (nq, c); -inf for NO_ROW."""
    scores = np.empty(candidates.shape, dtype=np.float32)
    if distance is not Distance.MANHATTAN:
        queries = np.ascontiguousarray(queries)
        if not isinstance(matrix, NarrowRows):
            _score_by_index(distance, queries, matrix, candidates, scores)
            return scores
        if candidates.size * matrix.shape[1] * scores.itemsize <= _GATHER_BYTES:
            _score_widened(distance, queries, matrix, candidates, scores)
            return scores
    for query, rows, out in zip(queries, candidates, scores, strict=True):
        there = int(np.count_nonzero(rows >= 0))
        out[there:] = -np.inf
        out[:there] = similarities(distance, query, matrix, rows[:there])
    return scores


def _score_widened(
    distance: Distance, queries: FloatArray, matrix: NarrowRows, candidates: Rows, out: FloatArray
) -> None:
    """As ``_score_by_index``, of rows that are all widened at once."""
    places = np.arange(candidates.size).reshape(candidates.shape)
    rows = candidates
    if candidates.min(initial=0) < 0:
        places[candidates < 0] = NO_ROW
        rows = np.maximum(candidates, 0)
    _score_by_index(distance, queries, matrix[rows.ravel()], places, out)


def _score(distance: Distance, query: FloatArray, matrix: FloatArray, rows: Rows, out: FloatArray) -> None:
    """Write the similarities of ``query`` to ``matrix[rows]`` to ``out``. All arrays C-contiguous."""
    if distance is Distance.MANHATTAN:
        _score_manhattan(query, matrix, rows, out)
    else:
        _score_by_index(distance, query[np.newaxis], matrix, rows[np.newaxis], out[np.newaxis])


def _score_by_index(
    distance: Distance, queries: FloatArray, matrix: FloatArray, rows: Rows, out: FloatArray
) -> None:
    """``rows`` and ``out``: (nq, c); -inf for NO_ROW. All arrays C-contiguous."""
    count, dim = queries.shape
    assert dim == matrix.shape[1]
    assert queries.dtype == matrix.dtype == out.dtype == np.float32
    assert rows.dtype == np.int64
    assert rows.shape == out.shape
    assert queries.flags.c_contiguous
    assert matrix.flags.c_contiguous
    assert rows.flags.c_contiguous
    assert out.flags.c_contiguous
    euclid = distance is Distance.EUCLID
    kernel = faiss.fvec_L2sqr_by_idx if euclid else faiss.fvec_inner_products_by_idx
    pointer = faiss.swig_ptr
    kernel(pointer(out), pointer(queries), pointer(matrix), pointer(rows), dim, count, rows.shape[1])
    if euclid:
        np.negative(out, out=out)


def _score_manhattan(query: FloatArray, matrix: FloatArray, rows: Rows, out: FloatArray) -> None:
    """FAISS has no L1 kernel over scattered rows, so blocks of them are gathered."""
    dim, pointer = len(query), faiss.swig_ptr
    block = max(1, _GATHER_BYTES // (dim * matrix.itemsize))
    for first in range(0, len(rows), block):
        gathered = matrix[rows[first : first + block]]
        part = out[first : first + block]
        faiss.pairwise_extra_distances(
            dim, 1, pointer(query), len(gathered), pointer(gathered), faiss.METRIC_L1, 0.0, pointer(part)
        )
    np.negative(out, out=out)
