"""Similarities in float64, for comparison."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]


def similarities(distance: Distance, query: FloatArray, matrix: FloatArray) -> npt.NDArray[np.float64]:
    x, y = query.astype(np.float64), matrix.astype(np.float64)
    if distance is Distance.EUCLID:
        return -((y - x) ** 2).sum(axis=1)
    if distance is Distance.MANHATTAN:
        return -np.abs(y - x).sum(axis=1)
    return y @ x


def recall(
    found: npt.NDArray[np.int64],
    distance: Distance,
    queries: FloatArray,
    matrix: FloatArray,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> float:
    """Share of the true best that ``found`` (nq, k) holds; an equal score counts as found."""
    hits = 0
    for query, rows in zip(queries, found, strict=True):
        scores = similarities(distance, query, matrix)
        if allowed is not None:
            assert allowed[rows[rows >= 0]].all()
            scores = np.where(allowed, scores, -np.inf)
        edge = np.sort(scores)[-found.shape[1]]
        hits += int(np.count_nonzero(scores[rows[rows >= 0]] >= edge - 1e-6 * abs(edge)))
    return hits / found.size
