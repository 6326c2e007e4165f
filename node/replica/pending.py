"""The state a change meets when others of its group are accepted but not yet applied.

Lives here: ``Lookups`` over a view plus the ids that pending operations put or remove.
May not live here: filters over pending operations: the committer settles the group before those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from node.bits import Slots
from node.query.matching import matching_slots
from node.replica.view import View
from protos.filters import Filter
from protos.ids import PointId, id_from_key, id_key
from protos.operations import AnyLogOperation, PutPoints, PutVectors, RemovePoints, RemoveVectors


class PendingLookups:
    def __init__(self, view: Callable[[], View]) -> None:
        self._make_view = view
        self._view: View | None = None
        self._foreseen: dict[PointId, bool] = {}

    def foresee(self, operation: AnyLogOperation) -> None:
        """Count ``operation`` as done."""
        if isinstance(operation, PutPoints | PutVectors | RemoveVectors):
            self._foreseen.update(dict.fromkeys(operation.ids, True))
        elif isinstance(operation, RemovePoints):
            self._foreseen.update(dict.fromkeys(operation.ids, False))

    def touched(self, ids: Iterable[PointId]) -> bool:
        """Did a pending operation put or remove any of ``ids``?"""
        return bool(self._foreseen) and any(i in self._foreseen for i in ids)

    def forget(self) -> None:
        """Pending operations were applied, or dropped."""
        self._foreseen.clear()
        self._view = None

    def exist(self, ids: Sequence[PointId]) -> list[bool]:
        stored = (self._slots(ids) >= 0).tolist()
        if not self._foreseen:
            return [bool(there) for there in stored]
        return [self._foreseen.get(i, there) for i, there in zip(ids, stored, strict=True)]

    def matching(self, filter: Filter) -> list[PointId]:
        return sorted(self._ids(matching_slots(self._settled(), filter)), key=id_key)

    def matching_of(self, filter: Filter, ids: Sequence[PointId]) -> set[PointId]:
        slots = np.unique(self._slots(ids))
        return set(self._ids(matching_slots(self._settled(), filter, slots[slots >= 0])))

    def versions(self, ids: Sequence[PointId]) -> list[int | None]:
        slots = self._slots(ids)
        there = slots >= 0
        records = iter(self._settled().points.records(slots[there]))
        found = (next(records) if each else None for each in there.tolist())
        return [None if record is None else record.version for record in found]

    def _slots(self, ids: Sequence[PointId]) -> Slots:
        return self._current().points.slots_of([id_key(i) for i in ids])

    def _ids(self, slots: Slots) -> list[PointId]:
        return [id_from_key(record.key) for record in self._current().points.records(slots) if record]

    def _settled(self) -> View:
        assert not self._foreseen, "a filter must not miss what is pending"
        return self._current()

    def _current(self) -> View:
        if self._view is None:
            self._view = self._make_view()
        return self._view
