"""Reading points: one immutable state, whatever is written or checkpointed meanwhile.

A view is two overlay layers (what is being checkpointed, and what came after) above one generation
of the file. Any number of threads may use one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from node.storage import unpacking
from node.storage.overlay import REMOVED, Layer
from node.storage.points_file import Generation
from node.storage.records import RecordCorrupted, StoredRecord, unpack_record
from protos.ids import PointId

T = TypeVar("T")
Slots = npt.NDArray[np.int64]

_UNCHANGED = b""  # no packed record is empty
_PAGE_MIN, _PAGE_MAX = 64, 1024  # keys fetched at a time; grows, since most iterations end early


class PointsView:
    """Every method raises RecordCorrupted when it meets a damaged value."""

    __slots__ = ("__weakref__", "_changed", "_layers", "active", "count", "frozen", "generation")

    def __init__(self, active: Layer, frozen: Layer, generation: Generation, count: int) -> None:
        self.active, self.frozen, self.generation = active, frozen, generation
        self.count = count
        """How many points there are."""
        self._layers = tuple(layer for layer in (active, frozen) if layer)
        self._changed = tuple(layer.records for layer in self._layers)

    def slot_of(self, key: bytes) -> int:
        """Return the point's slot, or -1 if there is no such point."""
        for layer in self._layers:
            slot = layer.ids.get(key)
            if slot is not None:
                return slot
        return self.generation.slot_of(key)

    def slots_of(self, keys: Sequence[bytes]) -> Slots:
        """Return the slots of many keys, shape (n,), -1 where there is no such point."""
        if not self._layers:
            return np.array(self.generation.slots_of(keys), dtype=np.int64)
        slots = [self._overlaid_slot(key) for key in keys]
        missing = [at for at, slot in enumerate(slots) if slot is None]
        for at, slot in zip(missing, self.generation.slots_of(keys[at] for at in missing)):
            slots[at] = slot
        return np.array(slots, dtype=np.int64)

    def record(self, slot: int) -> StoredRecord | None:
        """Return what is stored at ``slot``, or None."""
        return self.records((slot,))[0]

    def records(self, slots: Sequence[int] | npt.NDArray[np.integer]) -> list[StoredRecord | None]:
        """Return what is stored at each slot, None where nothing is."""
        wanted: Sequence[int] = slots.tolist() if isinstance(slots, np.ndarray) else slots
        return [None if data is None else unpack_record(data) for data in self._packed(wanted)]

    def points(
        self, slots: Slots, make: Callable[[PointId, int, bytes | None], T], *, payloads: bool
    ) -> list[list[T]] | None:
        """``make``'s of the id, version and payload (None unless ``payloads``) of slots (n, m), row by row.

        None: a slot holds nothing, or what is damaged; ``records`` tells which.
        """
        if not payloads:
            return self.generation.heads.points(slots, make, self._packed, self._changed)
        found = unpacking.points(self._packed(slots.ravel().tolist()), make, True)
        if found is None:
            return None
        width = slots.shape[1]
        return [found[at : at + width] for at in range(0, len(found), width)]

    def iter_ids(self, start: bytes | None = None) -> Iterator[tuple[bytes, int]]:
        """Yield (key, slot) by ascending key, from ``start`` (inclusive) on, fetching as it goes."""
        position: bytes | None = start or b""
        page = _PAGE_MIN
        while position is not None:
            found, position = self._ids_page(position, page)
            yield from found
            page = min(page * 4, _PAGE_MAX)

    def scan_records(self) -> Iterator[tuple[int, bytes]]:
        """Yield every (slot, packed record), in no particular order."""
        start = 0
        while stored := self.generation.records_from(start):
            for slot, data in stored:
                if not any(slot in layer.records for layer in self._layers):
                    yield slot, data
            start = stored[-1][0] + 1
            if start >= 2**32:
                break
        for depth, layer in enumerate(self._layers):
            for slot, changed in layer.records.items():
                if changed is not None and not any(slot in above.records for above in self._layers[:depth]):
                    yield slot, changed

    def _overlaid_slot(self, key: bytes) -> int | None:
        for layer in self._layers:
            slot = layer.ids.get(key)
            if slot is not None:
                return slot
        return None

    def _packed(self, slots: Sequence[int]) -> list[bytes | None]:
        if not self._layers:
            return self.generation.records(slots)
        found: list[bytes | None] = [None] * len(slots)
        missing: list[int] = []
        for at, slot in enumerate(slots):
            for changed in self._changed:
                data = changed.get(slot, _UNCHANGED)
                if data is not _UNCHANGED:
                    found[at] = data
                    break
            else:
                missing.append(at)
        for at, data in zip(missing, self.generation.records(slots[at] for at in missing)):
            found[at] = data
        return found

    def _ids_page(self, start: bytes, page: int) -> tuple[list[tuple[bytes, int]], bytes | None]:
        """Return the next ids, about ``page`` from each source, and where to go on (None: the end).

        All sources are cut at one key, the least that keeps any of them from exceeding the page.
        """
        stored = self.generation.ids_from(start, page)
        bounds = [layer.key_at(start, page) for layer in self._layers]
        bounds.append(stored[-1][0] if len(stored) == page else None)
        until = min((bound for bound in bounds if bound is not None), default=None)
        following = None if until is None else until + b"\x00"
        if not self._layers:
            return stored, following
        merged = {key: slot for key, slot in stored if until is None or key <= until}
        for layer in reversed(self._layers):
            merged.update(layer.changes(start, until))
        return sorted(item for item in merged.items() if item[1] != REMOVED), following


__all__ = ["PointsView", "RecordCorrupted", "Slots", "StoredRecord"]
