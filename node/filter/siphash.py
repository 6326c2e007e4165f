"""SipHash-2-4 with a zero key over point ids, which deals them into slices.

One code for an id and for arrays of ids: on Python integers the mask keeps words to 64 bits, on uint64
arrays it changes nothing.

Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012); reference 10.2 ``slice``.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from protos.ids import PointId

U64Array = npt.NDArray[np.uint64]

_MASK: Final = 2**64 - 1
_START: Final = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def id_hash(point_id: PointId) -> int:
    """Hash of an id's canonical bytes: 8 little-endian ones of a number, the 16 of a UUID."""
    if isinstance(point_id, int):
        return int(_hash([point_id], 8, _START))
    raw = uuid.UUID(point_id).bytes
    return int(_hash([int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")], 16, _START))


def number_hashes(ids: U64Array) -> U64Array:
    """Hash of each numeric id, shape (n,)."""
    return _hash_many([ids], 8)


def uuid_hashes(raw: npt.NDArray[np.uint8]) -> U64Array:
    """Hash of each UUID, ``raw`` of shape (n, 16) in their byte order."""
    words = np.ascontiguousarray(raw).view("<u8")
    return _hash_many([words[:, 0], words[:, 1]], 16)


def _hash_many(words: list[U64Array], length: int) -> U64Array:
    start = [np.full(len(words[0]), word, dtype=np.uint64) for word in _START]
    hashes: U64Array = _hash(words, length, start)
    return hashes


def _hash(words: list[Any], length: int, start: Sequence[Any]) -> Any:
    v0, v1, v2, v3 = start
    for word in (*words, length << 56):
        v0, v1, v2, v3 = _round(*_round(v0, v1, v2, v3 ^ word))
        v0 = v0 ^ word
    v2 = v2 ^ 0xFF
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


def _round(v0: Any, v1: Any, v2: Any, v3: Any) -> tuple[Any, Any, Any, Any]:
    v0 = (v0 + v1) & _MASK
    v1 = ((v1 << 13 | v1 >> 51) & _MASK) ^ v0
    v0 = (v0 << 32 | v0 >> 32) & _MASK
    v2 = (v2 + v3) & _MASK
    v3 = ((v3 << 16 | v3 >> 48) & _MASK) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = ((v3 << 21 | v3 >> 43) & _MASK) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = ((v1 << 17 | v1 >> 47) & _MASK) ^ v2
    v2 = (v2 << 32 | v2 >> 32) & _MASK
    return v0, v1, v2, v3
