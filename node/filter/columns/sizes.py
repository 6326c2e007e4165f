"""How many slots a predicate may match, and how much memory a column takes, by the sizes of its parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node import bits
from node.filter.columns import places
from node.filter.columns.base import Spans
from node.filter.columns.kinds import Others, Wanted
from node.filter.columns.parts import ColumnParts
from node.residency import resident_bytes_of_array

_CIRCLE_SHARE = math.pi / 4  # of its box


class Cardinality(Struct, frozen=True):
    """A number known to be within bounds."""

    least: int
    expected: int
    most: int


class IndexMemory(Struct, frozen=True):
    """Bytes: of private memory, of mapped files, of those what is in memory now, of files."""

    ram_bytes: int
    mapped_bytes: int
    cached_bytes: int
    disk_bytes: int


def cardinality(parts: ColumnParts, wanted: Wanted) -> Cardinality:
    """Of the slots a predicate holds for."""
    held = _held(parts, wanted)
    least = held.least if wanted.sure else 0
    expected = held.expected if wanted.sure else held.expected // 2
    if wanted.others is Others.NONE or not parts.others.any():
        return Cardinality(least, expected, held.most)
    others = bits.count(parts.others)
    if wanted.others is Others.ALL:
        # A slot can be of both kinds.
        return Cardinality(max(least, others), max(expected, others), held.most + others)
    return Cardinality(least, expected, held.most + others)


def _held(parts: ColumnParts, wanted: Wanted) -> Cardinality:
    points = parts.points
    if wanted.tokens is not None:
        return _of_tokens(parts, wanted.tokens)
    if wanted.region is not None:
        spans = places.spans_within(parts.base, wanted.region)
        most = min(points, _length(spans) + len(parts.delta.values))
        return Cardinality(0, min(most, round(most * _CIRCLE_SHARE)), most)
    if wanted.prefix is not None:
        spans, recent = parts.base.spans_of_prefix(wanted.prefix), parts.delta.with_prefix(wanted.prefix)
    elif wanted.intervals is None:
        return Cardinality(points, points, points)
    else:
        spans, recent = parts.base.spans(wanted.intervals), parts.delta.within(wanted.intervals)
        if wanted.inverted:
            spans, recent = parts.base.gaps(spans), ~recent
    return _of_entries(parts, spans, int(np.count_nonzero(parts.delta.living(recent))))


def _of_entries(parts: ColumnParts, spans: Spans, recent: int) -> Cardinality:
    """``surplus`` entries at most are those of slots that have others, or no longer count."""
    alive = len(parts.delta.values) if parts.delta.alive is None else int(np.count_nonzero(parts.delta.alive))
    entries = len(parts.base) + alive
    found = _length(spans) + recent
    surplus = entries - parts.points
    most = min(parts.points, found)
    expected = round(found * parts.points / entries) if entries else 0
    # A text without tokens is held and has no entries, so of texts the surplus may be more.
    least = max(0, found - surplus) if parts.kind.name != "text" else 0
    return Cardinality(least, min(max(expected, least), most), most)


def _of_tokens(parts: ColumnParts, tokens: tuple[str, ...]) -> Cardinality:
    """Occurrences stand for texts, and words for independent of each other."""
    points, most, share = parts.points, parts.points, 1.0
    for token in dict.fromkeys(tokens):
        equal = ((token, token),)
        recent = parts.delta.living(parts.delta.within(equal))
        found = min(points, _length(parts.base.spans(equal)) + int(np.count_nonzero(recent)))
        most = min(most, found)
        share *= found / points if points else 0.0
    return Cardinality(0, min(round(share * points), most), most)


def _length(spans: Spans) -> int:
    return sum(end - start for start, end in spans)


def memory(parts: ColumnParts) -> IndexMemory:
    arrays = parts.base.parts().values()
    mapped = sum(array.nbytes for array in arrays if _is_mapped(array))
    cached = sum(resident_bytes_of_array(array) for array in arrays if _is_mapped(array))
    own = sum(array.nbytes for array in arrays if not _is_mapped(array))
    delta, shape = parts.delta, parts.shape
    own += delta.values.nbytes + delta.slots.nbytes + sum(extra.nbytes for extra in delta.extras.values())
    own += parts.stale.nbytes + parts.held.nbytes + parts.others.nbytes + parts.base.cached_bytes
    if delta.codes is not None:
        own += sum(map(len, delta.codes.strings[:]))
    if shape is not None:
        own += shape.nulls.nbytes + shape.arrays.nbytes + shape.arrays_with_null.nbytes
    return IndexMemory(own, mapped, min(cached, mapped), mapped)


def _is_mapped(array: npt.NDArray[Any]) -> bool:
    return isinstance(array.base, np.memmap)
