"""The two loops of sparse vectors that numpy has no fast form of: transposing rows, and summing postings.

Lives here: everything that calls SciPy. It is imported on first use: it takes a quarter of a second, which a
server without sparse vectors need not spend.

``accumulate`` is SciPy's product of a sparse column and a number, added to a dense vector: it takes 1.5
to 3 ns a posting and releases the interpreter lock. ``numpy.add.at`` takes three times as long and keeps it.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]


def accumulate(scores: FloatArray, rows: Integers, values: FloatArray, weight: np.float32) -> None:
    """``scores[rows] += weight * values``. ``rows`` are distinct, and must be rows of ``scores``."""
    assert scores.dtype == values.dtype == np.float32
    assert rows.dtype == np.int32
    bounds = np.array([0, len(rows)], dtype=np.int32)
    _kernels().csc_matvec(len(scores), 1, bounds, rows, values, np.array([weight], dtype=np.float32), scores)


def transpose(
    offsets: npt.NDArray[np.int64], columns: Integers, values: FloatArray, count: int
) -> tuple[npt.NDArray[np.int64], Integers, FloatArray]:
    """Rows (offsets, columns, values) as ``count`` columns: offsets, rows ascending within one, values."""
    from scipy.sparse import csr_array

    shape = (len(offsets) - 1, count)
    turned = csr_array((values, columns, offsets.astype(np.int32)), shape=shape).tocsc()
    return turned.indptr.astype(np.int64), turned.indices.astype(np.int32, copy=False), turned.data


@functools.cache
def _kernels() -> Any:
    from scipy.sparse import _sparsetools

    return _sparsetools
