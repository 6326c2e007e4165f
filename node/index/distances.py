"""The four dense distances: internal similarity and what a client sees of it (reference 9.5).

Imports no FAISS, so that code which only converts scores stays light.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from node.index import walk
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]


def normalize(rows: FloatArray) -> FloatArray:
    """Rows (n, dim), or one (dim,), scaled to unit length, as a new array.

    Rows of next to no length (about 3.5e-4, zero included: Qdrant takes them for zero) or of unit length (its
    square within 1e-6) keep their bits. Rows whose squared length is beyond what float32 holds are scaled,
    too; Qdrant makes zeros of them. A row gets the same bits on every processor, and in whatever company.
    """
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    units = np.empty_like(rows)
    walk.normalize(rows, units)
    return units


def to_client_scores(distance: Distance, similarities: FloatArray) -> FloatArray:
    """Internal similarities as the scores a client sees, same shape."""
    match distance:
        case Distance.EUCLID:
            return np.sqrt(np.abs(similarities))
        case Distance.MANHATTAN:
            return np.abs(similarities)
        case Distance.COSINE | Distance.DOT:
            return similarities
