"""Rows that are stored in fewer bits than float32, read as the float32 that they are compared as.

Imports no FAISS. What a stored number means is decided here alone; which numbers are stored is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from node.index.distances import normalize

FloatArray = npt.NDArray[np.float32]
Positions = npt.NDArray[np.integer[Any]]

# The sign, exponent and fraction of a float16 that was moved to where a float32 has them, and what is still
# missing: the exponents of the two count from different numbers.
_HALF_BITS = np.int32(-0x70002000)
_HALF_SHIFT = 13
_HALF_SCALE = np.float32(2.0**112)


class NarrowRows:
    """``matrix`` (n, dim) of float16 or uint8. ``unit``: rows are compared at unit length, and are stored
    at any. Picked like an array, by slices and positions of rows."""

    __slots__ = ("_matrix", "_unit", "shape")

    def __init__(self, matrix: npt.NDArray[Any], *, unit: bool = False) -> None:
        self._matrix, self._unit = matrix, unit
        self.shape: tuple[int, ...] = matrix.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, wanted: slice | Positions) -> FloatArray:
        """A new array, C-contiguous float32."""
        return self._widened(self._matrix[wanted])

    def _widened(self, rows: npt.NDArray[Any]) -> FloatArray:
        floats = floats_of_halves(rows) if rows.dtype == np.float16 else rows.astype(np.float32)
        return normalize(floats) if self._unit else floats


def floats_of_halves(halves: npt.NDArray[np.float16]) -> FloatArray:
    """Three times as fast as ``astype``, and exact for all finite numbers."""
    bits = np.ascontiguousarray(halves).view(np.int16).astype(np.int32)
    bits <<= _HALF_SHIFT
    bits &= _HALF_BITS
    floats = bits.view(np.float32)
    floats *= _HALF_SCALE
    return floats


Originals = FloatArray | NarrowRows  # what candidates are scored on
