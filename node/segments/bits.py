"""Packed bits over a segment's rows: little bit order, row r is bit ``r & 7`` of byte ``r >> 3``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PackedBits = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]


def size(rows: int) -> int:
    """Bytes that hold ``rows`` bits."""
    return (rows + 7) >> 3


def pack(present: npt.NDArray[np.bool_]) -> PackedBits:
    return np.packbits(present, bitorder="little")


def unpack(bits: PackedBits, rows: int) -> npt.NDArray[np.bool_]:
    return np.unpackbits(bits, count=rows, bitorder="little").view(np.bool_)


def full(rows: int) -> PackedBits:
    """All of ``rows`` set, none past them."""
    bits = np.full(size(rows), 0xFF, dtype=np.uint8)
    return trimmed(bits, rows)


def trimmed(bits: PackedBits, rows: int) -> PackedBits:
    """The first ``rows`` bits, padding bits clear; a view if they are clear already."""
    bits = bits[: size(rows)]
    used = rows & 7
    if not used or not bits[-1] >> used:
        return bits
    bits = bits.copy()
    bits[-1] &= (1 << used) - 1
    return bits


def count(bits: PackedBits) -> int:
    words = len(bits) & ~7
    total = int(np.bitwise_count(bits[words:]).sum())
    if words:
        total += int(np.bitwise_count(bits[:words].view(np.uint64)).sum())
    return total


def rows_of(bits: PackedBits) -> Rows:
    """Set rows, ascending."""
    # numpy finds the true ones of booleans ten times faster than the nonzero ones of bytes.
    flags = np.unpackbits(bits, bitorder="little").view(np.bool_)
    return np.flatnonzero(flags).astype(np.int64, copy=False)


def contains(bits: PackedBits, rows: Rows) -> npt.NDArray[np.bool_]:
    """Which of ``rows`` (all within the bits) are set."""
    found: npt.NDArray[np.uint8] = (bits[rows >> 3] >> (rows & 7).astype(np.uint8)) & 1
    return found.view(np.bool_)
