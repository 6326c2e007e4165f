"""One payload index as its writer changes it: a base, a delta and the bits that connect them.

May not live here: reading (``view``), files.

Invariants, for every slot last put and not removed since:
  its held values are its entries, in the base unless it is ``stale``, else alive in the delta;
  it is in ``held`` if it has any, and in ``others`` if the field has a value that is neither null nor held.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from node import bits
from node.bits import PackedBits
from node.filter.columns.base import Base
from node.filter.columns.delta import Codes, Delta
from node.filter.columns.dictionary import Dictionary
from node.filter.columns.kinds import kind_of
from node.filter.columns.merge import merged, needs_rebuild
from node.filter.columns.view import ColumnView
from protos.collections import PayloadIndexParams
from protos.json_path import JsonPath, flat_values_at, parse_path


class Flags:
    """A growing bitmap with one writer; a copy is taken of it for views, only after changes."""

    def __init__(self, packed: PackedBits | None = None) -> None:
        self._bytes = bytearray() if packed is None else bytearray(packed)
        self._frozen: PackedBits | None = None

    def add(self, slot: int) -> None:
        byte = slot >> 3
        if byte >= len(self._bytes):
            self._bytes.extend(bytes(bits.size_for(slot * 5 // 4 + 512) - len(self._bytes)))
        self._bytes[byte] |= 1 << (slot & 7)
        self._frozen = None

    def discard(self, slot: int) -> bool:
        """Was it in the set?"""
        byte, bit = slot >> 3, 1 << (slot & 7)
        if byte >= len(self._bytes) or not self._bytes[byte] & bit:
            return False
        self._bytes[byte] ^= bit
        self._frozen = None
        return True

    def packed(self) -> PackedBits:
        if self._frozen is None:
            self._frozen = np.frombuffer(bytes(self._bytes), dtype=np.uint8)
        return self._frozen


class Column:
    """The writer's side. One thread changes it; views taken before a change do not see it."""

    def __init__(self, field: str, params: PayloadIndexParams) -> None:
        self.field = field
        self.params = params
        self.kind = kind_of(params.data_type.value)
        self.path: JsonPath = parse_path(field)
        first = self.path.steps[0]
        self._key = first if len(self.path.steps) == 1 and isinstance(first, str) else None
        dtype = self.kind.dtype or np.uint8
        self._base = Base(
            np.zeros(0, dtype), np.zeros(0, np.uint32), Dictionary.of([]) if self._keyword else None
        )
        self._delta = Delta(dtype, Codes() if self._keyword else None)
        self._stale, self._held, self._others = Flags(), Flags(), Flags()
        self._points = 0
        self._view: ColumnView | None = None

    @classmethod
    def restored(cls, field: str, view: ColumnView) -> Column:
        """The writer's side of a view read back from disk."""
        column = cls(field, view.params)
        column._base, column._delta = view.base, Delta.restored(view.delta)
        column._stale, column._held = Flags(view.stale), Flags(view.held)
        column._others, column._points = Flags(view.others), view.points
        return column

    @property
    def _keyword(self) -> bool:
        return self.kind.name == "keyword"

    def put(self, slot: int, payload: dict[str, Any]) -> None:
        """Take the slot's values from ``payload``, in place of those it had."""
        self.remove(slot)
        if self._key is None:
            found = flat_values_at(payload, self.path)
        else:
            value = payload.get(self._key)
            found = value if isinstance(value, list) else [value]
        held = []
        others = False
        for value in found:
            stored = self.kind.hold(value)
            if stored is not None:
                held.append(stored)
            elif value is not None:
                others = True
        if held or others:
            self._record(slot, held, others=others)

    def _record(self, slot: int, held: list[Any], *, others: bool) -> None:
        self._view = None
        if others:
            self._others.add(slot)
        if held:
            self._held.add(slot)
            self._points += 1
            if self.kind.dtype is not None:
                self._delta.put(slot, held if len(held) == 1 else dict.fromkeys(held))

    def remove(self, slot: int) -> None:
        """Forget the slot's values, if it has any."""
        other, held = self._others.discard(slot), self._held.discard(slot)
        if other or held:
            self._view = None
        if held:
            self._points -= 1
            if self.kind.dtype is not None and not self._delta.drop(slot):
                self._stale.add(slot)

    def view(self) -> ColumnView:
        """What the column holds now; merges the delta first when it has grown long."""
        if self._view is None:
            if needs_rebuild(len(self._delta), len(self._base)):
                self.rebuild()
            self._view = ColumnView(
                self.kind,
                self.params,
                self._base,
                self._delta.view(),
                self._stale.packed(),
                self._held.packed(),
                self._others.packed(),
                self._points,
            )
        return self._view

    def rebuild(self) -> None:
        """Merge the delta into a new base."""
        self._base = merged(self._base, self._stale.packed(), self._delta.view())
        self._delta = Delta(self._base.values.dtype, Codes() if self._keyword else None)
        self._stale = Flags()
        self._view = None
