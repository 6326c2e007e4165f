"""One payload index as its writer changes it: a base, a delta and the bits that connect them.

May not live here: reading (``view``), files, what a payload has at the field (``intake``).

Invariants, for every slot last put and not removed since:
  its held values are its entries, in the base unless it is ``stale``, else alive in the delta;
  it is in ``held`` if it has any, and in ``others`` if the field has a value that is neither null nor held.

A long delta is merged into a new base in a thread of its own. What changes meanwhile is in the delta's tail,
and the slots whose older entries no longer count in ``_moved``: they are stale in the new base.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from msgspec import Struct

from node.filter.columns.base import Base
from node.filter.columns.delta import Codes, Delta
from node.filter.columns.dictionary import Dictionary
from node.filter.columns.flags import Flags, Shape, as_set
from node.filter.columns.intake import Intake, Reader
from node.filter.columns.kinds import Kind, kind_of
from node.filter.columns.merge import merged, needs_rebuild
from node.filter.columns.view import ColumnView
from node.hardware import INDEX_ENTRY_BYTES, counting
from protos.collections import Memory, PayloadIndexParams
from protos.json_path import JsonPath, parse_path

# One at a time: merging is limited by memory, and by the interpreter's lock where it handles strings.
_MERGERS: Final = ThreadPoolExecutor(1, thread_name_prefix="column-merge")


class _Merge(Struct, frozen=True, eq=False):
    """The delta's first ``length`` entries are on their way into a new base."""

    base: Future[Base]
    length: int


class Column:
    """The writer's side. One thread changes it; views taken before a change do not see it."""

    def __init__(self, field: str, params: PayloadIndexParams, kind: Kind | None = None) -> None:
        self.field = field
        self.params = params
        self.kind = kind_of(params) if kind is None else kind
        self.path: JsonPath = parse_path(field)
        self._reader = Reader(self.path, self.kind)
        dtype = self.kind.dtype or np.uint8
        self._base = self._placed(
            Base(
                np.zeros(0, dtype),
                np.zeros(0, np.uint32),
                Dictionary.of([]) if self.kind.worded else None,
                self.kind.extras,
            )
        )
        self._delta = self._empty_delta()
        self._stale, self._held, self._others = Flags(), Flags(), Flags()
        self._shape = Shape() if self._reader.shaped else None
        self._points = 0
        self._moved: Flags | None = None
        self._merge: _Merge | None = None
        self._view: ColumnView | None = None

    def _empty_delta(self) -> Delta:
        return Delta(self.kind.dtype or np.uint8, Codes() if self.kind.worded else None, self.kind.extras)

    def _placed(self, base: Base) -> Base:
        base.cold = self.params.placement is Memory.COLD
        return base

    @classmethod
    def restored(cls, field: str, view: ColumnView) -> Column:
        """The writer's side of a view read back from disk."""
        column = cls(field, view.params, view.kind)
        column._base, column._delta = column._placed(view.base), Delta.restored(view.delta)
        column._stale, column._held = Flags(view.stale), Flags(view.held)
        column._others, column._points = Flags(view.others), view.points
        column._shape = None if view.shape is None else Shape(view.shape)
        return column

    @property
    def outdated(self) -> bool:
        """Was it read from files of a former format that held less?"""
        return self.kind.dtype is None

    def put(self, slots: Sequence[int], payloads: Sequence[dict[str, Any]]) -> None:
        """Take the values of distinct slots from their payloads, in place of those they had."""
        self.remove(slots)
        intake = self._reader.read(slots, payloads)
        if not intake.empty:
            self._record(intake)

    def _record(self, intake: Intake) -> None:
        self._view = None
        if intake.others:
            self._others.add(intake.others)
        if intake.held:
            self._held.add(intake.held)
            self._points += len(intake.held)
        if self._shape is not None and (intake.nulls or intake.arrays):
            self._shape.nulls.add(intake.nulls)
            self._shape.arrays.add(intake.arrays)
            self._shape.arrays_with_null.add(intake.arrays_with_null)
        if intake.slots and self.kind.dtype is not None:
            slots = np.array(intake.slots, dtype=np.int64)
            entries = self.kind.entries(slots, intake.stored)
            self._delta.put(entries)
            usage = counting()
            if usage is not None:
                usage.payload_index_io_write += len(entries.slots) * INDEX_ENTRY_BYTES

    def remove(self, slots: Sequence[int]) -> None:
        """Forget the slots' values, if they have any."""
        among = as_set(slots)
        others, held = self._others.discard(among), self._held.discard(among)
        shaped = self._shape is not None and self._shape.discard(among)
        if others or held or shaped:
            self._view = None
        if held:
            self._points -= len(held)
            if self.kind.dtype is not None:
                self._stale.add(self._delta.drop(held))
                if self._moved is not None:
                    self._moved.add(held)

    def view(self) -> ColumnView:
        """What the column holds now; has a delta that has grown long merged."""
        self._keep_merging()
        if self._view is None:
            self._view = ColumnView(
                self.kind,
                self.params,
                self._base,
                self._delta.view(),
                self._stale.packed(),
                self._held.packed(),
                self._others.packed(),
                self._points,
                None if self._shape is None else self._shape.view(),
            )
        return self._view

    def _keep_merging(self) -> None:
        if self._merge is None:
            if needs_rebuild(len(self._delta), len(self._base)):
                self.start_merge()
        elif self._merge.base.done():
            self.finish_merge()

    def start_merge(self) -> None:
        """Begin to merge what the delta holds now, unless that is being done."""
        if self._merge is None:
            self._moved = Flags()
            base = _MERGERS.submit(merged, self._base, self._stale.packed(), self._delta.view())
            self._merge = _Merge(base, len(self._delta))

    def finish_merge(self) -> None:
        """Wait for a merge that was begun and use its base. Raises: what merging raised."""
        if self._merge is None:
            return
        assert self._moved is not None
        merge, self._merge = self._merge, None
        moved, self._moved = self._moved, None
        self._base = self._placed(merge.base.result())
        self._delta = self._delta.after(merge.length)
        self._stale = moved
        self._view = None

    def rebuild(self) -> None:
        """Merge the whole delta into a new base, now."""
        self.finish_merge()
        self._base = self._placed(merged(self._base, self._stale.packed(), self._delta.view()))
        self._delta = self._empty_delta()
        self._stale = Flags()
        self._view = None
