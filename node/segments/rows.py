"""Rows of vectors in memory or mapped: a matrix or ``PackedRows`` for dense vectors, else ``Ragged``.

All are cut and picked alike: ``len``, ``nbytes``, ``rows[first:last]`` and ``rows[positions]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.bits import Mask
from node.index.packed_rows import PackedRows
from protos.ragged import elements_of

Matrix = npt.NDArray[Any]  # (n, width) of the schema's dtype
Offsets = npt.NDArray[np.int64]


class Ragged:
    """Rows of many elements each: row i owns elements [offsets[i], offsets[i + 1]) of every part.

    ``parts`` have one entry per element: of multivectors the sub-vectors (m, width); of sparse vectors the
    indices (m,), uint32 ascending within a row, and the values (m,). A row without a vector is empty.
    """

    __slots__ = ("offsets", "parts")

    def __init__(self, offsets: Offsets, parts: tuple[Matrix, ...]) -> None:
        self.offsets, self.parts = offsets, parts

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, wanted: slice | npt.NDArray[Any]) -> Ragged:
        """``wanted``: consecutive rows, or positions of rows."""
        if isinstance(wanted, slice):
            first, last, _ = wanted.indices(len(self))
            offsets = self.offsets[first : max(first, last) + 1]
            elements = slice(int(offsets[0]), int(offsets[-1]))
            return Ragged(offsets - offsets[0], tuple(part[elements] for part in self.parts))
        positions, offsets = elements_of(self.offsets, wanted)
        return Ragged(offsets, tuple(part[positions] for part in self.parts))

    @property
    def nbytes(self) -> int:
        return self.offsets.nbytes + len(self.parts[0]) * self.element_bytes

    @property
    def row_bytes(self) -> float:
        """On average."""
        return self.nbytes / max(1, len(self))

    @property
    def element_bytes(self) -> int:
        return sum(part.itemsize * (part.shape[1] if part.ndim > 1 else 1) for part in self.parts)


Rows = Matrix | Ragged
Dense = Matrix | PackedRows
Stored = Dense | Ragged  # as segments have them


class Block(Struct, frozen=True):
    """Vectors of one name for n points: ``rows`` as stored, ``present`` (n,)."""

    rows: Rows
    present: Mask

    def __len__(self) -> int:
        return len(self.present)

    def part(self, first: int, last: int) -> Block:
        return Block(self.rows[first:last], self.present[first:last])

    def take(self, positions: npt.NDArray[np.int64]) -> Block:
        return Block(self.rows[positions], self.present[positions])

    def over(self, old: Block) -> Block:
        """These vectors where there are any, ``old`` elsewhere; both of the same points."""
        if isinstance(self.rows, Ragged):
            assert isinstance(old.rows, Ragged)
            chosen = np.arange(len(self)) + np.where(self.present, len(self), 0)
            rows: Rows = _concatenated(old.rows, self.rows)[chosen]
        else:
            assert not isinstance(old.rows, Ragged)
            rows = np.where(self.present[:, np.newaxis], self.rows, old.rows)
        return Block(rows, old.present | self.present)


def _concatenated(first: Ragged, second: Ragged) -> Ragged:
    offsets = np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]])
    parts = zip(first.parts, second.parts, strict=True)
    return Ragged(offsets, tuple(np.concatenate(pair) for pair in parts))
