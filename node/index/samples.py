"""What is found out about rows from a part of them, or block by block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from node.index.narrow import Originals

FloatArray = npt.NDArray[np.float32]
GraphRows = npt.NDArray[np.uint32]

BLOCK_ROWS = 65_536


def sample_of(matrix: Originals, rows: GraphRows | None, count: int) -> FloatArray:
    """At most ``count`` rows, spread evenly."""
    total = len(matrix) if rows is None else len(rows)
    picked = np.unique(np.linspace(0, total - 1, min(total, count)).astype(np.int64))
    return np.ascontiguousarray(matrix[picked if rows is None else rows[picked]], dtype=np.float32)


def extremes_of(matrix: Originals, rows: GraphRows | None) -> FloatArray:
    """(2 per block, dim): the least and the greatest values of each component."""
    found = []
    for first in range(0, len(matrix) if rows is None else len(rows), BLOCK_ROWS):
        part = slice(first, first + BLOCK_ROWS)
        block = matrix[part] if rows is None else matrix[rows[part]]
        found += [block.min(axis=0), block.max(axis=0)]
    return np.stack(found).astype(np.float32)
