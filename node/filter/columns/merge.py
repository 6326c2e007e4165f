"""Making a new base of an old one and the delta on top of it."""

from __future__ import annotations

import bisect
import itertools
from typing import Final

import numpy as np
import numpy.typing as npt

from node import bits
from node.bits import PackedBits
from node.filter.columns.base import Base, SlotColumn, Values, sorted_base
from node.filter.columns.delta import DeltaView
from node.filter.columns.dictionary import Dictionary

Codes = npt.NDArray[np.integer]

_DELTA_MIN: Final = 4096
_BASE_SHARE: Final = 8


def needs_rebuild(delta_len: int, base_len: int) -> bool:
    """Is the delta so long that scanning it for every read costs more than merging it once?

    A share of the base, so that the work of merging stays in proportion to what was written.
    """
    return delta_len > max(_DELTA_MIN, base_len // _BASE_SHARE)


def merged(base: Base, stale: PackedBits, delta: DeltaView) -> Base:
    """The base of what is current: the old one without ``stale`` slots, and the delta's live entries."""
    keep = ~bits.contains(stale, base.slots)
    old_values, old_slots = base.values[keep], base.slots[keep]
    live = np.ones(len(delta.values), dtype=np.bool_) if delta.alive is None else delta.alive
    new_values, new_slots = delta.values[live], delta.slots[live]
    if delta.codes is None:
        return _joined((old_values, old_slots), (new_values, new_slots), None)
    assert base.dictionary is not None
    strings = [string.encode() for string in delta.codes.strings]
    dictionary, old_values, new_values = _one_dictionary(base.dictionary, old_values, strings, new_values)
    return _joined((old_values, old_slots), (new_values, new_slots), dictionary)


def _joined(
    old: tuple[Values, SlotColumn], new: tuple[Values, SlotColumn], dictionary: Dictionary | None
) -> Base:
    values, slots = (np.concatenate([a, b]) for a, b in zip(old, new, strict=True))
    return sorted_base(values, slots, dictionary)


def _one_dictionary(
    old: Dictionary, old_codes: Codes, added: list[bytes], added_codes: Codes
) -> tuple[Dictionary, Codes, Codes]:
    """A dictionary of the strings still used, and both parts' codes in it.

    Ranks are computed from where the few added strings fall among the many old ones, so that no table of
    all strings is made.
    """
    kept, old_codes = _used(old.strings(), old_codes)
    new, added_codes = _used(added, added_codes)
    order = sorted(range(len(new)), key=new.__getitem__)
    at = np.array([bisect.bisect_left(kept, new[i]) for i in order], dtype=np.int64)
    known = np.array(
        [rank < len(kept) and kept[rank] == new[i] for i, rank in zip(order, at.tolist(), strict=True)],
        dtype=np.bool_,
    )
    positions = np.arange(len(kept))
    old_ranks = positions + np.searchsorted(at[~known], positions, side="right")
    new_ranks = np.zeros(len(new), dtype=np.int64)
    new_ranks[order] = at + np.cumsum(~known) - 1
    new_ranks[np.array(order, dtype=np.int64)[known]] = old_ranks[at[known]]
    fresh = itertools.compress((new[i] for i in order), ~known)
    strings = sorted([*kept, *fresh])  # two sorted runs: a merge
    return (
        Dictionary.of(strings),
        old_ranks.astype(np.int32)[old_codes],
        new_ranks.astype(np.int32)[added_codes],
    )


def _used(strings: list[bytes], codes: Codes) -> tuple[list[bytes], Codes]:
    """Only the strings that codes refer to, and the codes among them."""
    used = np.zeros(len(strings), dtype=np.bool_)
    used[codes] = True
    return list(itertools.compress(strings, used)), (np.cumsum(used) - 1)[codes]
