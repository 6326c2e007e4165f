"""Rows of different lengths, laid end to end: which elements belong to which row. Pure array code.

Row i of n owns the elements [offsets[i], offsets[i + 1]); ``offsets`` has n + 1 ascending numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]


def offsets_of(counts: npt.NDArray[np.integer]) -> Positions:
    """(n + 1,) from how many elements each row has, (n,)."""
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def elements_of(
    offsets: npt.NDArray[np.integer], rows: npt.NDArray[np.integer]
) -> tuple[Positions, Positions]:
    """The elements of ``rows``, in that order, and the offsets (len(rows) + 1,) they have there."""
    starts = offsets[rows].astype(np.int64)
    counts = offsets[rows + 1].astype(np.int64) - starts
    found = offsets_of(counts)
    elements = np.arange(found[-1], dtype=np.int64) + np.repeat(starts - found[:-1], counts)
    return elements, found


def owners_of(offsets: npt.NDArray[np.integer], elements: npt.NDArray[np.integer]) -> Positions:
    """The row of each element."""
    return np.searchsorted(offsets, elements, side="right").astype(np.int64, copy=False) - 1
