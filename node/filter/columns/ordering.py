"""The entries of one payload index in the order of their values, for scrolls with ``order_by``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from node import bits
from node.bits import PackedBits, Slots
from node.filter.columns.base import SlotColumn, Values
from node.filter.columns.view import ColumnView

Entries = tuple[Values, SlotColumn]


def ordered(
    view: ColumnView, allowed: PackedBits, *, descending: bool, start_from: float | None, chunk: int
) -> Iterator[tuple[Values, Slots]]:
    """Yield the entries of ``allowed`` slots as (values, slots), a few more than ``chunk`` of them at a time.

    Starts at ``start_from``, inclusive. Equal values are never split between parts and come in any order
    among themselves. A slot with several values has an entry for each.
    """
    low, high = _range(view.base.values, start_from, descending=descending)
    recent = _recent(view, start_from, descending=descending)
    while low < high:
        cut = _cut(view.base.values, low, high, chunk, descending=descending)
        due, recent = _due(recent, view.base.values, cut, descending=descending)
        part = slice(cut, high) if descending else slice(low, cut)
        low, high = (low, cut) if descending else (cut, high)
        yield _read(_joined(_current(view, part), due), allowed, descending=descending)
    if len(recent[0]):
        yield _read(recent, allowed, descending=descending)


def _cut(values: Values, low: int, high: int, chunk: int, *, descending: bool) -> int:
    """Where the next part of about ``chunk`` entries ends (descending: starts), between two values."""
    if descending:
        first = values[max(high - chunk, low)]
        return max(low, int(np.searchsorted(values, first, side="left")))
    return int(np.searchsorted(values, values[min(low + chunk, high) - 1], side="right"))


def _due(recent: Entries, values: Values, cut: int, *, descending: bool) -> tuple[Entries, Entries]:
    """The recent entries that belong to the part beside ``cut``, and those that come later."""
    if descending:
        at = int(np.searchsorted(recent[0], values[cut], side="left"))
        return (recent[0][at:], recent[1][at:]), (recent[0][:at], recent[1][:at])
    at = int(np.searchsorted(recent[0], values[cut - 1], side="right"))
    return (recent[0][:at], recent[1][:at]), (recent[0][at:], recent[1][at:])


def _range(values: Values, start_from: float | None, *, descending: bool) -> tuple[int, int]:
    if start_from is None:
        return 0, len(values)
    if descending:
        return 0, int(np.searchsorted(values, start_from, side="right"))
    return int(np.searchsorted(values, start_from, side="left")), len(values)


def _recent(view: ColumnView, start_from: float | None, *, descending: bool) -> Entries:
    """The delta's live entries that count, ascending."""
    delta = view.delta
    keep = np.ones(len(delta.values), dtype=np.bool_) if delta.alive is None else delta.alive
    if start_from is not None:
        keep = keep & (delta.values <= start_from if descending else delta.values >= start_from)
    return _sorted(delta.values[keep], delta.slots[keep])


def _current(view: ColumnView, part: slice) -> Entries:
    values, slots = view.base.values[part], view.base.slots[part]
    keep = ~bits.contains(view.stale, slots)
    return values[keep], slots[keep]


def _joined(a: Entries, b: Entries) -> Entries:
    if not len(b[0]):
        return a
    return _sorted(np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]]))


def _sorted(values: Values, slots: SlotColumn) -> Entries:
    order = np.argsort(values, kind="stable")
    return values[order], slots[order]


def _read(entries: Entries, allowed: PackedBits, *, descending: bool) -> tuple[Values, Slots]:
    values, slots = entries
    keep = bits.contains(allowed, slots)
    values, wide = values[keep], slots[keep].astype(np.int64)
    return (values[::-1], wide[::-1]) if descending else (values, wide)
