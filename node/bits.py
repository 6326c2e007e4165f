"""Packed bitmaps: little bit order, number n is bit ``n & 7`` of byte ``n >> 3``.

Lives here: making and reading them, for slots of a shard and rows of a segment alike. This is the form that
FAISS's bitmap selectors take.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PackedBits = npt.NDArray[np.uint8]
Slots = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def bytes_for(rows: int) -> int:
    """Bytes that hold ``rows`` bits."""
    return (rows + 7) >> 3


def size_for(slots: int) -> int:
    """Bytes that hold ``slots`` bits, rounded up to whole words, so that counting reads words."""
    return (slots + 63) // 64 * 8


def zeros(size: int) -> PackedBits:
    return np.zeros(size, dtype=np.uint8)


def full(rows: int) -> PackedBits:
    """All of ``rows`` set, none past them."""
    return trimmed(np.full(bytes_for(rows), 0xFF, dtype=np.uint8), rows)


def bit_of(slots: npt.NDArray[np.integer]) -> PackedBits:
    """The bit of each within its byte, alone; (len(slots),)."""
    return np.left_shift(np.uint8(1), (slots & 7).astype(np.uint8))


def pack(slots: npt.NDArray[np.integer], size: int) -> PackedBits:
    """The set of ``slots``, in any order and with repeats; those past ``size`` bytes are left out."""
    flags = np.zeros(size * 8, dtype=np.bool_)
    flags[slots if len(slots) == 0 or slots.max() < size * 8 else slots[slots < size * 8]] = True
    return pack_mask(flags)


def pack_mask(mask: Mask) -> PackedBits:
    return np.packbits(mask, bitorder="little")


def mask_of(bits: PackedBits, rows: int) -> Mask:
    """Shape (rows,)."""
    return np.unpackbits(bits, count=rows, bitorder="little").view(np.bool_)


def unpack(bits: PackedBits) -> Slots:
    """The set's members, ascending."""
    # numpy finds the true ones of booleans ten times faster than the nonzero ones of bytes.
    mask = np.unpackbits(bits, bitorder="little").view(np.bool_)
    return np.flatnonzero(mask).astype(np.int64, copy=False)


def contains(bits: PackedBits, slots: npt.NDArray[np.integer]) -> Mask:
    """Which of ``slots`` are in the set; none past its end is."""
    if not len(bits):
        return np.zeros(len(slots), dtype=np.bool_)
    byte = slots >> 3
    found: Mask
    if len(slots) and byte.max() >= len(bits):
        found = byte < len(bits)
        found[found] = contains(bits, slots[found])
        return found
    found = ((bits[byte] >> (slots & 7).astype(np.uint8)) & 1).view(np.bool_)
    return found


def count(bits: PackedBits) -> int:
    words = len(bits) & ~7
    total = int(np.bitwise_count(bits[words:]).sum(dtype=np.int64))
    if words:
        total += int(np.bitwise_count(bits[:words].view(np.uint64)).sum(dtype=np.int64))
    return total


def fit(bits: PackedBits, size: int) -> PackedBits:
    """The set in exactly ``size`` bytes, cut or padded; the argument itself if it fits."""
    if len(bits) >= size:
        return bits[:size]
    return np.concatenate([bits, zeros(size - len(bits))])


def trimmed(bits: PackedBits, rows: int) -> PackedBits:
    """The first ``rows`` bits, padding bits clear; a view if they are clear already."""
    bits = bits[: bytes_for(rows)]
    used = rows & 7
    if not used or not bits[-1] >> used:
        return bits
    bits = bits.copy()
    bits[-1] &= (1 << used) - 1
    return bits
