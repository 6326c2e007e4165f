"""Rows of sparse vectors into postings.

Lives here: everything that calls SciPy. It is imported on first use: it takes a quarter of a second, which a
server without sparse vectors need not spend.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]


def transpose(
    offsets: npt.NDArray[np.int64], columns: Integers, values: FloatArray, count: int
) -> tuple[npt.NDArray[np.int64], Integers, FloatArray]:
    """Rows (offsets, columns, values) as ``count`` columns: offsets, rows ascending within one, values."""
    from scipy.sparse import csr_array

    shape = (len(offsets) - 1, count)
    turned = csr_array((values, columns, offsets.astype(np.int32)), shape=shape).tocsc()
    return turned.indptr.astype(np.int64), turned.indices.astype(np.int32, copy=False), turned.data
