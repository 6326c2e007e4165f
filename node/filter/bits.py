"""Packed bitmaps over slots: little bit order, slot s is bit ``s & 7`` of byte ``s >> 3``.

Lives here: making and reading them. Sizes are in bytes, multiples of 8 where this module chooses, so that
counting reads words.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PackedBits = npt.NDArray[np.uint8]
Slots = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def size_for(slots: int) -> int:
    """Bytes that hold ``slots`` bits, rounded up to whole words."""
    return (slots + 63) // 64 * 8


def zeros(size: int) -> PackedBits:
    return np.zeros(size, dtype=np.uint8)


def pack(slots: npt.NDArray[np.integer], size: int) -> PackedBits:
    """The set of ``slots``, in any order and with repeats; those past ``size`` bytes are left out."""
    flags = np.zeros(size * 8, dtype=np.bool_)
    flags[slots if len(slots) == 0 or slots.max() < size * 8 else slots[slots < size * 8]] = True
    return np.packbits(flags, bitorder="little")


def unpack(bits: PackedBits) -> Slots:
    """The set's slots, ascending."""
    return np.flatnonzero(np.unpackbits(bits, bitorder="little")).astype(np.int64, copy=False)


def contains(bits: PackedBits, slots: npt.NDArray[np.integer]) -> Mask:
    """Which of ``slots`` are in the set; none past its end is."""
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
