"""The sorted part of a column: entries (value, slot) ascending, never changed once made.

Lives here: looking up ranges of values, and the cache of packed bits for values that many slots have.
May not live here: which of its slots have changed since (``column``).
"""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node import bits
from node.bits import PackedBits
from node.filter.columns.dictionary import Dictionary

Values = npt.NDArray[Any]
SlotColumn = npt.NDArray[np.uint32]
Extras = Mapping[str, npt.NDArray[Any]]  # (n, ...), beside the values, by name
Spans = list[tuple[int, int]]  # half-open, of positions in the base

_CACHED_BYTES_MAX: Final = 16 * 2**20  # of packed bits, per base
_CACHED_BYTES_COLD: Final = 2**20  # the same, where a column is to stay on disk


class SavedFile(Struct, frozen=True):
    name: str
    crc32c: int


class Base:
    """``values`` (n,) and ``slots`` (n,) uint32; keyword and text columns hold codes of ``dictionary``.

    ``saved`` names its files by part, None before it has any.
    """

    def __init__(
        self,
        values: Values,
        slots: SlotColumn,
        dictionary: Dictionary | None = None,
        extras: Extras | None = None,
    ) -> None:
        self.values = values
        self.slots = slots
        self.dictionary = dictionary
        self.extras: Extras = extras or {}
        self.saved: dict[str, SavedFile] | None = None
        self.cold = False  # keep little of it in memory
        self._cache: OrderedDict[tuple[tuple[int, int], ...], PackedBits] = OrderedDict()
        self._cache_lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.values)

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """Its arrays by the names their files have."""
        parts: dict[str, npt.NDArray[Any]] = {"values": self.values, "slots": self.slots, **self.extras}
        if self.dictionary is not None:
            parts |= {"offsets": self.dictionary.offsets, "blob": self.dictionary.blob}
        return parts

    def adopt(self, parts: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take equal arrays in place of its own, as those mapped from disk; safe beside reads."""
        if self.dictionary is not None:
            self.dictionary = Dictionary(parts["offsets"], parts["blob"])
        self.extras = {name: parts[name] for name in self.extras}
        self.values, self.slots = parts["values"], parts["slots"]

    @property
    def cached_bytes(self) -> int:
        """Of packed bits."""
        with self._cache_lock:
            return sum(len(packed) for packed in self._cache.values())

    def spans(self, intervals: Sequence[tuple[Any, Any]]) -> Spans:
        """Positions of the values within any of the closed intervals, ascending and disjoint."""
        if self.dictionary is not None:
            return self._spans_of_strings([low for low, _ in intervals])
        if not intervals:
            return []
        lows, highs = (np.array(side, dtype=self.values.dtype) for side in zip(*intervals, strict=True))
        starts = np.searchsorted(self.values, lows, side="left")
        ends = np.searchsorted(self.values, highs, side="right")
        return merged(sorted(zip(starts.tolist(), ends.tolist(), strict=True)))

    def _spans_of_strings(self, strings: Sequence[str]) -> Spans:
        """One after another as plain integers, which is quicker than NumPy as long as they are few."""
        assert self.dictionary is not None
        found, codes = [], self.values.data
        for string in strings:
            code = self.dictionary.code(string.encode())
            if code is not None:
                start = bisect.bisect_left(codes, code)
                found.append((start, bisect.bisect_right(codes, code, lo=start)))
        return merged(sorted(found))

    def spans_of_prefix(self, prefix: str) -> Spans:
        assert self.dictionary is not None, "prefixes are asked of keyword columns"
        low, high = self.dictionary.codes_with_prefix(prefix.encode())
        start, end = np.searchsorted(self.values, [low, high], side="left").tolist()
        return merged([(start, end)])

    def gaps(self, spans: Spans) -> Spans:
        """The positions outside ``spans``."""
        edges = [0, *(edge for span in spans for edge in span), len(self)]
        return merged(list(zip(edges[::2], edges[1::2], strict=True)))

    def positions_of(self, spans: Spans) -> slice | npt.NDArray[np.int64]:
        """What picks the entries of ``spans`` out of any of its arrays."""
        if len(spans) < 2:
            return slice(*spans[0]) if spans else slice(0, 0)
        starts, ends = np.array(spans, dtype=np.int64).T
        lengths = ends - starts
        before = np.cumsum(lengths) - lengths
        positions: npt.NDArray[np.int64] = np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
        return positions

    def slots_of(self, spans: Spans) -> SlotColumn:
        """Their slots, in the order of their values, repeated if a slot has several."""
        if len(spans) == 1:
            start, end = spans[0]
            return self.slots[start:end]
        if not spans:
            return self.slots[:0]
        return np.concatenate([self.slots[start:end] for start, end in spans])

    def bits_of(self, spans: Spans, size: int) -> PackedBits:
        """Their slots in ``size`` bytes; remembered, since popular values are asked for again."""
        key = ((size, 0), *spans)
        with self._cache_lock:
            packed = self._cache.get(key)
            if packed is not None:
                self._cache.move_to_end(key)
                return packed
        packed = bits.pack(self.slots_of(spans), size)
        with self._cache_lock:
            self._cache[key] = packed
            most = _CACHED_BYTES_COLD if self.cold else _CACHED_BYTES_MAX
            while len(self._cache) > max(1, most // max(size, 1)):
                self._cache.popitem(last=False)
        return packed


def merged(spans: Spans) -> Spans:
    """Sorted spans without empty, touching or overlapping ones."""
    found: Spans = []
    for start, end in spans:
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def sorted_base(
    values: Values, slots: SlotColumn, dictionary: Dictionary | None = None, extras: Extras | None = None
) -> Base:
    """A base of entries in any order; cheap when they are sorted but for an ascending tail of new slots.

    Entries of one value and one slot keep their order.
    """
    order = np.argsort(values, kind="stable")
    sorted_values, sorted_slots = values[order], slots[order]
    tied = sorted_values[1:] == sorted_values[:-1]
    if np.any(tied & (sorted_slots[1:] < sorted_slots[:-1])):
        order = np.lexsort((slots, values))
        sorted_values, sorted_slots = values[order], slots[order]
    sorted_extras = {name: array[order] for name, array in (extras or {}).items()}
    return Base(sorted_values, sorted_slots, dictionary, sorted_extras)
