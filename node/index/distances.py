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
_SQUARED_MIN, _SQUARED_MAX = 1e-30, 1e38


def normalize(matrix: FloatArray) -> FloatArray:
    """Rows of ``matrix`` (n, dim) scaled to unit length, as a new array; zero rows stay zero."""
    with np.errstate(over="ignore"):  # such rows are done again below
        squared = np.vecdot(matrix, matrix)
    length = np.sqrt(squared)
    length[np.abs(squared - 1.0) <= _UNIT_TOLERANCE] = 1.0
    plain = (squared > _SQUARED_MIN) & (squared < _SQUARED_MAX)
    if plain.all():
        return _divided(matrix, length)
    length[~plain] = 1.0
    scaled = _divided(matrix, length)
    scaled[~plain] = _normalize_extremes(matrix[~plain])
    return scaled


def _normalize_extremes(matrix: FloatArray) -> FloatArray:
    """Rows whose squared length is beyond what float32 holds, or is zero."""
    wide = matrix.astype(np.float64)
    length = np.sqrt(np.vecdot(wide, wide))
    length[length == 0.0] = 1.0
    return _divided(wide, length).astype(np.float32)


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
