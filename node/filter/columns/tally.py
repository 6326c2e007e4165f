"""How many slots have each value of a payload index, for facets.

Arrays until the chosen values: nothing here costs a Python object per slot. Strings that came since the base
was made are looked up in its dictionary one by one; there are never more of them than a delta has entries.
May not live here: which slots count (``node.query``), which indexes clients may ask (``protos.facets``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node import bits
from node.bits import Mask, PackedBits
from node.filter.columns.base import SlotColumn, Values
from node.filter.columns.delta import Codes
from node.filter.columns.dictionary import Dictionary
from node.filter.columns.view import ColumnView
from node.hardware import counting as measured
from protos.facets import FacetValue

Counts = npt.NDArray[np.int64]
Tally = list[tuple[FacetValue, int]]

_UUID_BYTES: Final = 16


class _Counted(Struct, frozen=True, eq=False):
    """``values`` (n,) ascending and distinct, ``counts`` (n,) at least 1."""

    values: Values
    counts: Counts


def tally(view: ColumnView, counting: PackedBits | None, limit: int | None) -> Tally:
    """The ``limit`` values (None: all) that most slots have, with how many; ties by the smaller value.

    ``counting``: the slots that count, None for all that the column has.
    """
    base, delta = view.base, view.delta
    stale = None if not len(view.stale) else view.stale
    usage = measured()
    if usage is not None:
        usage.payload_index_io_read += base.values.nbytes + base.slots.nbytes
        usage.payload_index_io_read += delta.values.nbytes + delta.slots.nbytes
    values = base.values
    kept = _kept(base.slots, counting, stale)
    old = _runs(values if kept is None else values[kept])
    live = _kept(delta.slots, counting, None)
    if delta.alive is not None:
        live = delta.alive if live is None else live & delta.alive
    new = _distinct(delta.values if live is None else delta.values[live])
    if delta.codes is not None:
        assert base.dictionary is not None
        return _of_strings(old, new, delta.codes, base.dictionary, limit)
    found = _most(_joined(old, new), limit)
    read = _READERS[view.kind.name]
    return [(read(value), count) for value, count in zip(found.values.tolist(), found.counts.tolist())]


# --- counting ----------------------------------------------------------------------------------------


def _kept(slots: SlotColumn, counting: PackedBits | None, stale: PackedBits | None) -> Mask | None:
    """Which entries count; None: all."""
    if counting is None:
        return None if stale is None else ~bits.contains(stale, slots)
    if stale is not None:
        counting = counting & ~bits.fit(stale, len(counting))
    return bits.contains(counting, slots)


def _runs(ascending: Values) -> _Counted:
    if not len(ascending):
        return _Counted(ascending, np.zeros(0, dtype=np.int64))
    first = np.ones(len(ascending), dtype=np.bool_)
    first[1:] = ascending[1:] != ascending[:-1]
    starts = np.flatnonzero(first)
    return _Counted(ascending[starts], np.diff(starts, append=len(ascending)))


def _distinct(values: Values) -> _Counted:
    return _runs(np.sort(values))


def _joined(a: _Counted, b: _Counted) -> _Counted:
    """Values of both, with the sums of their counts."""
    if not len(b.values):
        return a
    values, places = np.unique(np.concatenate([a.values, b.values]), return_inverse=True)
    counts = np.zeros(len(values), dtype=np.int64)
    np.add.at(counts, places, np.concatenate([a.counts, b.counts]))
    return _Counted(values, counts)


def _most(counted: _Counted, limit: int | None) -> _Counted:
    """The ``limit`` largest counts, largest first; ties by the smaller value."""
    counts = counted.counts
    chosen = np.arange(len(counts))
    if limit is not None and limit < len(counts):
        least = np.partition(counts, len(counts) - limit)[len(counts) - limit]
        above = np.flatnonzero(counts > least)
        chosen = np.concatenate([above, np.flatnonzero(counts == least)[: limit - len(above)]])
    order = chosen[np.lexsort((chosen, -counts[chosen]))]
    return _Counted(counted.values[order], counts[order])


# --- values as clients see them ------------------------------------------------------------------------


def _of_strings(
    old: _Counted, new: _Counted, codes: Codes, dictionary: Dictionary, limit: int | None
) -> Tally:
    """``old`` counts codes of ``dictionary``, ``new`` those of the delta's own ``codes``."""
    known: dict[int, int] = {}
    fresh: list[tuple[bytes, int]] = []
    for code, count in zip(new.values.tolist(), new.counts.tolist()):
        text = codes.strings[code].encode()
        rank = dictionary.code(text)
        if rank is None:
            fresh.append((text, count))
        else:
            known[rank] = count
    added = np.array(sorted(known), dtype=old.values.dtype)
    counts = np.array([known[rank] for rank in added.tolist()], dtype=np.int64)
    found = _most(_joined(old, _Counted(added, counts)), limit)
    texts = [(dictionary[code], count) for code, count in zip(found.values.tolist(), found.counts.tolist())]
    if fresh:  # bytes of UTF-8 sort as the texts do
        texts = sorted(texts + fresh, key=lambda entry: (-entry[1], entry[0]))[:limit]
    return [(text.decode(), count) for text, count in texts]


def _uuid(raw: Any) -> str:
    return str(UUID(bytes=raw.ljust(_UUID_BYTES, b"\0")))  # numpy cuts trailing zero bytes off


_READERS: Final[dict[str, Callable[[Any], FacetValue]]] = {"integer": int, "bool": bool, "uuid": _uuid}
