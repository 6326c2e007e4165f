"""Maximal marginal relevance: points that are near a query and far from each other (reference 9.10). Pure.

Source: Carbonell, Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
Producing Summaries" (1998). Shards and routers choose alike, so similarities are worked out here, not by an
index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from protos.collections import Distance
from protos.ragged import offsets_of, owners_of
from protos.vectors import AnyVector, FloatArray, SparseVector

CANDIDATES_MAX: Final = 16_384
DIVERSITY_DEFAULT: Final = 0.5

Positions = npt.NDArray[np.int64]


def diverse(
    query: AnyVector, candidates: Sequence[AnyVector], distance: Distance, *, diversity: float, limit: int
) -> list[int]:
    """Positions of ``limit`` candidates, in the order in which they are chosen.

    Args:
        candidates: of one kind; best first, which decides between equals.
        distance: that of the vectors' name; of sparse ones, Dot.
        diversity: 0: only nearness to ``query`` counts, 1: only distance from those chosen before.
    """
    if not candidates:
        return []
    compared = _compared(candidates, distance)
    relevance = compared.to(query)
    chosen = [int(np.argmax(relevance))]
    nearest_chosen = np.full(len(candidates), -np.inf, dtype=np.float32)
    left = np.ones(len(candidates), dtype=np.bool_)
    share, other = np.float32(1 - diversity), np.float32(diversity)
    while len(chosen) < min(limit, len(candidates)):
        left[chosen[-1]] = False
        np.maximum(nearest_chosen, compared.of_each(candidates[chosen[-1]]), out=nearest_chosen)
        merit = np.where(left, share * relevance - other * nearest_chosen, -np.inf)
        chosen.append(int(np.argmax(merit)))
    return chosen


class _Dense:
    """The rows (n, dim) of ``matrix``, which are normalised for Cosine."""

    def __init__(self, matrix: FloatArray, distance: Distance) -> None:
        self._matrix, self._distance = _prepared(matrix, distance), distance

    def to(self, one: AnyVector) -> FloatArray:
        """Internal similarities of ``one`` to each row (reference 9.5); ``of_each``: of each row to it."""
        assert isinstance(one, np.ndarray)
        table = _table(_prepared(one[np.newaxis], self._distance), self._matrix, self._distance)
        row: FloatArray = table[0]
        return row

    of_each = to


class _Multi:
    """By MaxSim, which is another one in each direction: what is compared comes first."""

    def __init__(self, matrices: Sequence[FloatArray], distance: Distance) -> None:
        self._parts = _prepared(np.concatenate(matrices), distance)
        self._starts = offsets_of(np.array([len(matrix) for matrix in matrices]))[:-1]
        self._distance = distance

    def to(self, one: AnyVector) -> FloatArray:
        assert isinstance(one, np.ndarray)
        table = _table(_prepared(np.atleast_2d(one), self._distance), self._parts, self._distance)
        best = np.maximum.reduceat(table, self._starts, axis=1)
        total: FloatArray = best.sum(axis=0, dtype=np.float32)
        return total

    def of_each(self, one: AnyVector) -> FloatArray:
        assert isinstance(one, np.ndarray)
        best = _table(_prepared(one, self._distance), self._parts, self._distance).max(axis=0)
        total: FloatArray = np.add.reduceat(best, self._starts)
        return total


class _Sparse:
    def __init__(self, vectors: Sequence[SparseVector]) -> None:
        self._count = len(vectors)
        self._indices = np.concatenate([vector.indices for vector in vectors])
        self._values = np.concatenate([vector.values for vector in vectors])
        offsets = offsets_of(np.array([len(vector.indices) for vector in vectors]))
        self._owners = owners_of(offsets, np.arange(len(self._indices)))

    def to(self, one: AnyVector) -> FloatArray:
        """Dot products; 0 where no index is common."""
        assert isinstance(one, SparseVector)
        if not len(one.indices):
            return np.zeros(self._count, dtype=np.float32)
        places = np.minimum(np.searchsorted(one.indices, self._indices), len(one.indices) - 1)
        common = one.indices[places] == self._indices
        products = self._values[common] * one.values[places[common]]
        return np.bincount(self._owners[common], products, self._count).astype(np.float32)

    of_each = to


def _compared(candidates: Sequence[AnyVector], distance: Distance) -> _Dense | _Multi | _Sparse:
    dense = [each for each in candidates if isinstance(each, np.ndarray)]
    if not dense:
        return _Sparse([each for each in candidates if isinstance(each, SparseVector)])
    return _Dense(np.stack(dense), distance) if dense[0].ndim == 1 else _Multi(dense, distance)


def _prepared(rows: FloatArray, distance: Distance) -> FloatArray:
    if distance is not Distance.COSINE:
        return rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)


def _table(queries: FloatArray, rows: FloatArray, distance: Distance) -> FloatArray:
    """Similarities (queries, rows)."""
    if distance in (Distance.COSINE, Distance.DOT):
        products: FloatArray = queries @ rows.T
        return products
    found = np.empty((len(queries), len(rows)), dtype=np.float32)
    for place, query in enumerate(queries):
        apart = rows - query
        if distance is Distance.EUCLID:
            found[place] = -np.einsum("ij,ij->i", apart, apart)
        else:
            found[place] = -np.abs(apart).sum(axis=1)
    return found
