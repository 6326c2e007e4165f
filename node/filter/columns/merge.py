"""Making a new base of an old one and the delta on top of it."""

from __future__ import annotations

import bisect
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from node import bits
from node.bits import Mask, PackedBits
from node.filter.columns.base import Base, sorted_base
from node.filter.columns.delta import DeltaView
from node.filter.columns.dictionary import Dictionary

Codes = npt.NDArray[np.integer]
Places = npt.NDArray[np.int64]
_T = TypeVar("_T")

_DELTA_MIN: Final = 4096
_BASE_SHARE: Final = 8
_TABLE_BYTES_MAX: Final = 2**27  # of a table of equally wide strings
_CHUNK: Final = 256  # strings handled, in about 0.1 ms, between two chances for others to run


def needs_rebuild(delta_len: int, base_len: int) -> bool:
    """Is the delta so long that scanning it for every read costs more than merging it once?

    A share of the base, so that the work of merging stays in proportion to what was written.
    """
    return delta_len > max(_DELTA_MIN, base_len // _BASE_SHARE)


def merged(base: Base, stale: PackedBits, delta: DeltaView) -> Base:
    """The base of what is current: the old one without ``stale`` slots, and the delta's live entries."""
    keep = ~bits.contains(stale, base.slots)
    live = np.ones(len(delta.values), dtype=np.bool_) if delta.alive is None else delta.alive
    old_values, new_values = base.values[keep], delta.values[live]
    dictionary = None
    if delta.codes is not None:
        assert base.dictionary is not None
        strings = [string.encode() for string in _gently(delta.codes.strings[:])]
        dictionary, old_values, new_values = _one_dictionary(base.dictionary, old_values, strings, new_values)
    extras = {
        name: np.concatenate([array[keep], delta.extras[name][live]]) for name, array in base.extras.items()
    }
    return sorted_base(
        np.concatenate([old_values, new_values]),
        np.concatenate([base.slots[keep], delta.slots[live]]),
        dictionary,
        extras,
    )


def _one_dictionary(
    old: Dictionary, old_codes: Codes, added: list[bytes], added_codes: Codes
) -> tuple[Dictionary, Codes, Codes]:
    """A dictionary of the strings still used, and both parts' codes in it.

    Ranks are computed from where the few added strings fall among the many old ones, so that no table of
    all strings is made.
    """
    used, old_codes = _used(len(old), old_codes)
    kept = old.selected(used)
    used, added_codes = _used(len(added), added_codes)
    new = list(itertools.compress(added, used))
    order, at, known = _placed(new, kept)
    fresh = [new[i] for i in _gently(order[~known].tolist())]
    old_ranks = np.arange(len(kept)) + np.searchsorted(at[~known], np.arange(len(kept)), side="right")
    new_ranks = np.zeros(len(new), dtype=np.int64)
    new_ranks[order] = at + np.cumsum(~known) - 1
    new_ranks[order[known]] = old_ranks[at[known]]
    return (
        kept.with_inserted(at[~known], fresh),
        old_ranks.astype(np.int32)[old_codes],
        new_ranks.astype(np.int32)[added_codes],
    )


def _used(size: int, codes: Codes) -> tuple[Mask, Codes]:
    """Which of ``size`` strings codes refer to, and the codes among those."""
    used = np.zeros(size, dtype=np.bool_)
    used[codes] = True
    return used, (np.cumsum(used) - 1)[codes]


def _placed(new: list[bytes], kept: Dictionary) -> tuple[Places, Places, Mask]:
    """The order that sorts ``new``, and in that order where each belongs in ``kept`` and if it is there.

    Of short strings in numpy, which lets other threads run meanwhile.
    """
    width = max(kept.width, max(map(len, new), default=0), 1)
    if (
        width * (len(kept) + len(new)) > _TABLE_BYTES_MAX
        or kept.has_nul
        or any(b"\0" in s for s in _gently(new))
    ):
        return _placed_one_by_one(new, kept)
    rest, chunks = iter(new), [np.zeros(0, f"S{width}")]
    while chunk := list(itertools.islice(rest, _CHUNK)):
        chunks.append(np.array(chunk, dtype=f"S{width}"))
        time.sleep(0)
    added, present = np.concatenate(chunks), kept.table(width)
    order = np.argsort(added, kind="stable").astype(np.int64)
    ascending = added[order]
    at = np.searchsorted(present, ascending).astype(np.int64)
    known = np.zeros(len(new), np.bool_)
    inside = at < len(present)
    known[inside] = present[at[inside]] == ascending[inside]
    return order, at, known


def _placed_one_by_one(new: list[bytes], kept: Dictionary) -> tuple[Places, Places, Mask]:
    order = sorted(range(len(new)), key=new.__getitem__)
    at = [bisect.bisect_left(kept, new[i]) for i in _gently(order)]
    known = [rank < len(kept) and kept[rank] == new[i] for rank, i in _gently(zip(at, order, strict=True))]
    return np.array(order, np.int64), np.array(at, np.int64), np.array(known, np.bool_)


def _gently(items: Iterable[_T]) -> Iterator[_T]:
    """Lets go of the interpreter's lock now and then, so that reads need not wait for it to be taken away."""
    rest = iter(items)
    while chunk := list(itertools.islice(rest, _CHUNK)):
        yield from chunk
        time.sleep(0)
