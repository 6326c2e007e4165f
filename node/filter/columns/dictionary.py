"""The distinct strings of a keyword column's base, sorted, in two arrays that can be mapped from disk.

A string's code is its rank, so equal strings and common prefixes are ranges of codes.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from node.bits import Mask

Offsets = npt.NDArray[np.int64]
Blob = npt.NDArray[np.uint8]


class Dictionary(Sequence[bytes]):
    """UTF-8 bytes, ascending: the order of their code points.

    ``offsets`` (n + 1,) delimits string i as ``blob[offsets[i]:offsets[i + 1]]``.
    """

    def __init__(self, offsets: Offsets, blob: Blob) -> None:
        self.offsets = offsets
        self.blob = blob
        self._bytes, self._cuts = blob.data, np.ascontiguousarray(offsets, dtype=np.int64).data

    @classmethod
    def of(cls, strings: Sequence[bytes]) -> Dictionary:
        """Of distinct ascending strings."""
        lengths = np.fromiter(map(len, strings), dtype=np.int64, count=len(strings))
        return cls(_starts(lengths), np.frombuffer(b"".join(strings), dtype=np.uint8))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, code: int) -> bytes: ...
    @overload
    def __getitem__(self, code: slice) -> list[bytes]: ...
    def __getitem__(self, code: int | slice) -> bytes | list[bytes]:
        if isinstance(code, slice):
            return [self[i] for i in range(*code.indices(len(self)))]
        return bytes(self._bytes[self._cuts[code] : self._cuts[code + 1]])

    def strings(self) -> list[bytes]:
        """All of them, faster than one by one."""
        data, cuts = bytes(self._bytes), self.offsets.tolist()
        return [data[start:end] for start, end in itertools.pairwise(cuts)]

    @property
    def width(self) -> int:
        """Bytes of the longest."""
        return int(np.diff(self.offsets).max(initial=0))

    @property
    def has_nul(self) -> bool:
        return not self.blob.all()

    def table(self, width: int) -> npt.NDArray[np.bytes_]:
        """All of them, padded to ``width`` bytes each."""
        padded = np.zeros((len(self), width), dtype=np.uint8)
        padded[np.arange(width) < np.diff(self.offsets)[:, None]] = self.blob
        return padded.view(f"S{width}")[:, 0]

    def selected(self, chosen: Mask) -> Dictionary:
        """Only the chosen strings."""
        if chosen.all():
            return self
        lengths = np.diff(self.offsets)
        return Dictionary(_starts(lengths[chosen]), self.blob[np.repeat(chosen, lengths)])

    def with_inserted(self, at: npt.NDArray[np.int64], strings: Sequence[bytes]) -> Dictionary:
        """With ascending ``strings``, none of which it has, each before the string at its place in ``at``."""
        if not strings:
            return self
        added = np.zeros(len(self) + len(strings), dtype=np.bool_)
        added[at + np.arange(len(strings))] = True
        lengths = np.zeros(len(added), dtype=np.int64)
        lengths[added] = np.fromiter(map(len, strings), np.int64, len(strings))
        lengths[~added] = np.diff(self.offsets)
        of_added = np.repeat(added, lengths)
        blob = np.zeros(len(of_added), dtype=np.uint8)
        blob[of_added] = np.frombuffer(b"".join(strings), dtype=np.uint8)
        blob[~of_added] = self.blob
        return Dictionary(_starts(lengths), blob)

    def code(self, string: bytes) -> int | None:
        data, cuts = self._bytes, self._cuts
        low, high = 0, len(self)
        while low < high:  # not by ``bisect``, which would call ``__getitem__``: three times as dear
            middle = (low + high) >> 1
            at = bytes(data[cuts[middle] : cuts[middle + 1]])
            if at == string:
                return middle
            low, high = (middle + 1, high) if at < string else (low, middle)
        return None

    def codes_with_prefix(self, prefix: bytes) -> tuple[int, int]:
        """The half-open range of codes of strings that start with ``prefix``."""
        low = bisect.bisect_left(self, prefix)
        # 0xFF occurs in no UTF-8 text, so this sorts after every string with the prefix.
        return low, bisect.bisect_left(self, prefix + b"\xff", lo=low)


def _starts(lengths: npt.NDArray[np.int64]) -> Offsets:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
