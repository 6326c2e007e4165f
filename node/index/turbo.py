"""Rows of four bits a component (``datatype: turbo4``): lengths are kept, directions are rounded.

A row is turned (``rotation.turn``), so that its components are spread like those of a random direction,
whatever the vectors are; then each is rounded to one of the 16 levels that lose least of a normal variable.
Turning keeps lengths and products, so rows are compared as they lie, with queries that were turned once:
turning a row back costs ten times as much as reading it.

A stored row is ``row_bytes(dim)`` bytes: two codes each, the first component's in the low half, then a
little-endian float32 by which its levels are to be multiplied. The levels, the rotation and this order are
the format of rows on disk and between peers.

A row that is read and written again keeps its codes, unless it has very few components.

Source: J. Max, "Quantizing for minimum distortion" (1960), the levels and what they lose (0.9497 %);
A. Zandieh et al., "TurboQuant" (2025), their use on turned vectors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from node.index.narrow import NarrowRows
from node.index.rotation import turn, turn_back

FloatArray = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_UPPER = (
    0.1283950298511472,
    0.3880482994902899,
    0.6567591185324636,
    0.9423404564869611,
    1.2562311973471763,
    1.6180463860218763,
    2.0690172265313933,
    2.7325895709951495,
)
_LEVELS = np.array([-level for level in reversed(_UPPER)] + [*_UPPER], dtype=np.float32)  # by code
_BOUNDS = ((_LEVELS[1:] + _LEVELS[:-1]) / 2).tolist()  # between neighbours
_FACTOR_BYTES = 4
# By byte: both levels, and their squares added up. Pairs are moved as one number, as it is faster.
_PAIRS = np.stack([_LEVELS[np.arange(256) & 15], _LEVELS[np.arange(256) >> 4]], axis=1)
_PAIRS_MOVED = np.ascontiguousarray(_PAIRS).view(np.int64)[:, 0]
_SQUARES = np.square(_PAIRS.astype(np.float64)).sum(axis=1)
_BLOCK_COMPONENTS = 1 << 16  # are rounded at a time, in a core's cache


def row_bytes(dim: int) -> int:
    return _code_bytes(dim) + _FACTOR_BYTES


def encode(matrix: FloatArray) -> Bytes:
    """Rows (n, dim) as they are stored, (n, row_bytes(dim)).

    Longer ones than about a quarter of the greatest float32 are shortened to that, so that none of their
    components becomes infinite, however they are turned.
    """
    rows, dim = matrix.shape
    stored = np.empty((rows, row_bytes(dim)), dtype=np.uint8)
    block = max(1, _BLOCK_COMPONENTS // dim)
    for first in range(0, rows, block):
        _encode(matrix[first : first + block], stored[first : first + block])
    return stored


def _encode(matrix: FloatArray, stored: Bytes) -> None:
    dim = matrix.shape[1]
    peaks: FloatArray = np.abs(matrix).max(axis=1, initial=0)
    turned = turn(matrix / _or_one(peaks)[:, np.newaxis])
    lengths: FloatArray = np.sqrt(np.vecdot(turned, turned))
    turned *= (np.float32(math.sqrt(dim)) / _or_one(lengths))[:, np.newaxis]
    codes = np.zeros((len(matrix), 2 * _code_bytes(dim)), dtype=np.uint8)
    for bound in _BOUNDS:  # several times as fast as a search for each
        codes[:, :dim] += turned > np.float32(bound)
    packed = codes[:, ::2] | codes[:, 1::2] << 4
    spare = _UPPER[-1] ** 2 if dim % 2 else 0.0  # of the half byte that no component has
    squared = _SQUARES[packed].sum(axis=1) - spare
    factors = peaks.astype(np.float64) * lengths / np.sqrt(squared)
    factors = np.minimum(factors, _factor_max(dim)).astype("<f4")
    stored[:, :-_FACTOR_BYTES] = packed
    stored[:, -_FACTOR_BYTES:] = factors[:, np.newaxis].view(np.uint8)


def decode(stored: Bytes, dim: int) -> FloatArray:
    """Stored rows as their vectors, (n, dim)."""
    levels, factors = _levels(stored, dim), _factors(stored)
    return turn_back(levels) * factors + np.float32(0)  # no negative zeros


def decode_turned(stored: Bytes, dim: int) -> FloatArray:
    """Stored rows as ``turn(decode(stored, dim))``, but for rounding."""
    levels = _levels(stored, dim)
    levels *= _factors(stored)
    return levels


class TurboRows(NarrowRows):
    """Stored rows that are read as (n, dim) float32, turned or as they were given."""

    __slots__ = ("_turned",)

    def __init__(self, stored: Bytes, dim: int, *, turned: bool) -> None:
        super().__init__(stored)
        self.shape = (len(stored), dim)
        self._turned = turned

    def _widened(self, rows: npt.NDArray[Any]) -> FloatArray:
        return (decode_turned if self._turned else decode)(rows, self.shape[1])


def _levels(stored: Bytes, dim: int) -> FloatArray:
    """(n, dim), a new array."""
    levels: FloatArray = _PAIRS_MOVED.take(stored[:, :-_FACTOR_BYTES]).view(np.float32)
    return np.ascontiguousarray(levels[:, :dim]) if dim % 2 else levels


def _factors(stored: Bytes) -> FloatArray:
    """(n, 1)"""
    return np.ascontiguousarray(stored[:, -_FACTOR_BYTES:]).view("<f4")


def _or_one(numbers: FloatArray) -> FloatArray:
    """One in place of zeros, to divide by."""
    return np.where(numbers > 0, numbers, np.float32(1))


def _code_bytes(dim: int) -> int:
    return -(-dim // 2)


def _factor_max(dim: int) -> float:
    """By which levels can be multiplied without a component beyond float32, however they are turned."""
    return float(np.finfo(np.float32).max) / (_UPPER[-1] * math.sqrt(dim) * 1.001)
