"""Which rows may be among the best of a batch of queries, by one product of matrices.

A product costs a half of scoring pair by pair, or less, but rounds otherwise. So it only chooses: whatever
could be among the best by the pairwise kernels (``exact``), which have the word, is within an error bound of
the best by the product. The bound is that of a sum of products in any order (Higham, Accuracy and Stability
of Numerical Algorithms, 3.5): ``gamma * |x| * |y|`` with ``gamma = d * u / (1 - d * u)``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from node.index.packed_rows import PackedRows
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

QUERIES_MIN = 16  # fewer are scored sooner pair by pair
_ROWS_MIN = 512
_UNIT_ROUNDOFF = 2.0**-24
_EXTRA_TERMS = 8  # of a sum: squares that are added, differences that are squared
_BLOCK_BYTES = 4 * 1024 * 1024
_CANDIDATES_MAX = 8  # times k: with more of them choosing has failed
_COSINE_NORM_MAX = 1.001  # of stored and asked vectors alike


def serve(distance: Distance, queries: int, matrix: npt.NDArray[np.generic] | PackedRows, rows: int) -> bool:
    """Is this module the cheaper way for so many queries and rows?"""
    return (
        distance is not Distance.MANHATTAN
        and queries >= QUERIES_MIN
        and rows >= _ROWS_MIN
        and matrix.dtype == np.float32
    )


def candidates_of(
    distance: Distance, queries: FloatArray, matrix: FloatArray | PackedRows, k: int, rows: Rows | None
) -> list[Rows | None]:
    """Per query, ascending, rows among which its k best are; None: no few could be told.

    ``rows`` (ascending; None: all) are those to choose from, more than k.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is not chosen from
        table, longest = _products(distance, queries, matrix, rows)
        margins = _margins(distance, queries, longest)
    return [_within(row, k, margin, rows) for row, margin in zip(table, margins.tolist(), strict=True)]


def _products(
    distance: Distance, queries: FloatArray, matrix: FloatArray | PackedRows, rows: Rows | None
) -> tuple[FloatArray, float]:
    """What orders the rows, up to rounding and what they share, (nq, n); and their greatest length."""
    count = len(matrix) if rows is None else len(rows)
    table = np.empty((len(queries), count), dtype=np.float32)
    longest = 0.0
    block = max(1, _BLOCK_BYTES // max(1, matrix.shape[1] * matrix.itemsize))
    for first in range(0, count, block):
        last = min(first + block, count)
        part = matrix[first:last] if rows is None else matrix[rows[first:last]]
        np.matmul(queries, part.T, out=table[:, first:last])
        if distance is not Distance.COSINE:
            squared = np.vecdot(part, part)
            longest = max(longest, float(squared.max()))
            if distance is Distance.EUCLID:
                table[:, first:last] -= squared * np.float32(0.5)
    return table, _COSINE_NORM_MAX if distance is Distance.COSINE else float(np.sqrt(longest))


def _margins(distance: Distance, queries: FloatArray, longest: float) -> npt.NDArray[np.float64]:
    """By how much less than the k-th best product a row may have that is among the k best, (nq,)."""
    terms = (queries.shape[1] + _EXTRA_TERMS) * _UNIT_ROUNDOFF
    gamma = terms / (1 - terms)
    wide = queries.astype(np.float64)
    lengths = np.sqrt(np.vecdot(wide, wide))
    # Either way of computing may be wrong by gamma times the sizes, of either row of a pair that is compared.
    # (Half a squared distance is at most half the square of the sum of the lengths.)
    sizes = lengths * longest
    if distance is Distance.EUCLID:
        sizes = (lengths + longest) ** 2
    margins: npt.NDArray[np.float64] = 4 * gamma * sizes * 1.01 + np.finfo(np.float32).tiny
    return margins


def _within(products: FloatArray, k: int, margin: float, rows: Rows | None) -> Rows | None:
    edge = float(np.partition(products, len(products) - k)[len(products) - k])
    least = edge - margin
    if not np.isfinite(least):
        return None
    # As float32, rounded down: the comparison is made in it.
    near = np.flatnonzero(products >= np.nextafter(np.float32(least), np.float32(-np.inf)))
    if len(near) > _CANDIDATES_MAX * max(k, 16) or np.isnan(np.maximum.reduce(products)):
        return None
    return near if rows is None else rows[near]
