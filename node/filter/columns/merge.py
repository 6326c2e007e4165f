"""Making a new base of an old one and the delta on top of it."""

from __future__ import annotations

import bisect
import itertools
from typing import Final

import numpy as np
import numpy.typing as npt

from node import bits
from node.bits import Mask, PackedBits
from node.filter.columns.base import Base, sorted_base
from node.filter.columns.delta import DeltaView
from node.filter.columns.dictionary import Dictionary

Codes = npt.NDArray[np.integer]

_DELTA_MIN: Final = 4096
_BASE_SHARE: Final = 8
_SORTED_WIDTH_MAX: Final = 64  # bytes: beyond it a table of equally wide strings takes too much memory


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
        strings = [string.encode() for string in delta.codes.strings[:]]
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
    order = _ascending(new)
    ascending = [new[i] for i in order.tolist()]
    at = np.fromiter((bisect.bisect_left(kept, string) for string in ascending), np.int64, len(new))
    known = np.fromiter(
        (rank < len(kept) and kept[rank] == string for rank, string in zip(at.tolist(), ascending)),
        np.bool_,
        len(new),
    )
    fresh = list(itertools.compress(ascending, ~known))
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


def _ascending(strings: list[bytes]) -> npt.NDArray[np.int64]:
    """The order that sorts them. Of short ones in numpy, which lets other threads run meanwhile."""
    longest = max(map(len, strings), default=0)
    if longest > _SORTED_WIDTH_MAX or any(string.endswith(b"\0") for string in strings):
        return np.array(sorted(range(len(strings)), key=strings.__getitem__), dtype=np.int64)
    return np.argsort(np.array(strings, dtype=f"S{max(longest, 1)}"), kind="stable").astype(np.int64)
