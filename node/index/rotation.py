"""A fixed rotation that spreads what a vector holds evenly over all its components.

Codes of few bits per component lose least when no component matters more than another. The rotation is
made of Walsh-Hadamard transforms with random signs (``faiss.HadamardRotation``) over blocks of components
dealt out in turn, so that each block gets a like share. It keeps lengths and distances, its seed never
changes, and a file that names its width is enough to repeat it. A width above the vector's own dimension
spends more than one bit per component.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from node.index.library import faiss

FloatArray = npt.NDArray[np.float32]

_SEED = 20_230_117  # part of the format of graphs
_GRAIN = 64
_BLOCK_MAX = 4096


def width_for(dim: int, expansion: float) -> int:
    """Components after a rotation that spends ``expansion`` of them per component; a multiple of 64."""
    return -(-int(np.ceil(dim * expansion)) // _GRAIN) * _GRAIN


def rotate(matrix: FloatArray, width: int) -> FloatArray:
    """Rows of ``matrix`` (n, dim) rotated: (n, width), a new array. ``width`` is of ``width_for``."""
    rows, dim = matrix.shape
    block = _block(width)
    padded = np.zeros((rows, width), dtype=np.float32)
    padded[:, :dim] = matrix
    dealt = padded.reshape(rows, block, width // block).swapaxes(1, 2)
    flat = np.ascontiguousarray(dealt).reshape(-1, block)
    rotated: FloatArray = _transform(block).apply(flat)
    return rotated.reshape(rows, width)


def _block(width: int) -> int:
    """The largest power of two that divides ``width``, within bounds."""
    return min(width & -width, _BLOCK_MAX)


@lru_cache(maxsize=16)
def _transform(block: int) -> Any:
    return faiss.HadamardRotation(block, _SEED)
