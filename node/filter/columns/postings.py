"""Tokens to slots: the inverted index that a text column's entries are.

A token's entries in the base are one range, ascending by slot and, where positions are kept, by position. A
phrase is an intersection too: of slot and position together, each token's moved back by its place.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from node import bits
from node.bits import PackedBits
from node.filter import slot_sets
from node.filter.columns.parts import ColumnParts
from node.filter.slot_sets import SlotSet

_Places = npt.NDArray[np.uint64]  # slot << 32 | position


def having(parts: ColumnParts, tokens: Sequence[str], size: int, *, in_a_row: bool) -> SlotSet:
    """The slots that have every token; ``in_a_row``: one after the other, within one text."""
    found = [_slots(parts, token, size) for token in dict.fromkeys(tokens)]
    everywhere = functools.reduce(slot_sets.intersection, sorted(found, key=lambda each: each.count))
    if not in_a_row or len(tokens) == 1 or everywhere.count == 0:
        return everywhere
    among = everywhere.to_bits(size)
    places = [_places(parts, token, at, among) for at, token in enumerate(tokens)]
    runs = functools.reduce(_both, sorted(places, key=len))
    slots = (runs >> np.uint64(32)).astype(np.int64)
    return slot_sets.of_slots(slots[np.diff(slots, prepend=-1) > 0], size)


def _slots(parts: ColumnParts, token: str, size: int) -> SlotSet:
    return parts.set_of(parts.base.spans(((token, token),)), parts.delta.within(((token, token),)), size)


def _places(parts: ColumnParts, token: str, back: int, among: PackedBits) -> _Places:
    """Where a run that has ``token`` at its place ``back`` begins, in the slots of ``among``; ascending."""
    at = parts.base.positions_of(parts.base.spans(((token, token),)))
    slots, positions = parts.base.slots[at], parts.base.extras["positions"][at]
    keep = bits.contains(among, slots) & (positions >= back)
    if len(parts.stale):
        keep &= ~bits.contains(parts.stale, slots)
    recent = parts.delta.living(parts.delta.within(((token, token),)))
    new_slots, new_positions = parts.delta.slots[recent], parts.delta.extras["positions"][recent]
    new = bits.contains(among, new_slots) & (new_positions >= back)
    places = np.concatenate(
        [_joined(slots[keep], positions[keep] - back), _joined(new_slots[new], new_positions[new] - back)]
    )
    return np.sort(places) if new.any() else places


def _joined(slots: npt.NDArray[np.uint32], positions: npt.NDArray[np.uint32]) -> _Places:
    return slots.astype(np.uint64) << np.uint64(32) | positions.astype(np.uint64)


def _both(few: _Places, many: _Places) -> _Places:
    """Members of both, each ascending and unique."""
    at = np.minimum(np.searchsorted(many, few), max(len(many) - 1, 0))
    return few[many[at] == few] if len(many) else few[:0]
