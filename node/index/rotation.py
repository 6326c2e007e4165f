"""Fixed rotations that spread what a vector holds evenly over all its components.

Codes of few bits per component lose least when no component matters more than another. Rotations are
made of Walsh-Hadamard transforms with random signs (``faiss.HadamardRotation``); they keep lengths and
distances, and their seed never changes. There are two:

- ``rotate`` works on blocks of components dealt out in turn, so that each block gets a like share. A file
  that names its width is enough to repeat it. A width above the vector's own dimension spends more than one
  bit per component.
- ``turn`` has as many components as the vector, whatever their number, and ``turn_back`` undoes it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from node.index import walk
from node.index.library import faiss

FloatArray = npt.NDArray[np.float32]

_SEED = 20_230_117  # part of the format of graphs and rows
_GRAIN = 64
_BLOCK_MAX = 4096


def width_for(dim: int, expansion: float) -> int:
    """Components after a rotation that spends ``expansion`` of them per component; a multiple of 64."""
    return -(-int(np.ceil(dim * expansion)) // _GRAIN) * _GRAIN


def rotate(matrix: FloatArray, width: int) -> FloatArray:
    """Rows of ``matrix`` (n, dim) rotated: (n, width), a new array. ``width`` is of ``width_for``."""
    rotated = np.empty((len(matrix), width), dtype=np.float32)
    walk.rotate(np.ascontiguousarray(matrix, dtype=np.float32), signs_of(width), rotated)
    return rotated


def turn(matrix: FloatArray) -> FloatArray:
    """Rows of ``matrix`` (n, dim) turned: (n, dim), a new array.

    Transforms exist of powers of two, so the first components are transformed, as many as fit, and then the
    last; the even ones are dealt to one end and the odd ones to the other, and both ends once more.
    """
    turned = np.array(matrix, dtype=np.float32)
    block, starts = _ends(turned.shape[1])
    for again in range(len(starts)):
        if again:
            turned = np.concatenate([turned[:, ::2], turned[:, 1::2]], axis=1)
        for start in starts:
            part = turned[:, start : start + block]
            part[:] = _transform(block).apply(np.ascontiguousarray(part))
    return turned


def turn_back(turned: FloatArray) -> FloatArray:
    """The rows that ``turn`` made ``turned`` (n, dim) of, but for rounding; a new array."""
    matrix = np.array(turned, dtype=np.float32)
    block, starts = _ends(matrix.shape[1])
    for again in reversed(range(len(starts))):
        for start in reversed(starts):
            part = matrix[:, start : start + block]
            part[:] = _transform(block).reverse_transform(np.ascontiguousarray(part))
        if again:
            dealt, half = matrix.copy(), -(-matrix.shape[1] // 2)
            matrix[:, ::2], matrix[:, 1::2] = dealt[:, :half], dealt[:, half:]
    return matrix


def _ends(dim: int) -> tuple[int, tuple[int, ...]]:
    """The largest power of two of components, and where such blocks at both ends begin."""
    block = 1 << (dim.bit_length() - 1)
    return block, (0,) if block == dim else (0, dim - block)


def _block(width: int) -> int:
    """The largest power of two that divides ``width``, within bounds."""
    return min(width & -width, _BLOCK_MAX)


def signs_of(width: int) -> FloatArray:
    """What ``rotate`` multiplies the components of each block by, before each transform: (3, block)."""
    transform = _transform(_block(width))
    signs = transform.signs1, transform.signs2, transform.signs3
    return np.stack([faiss.vector_to_array(each) for each in signs]).astype(np.float32)


@lru_cache(maxsize=16)
def _transform(block: int) -> Any:
    return faiss.HadamardRotation(block, _SEED)
