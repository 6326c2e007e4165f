"""Rows of float32 that are stored in 28 bits a component, without loss (``packed_rows.h`` has the form).

The uppermost byte of a float32 is its sign and most of its exponent, and components of vectors have few of
these: sixteen are named by half a byte each. Rows whose components have many more of them stay as they are.
``docs/decisions/0019-packed-rows.md`` has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from node.bits import bytes_for, pack
from node.index.distances import FloatArray
from node.index.kernels import kernel_of
from node.index.narrow import NarrowRows, Originals, Positions
from node.index.walk import PackedRows as Packed
from node.index.walk import count_tops, pack_rows
from protos.collections import Distance

TOPS: Final = 16
OTHERS_DTYPE: Final = "<u8"

_GROUP, _GROUP_BYTES = 16, 8  # components, and the bytes that name their uppermost ones
_OTHER_BYTES = 8
_SAVED_MIN = 0.5  # of what is saved where all uppermost bytes are among the sixteen
_BLOCK_BYTES = 4 * 1024 * 1024

Bytes = npt.NDArray[np.uint8]
Others = npt.NDArray[np.uint64]


def row_bytes(dim: int) -> int:
    return 3 * dim + _GROUP_BYTES * -(-dim // _GROUP)


class PackedRows(NarrowRows):
    """Rows that are read as (n, dim) float32; ``nbytes`` are those of what is read.

    ``packed``: what C reads them by.
    """

    __slots__ = ("dtype", "itemsize", "nbytes", "packed")

    def __init__(self, data: Bytes, dim: int, tops: bytes, marked: Bytes, others: Others) -> None:
        """``data``: (n, row_bytes(dim)); the rest as ``packing`` made it."""
        super().__init__(data)
        self.packed = Packed(data, dim, tops, marked, others)
        self.shape = (len(data), dim)
        self.dtype = np.dtype(np.float32)
        self.itemsize = self.dtype.itemsize
        self.nbytes = len(data) * dim * self.itemsize

    def __getitem__(self, wanted: slice | Positions) -> FloatArray:
        positions = np.arange(*wanted.indices(len(self))) if isinstance(wanted, slice) else wanted
        floats = np.empty((len(positions), self.shape[1]), dtype=np.float32)
        self.packed.read(np.ascontiguousarray(positions, dtype=np.int64), floats)
        return floats

    def score(
        self, distance: Distance, queries: FloatArray, rows: npt.NDArray[np.int64]
    ) -> FloatArray | None:
        """Similarities of ``queries`` to ``rows``, (nq, n), as ``exact`` has them; None: read the rows."""
        kernel = kernel_of(distance)
        if kernel is None:
            return None
        scores = np.empty((len(queries), len(rows)), dtype=np.float32)
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        self.packed.score(np.ascontiguousarray(queries), rows, scores, kernel, distance is Distance.EUCLID)
        return scores


def floats_of(matrix: Originals) -> FloatArray | PackedRows | None:
    """``matrix``, if its rows are float32 as they are stored."""
    return matrix if isinstance(matrix, PackedRows) or not isinstance(matrix, NarrowRows) else None


def choose_tops(matrix: FloatArray) -> bytes | None:
    """The uppermost bytes to name, of rows (n, dim); None: packing saves too little."""
    counts = np.zeros(256, dtype=np.int64)
    for block in _blocks(matrix):
        count_tops(block, counts)
    most = np.argsort(-counts, kind="stable")[:TOPS]
    others = int(counts.sum() - counts[most].sum())
    saved = len(matrix) * (matrix.itemsize * matrix.shape[1] - row_bytes(matrix.shape[1]))
    if others * _OTHER_BYTES > (1 - _SAVED_MIN) * saved:
        return None
    return bytes(most.astype(np.uint8))


def packing(matrix: FloatArray, tops: bytes, write: Callable[[Bytes], Any]) -> tuple[Others, Bytes]:
    """Have rows written as they are packed, (some, row_bytes(dim)) at a time.

    Returns: what does not fit in, (m,), and packed bits of the rows that have such components.
    """
    dim, first = matrix.shape[1], 0
    found: list[int] = []
    for block in _blocks(matrix):
        packed = np.empty((len(block), row_bytes(dim)), dtype=np.uint8)
        found += pack_rows(block, dim, first, tops, packed)
        write(packed)
        first += len(block)
    others = np.array(found, dtype=OTHERS_DTYPE)
    return others, pack((others >> np.uint64(32)).astype(np.int64), bytes_for(len(matrix)))


def _blocks(matrix: FloatArray) -> Iterator[FloatArray]:
    size = max(1, _BLOCK_BYTES // (matrix.shape[1] * matrix.itemsize))
    for first in range(0, len(matrix), size):
        yield matrix[first : first + size]
