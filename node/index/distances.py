"""The four dense distances: internal similarity and what a client sees of it (reference 9.5).

Imports no FAISS, so that code which only converts scores stays light.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
Real = TypeVar("Real", np.float32, np.float64)

# A squared length this close to 1 is a unit vector already; leaving it alone keeps its bits on a round trip.
_UNIT_TOLERANCE = 1e-6
_SQUARED_MIN = np.finfo(np.float32).eps  # below it Qdrant takes a vector for zero and leaves it as it is


def normalize(matrix: FloatArray) -> FloatArray:
    """Rows of ``matrix`` (n, dim) scaled to unit length, as a new array.

    Rows of next to no length (about 3.5e-4, zero included) or of unit length keep their bits.
    """
    with np.errstate(over="ignore"):  # such rows are done again below
        squared = np.vecdot(matrix, matrix)
    if len(matrix) == 1 and squared[0] < np.inf:
        return _normalize_row(matrix, squared[0])
    length = np.sqrt(squared)
    length[(squared < _SQUARED_MIN) | (np.abs(squared - 1.0) <= _UNIT_TOLERANCE)] = 1.0
    scaled = _divided(matrix, length)
    huge = np.isinf(squared)
    if huge.any():
        scaled[huge] = _normalize_huge(matrix[huge])
    return scaled


def _normalize_row(row: FloatArray, squared: np.float32) -> FloatArray:
    """One row (1, dim), as most queries are, bit for bit as among others and at a third of the cost."""
    if squared < _SQUARED_MIN or abs(squared - np.float32(1.0)) <= _UNIT_TOLERANCE:
        return row.copy()
    scaled: FloatArray = row / np.sqrt(squared)
    return scaled


def _normalize_huge(matrix: FloatArray) -> FloatArray:
    """Rows whose squared length is beyond what float32 holds. (Qdrant makes zeros of them.)"""
    wide = matrix.astype(np.float64)
    return _divided(wide, np.sqrt(np.vecdot(wide, wide))).astype(np.float32)


def _divided(matrix: npt.NDArray[Real], length: npt.NDArray[Real]) -> npt.NDArray[Real]:
    quotient: npt.NDArray[Real] = matrix / length[:, np.newaxis]
    return quotient


def to_client_scores(distance: Distance, similarities: FloatArray) -> FloatArray:
    """Internal similarities as the scores a client sees, same shape."""
    match distance:
        case Distance.EUCLID:
            return np.sqrt(np.abs(similarities))
        case Distance.MANHATTAN:
            return np.abs(similarities)
        case Distance.COSINE | Distance.DOT:
            return similarities
