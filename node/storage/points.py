"""The points of one shard replica: id key -> slot, slot -> record, on LMDB below an overlay.

Lives here: the store with its one writer, views, and checkpoints. May not live here: what a version,
a payload or a slot means; recovery of what came after the checkpoint (the log's).

Changes gather in the *active* layer. ``freeze`` sets it aside and starts another; ``checkpoint`` then
stores the frozen layer in one synchronous transaction while the writer goes on. A crash at any
moment leaves the checkpoint before or the checkpoint after, and ``meta`` says which.

Threads: one writer (``change``, ``freeze``), one checkpoint at a time in any thread, readers anywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from node.storage.overlay import EMPTY_LAYER, REMOVED, Layer, add_run, stacked
from node.storage.points_file import (
    PointsCopy,
    PointsFile,
    StoreFailed,
    StoreFormatUnknown,
    StoreFull,
    in_chunks,
)
from node.storage.points_view import PointsView, Slots
from node.storage.records import RecordCorrupted, StoredRecord, unpack_record
from protos.logger import get_logger

log = get_logger()

_ENTRY_BYTES = 150  # of a layer's maps and runs, for each changed point, besides the record


class PointsBatch:
    """Changes in the making; reads see them. Use ``PointStore.change``."""

    def __init__(self, base: PointsView) -> None:
        self._base = base
        self._below = PointsView(EMPTY_LAYER, base.frozen, base.generation, 0)
        self._ids = base.active.ids.mutate()
        self._records = base.active.records.mutate()
        self._new_keys: list[bytes] = []
        self._size_bytes = base.active.size_bytes
        self.count = base.count

    def slot_of(self, key: bytes) -> int:
        """Return the point's slot, or -1."""
        slot = self._ids.get(key)
        return self._below.slot_of(key) if slot is None else slot

    def slots_of(self, keys: Sequence[bytes]) -> Slots:
        """Return the slots of many keys, shape (n,), -1 where there is no such point."""
        return np.array(self._old_slots(keys), dtype=np.int64)

    def record(self, slot: int) -> StoredRecord | None:
        """Return what is stored at ``slot``, or None. Raises: RecordCorrupted."""
        if slot in self._records:
            data = self._records[slot]
            return None if data is None else unpack_record(data)
        return self._below.record(slot)

    def put(self, key: bytes, slot: int, record: bytes) -> int:
        """Store a point at ``slot`` and return its former slot, whose record goes, or -1."""
        known = self._ids.get(key)
        return self._put(key, slot, record, self._below.slot_of(key) if known is None else known)

    def put_many(self, keys: Sequence[bytes], slots: Iterable[int], records: Iterable[bytes]) -> Slots:
        """``put`` for many distinct keys, in one pass over the file; return the former slots (n,)."""
        assert len(set(keys)) == len(keys)
        former = self._old_slots(keys)
        for key, slot, record, old in zip(keys, slots, records, former):
            self._put(key, int(slot), record, old)
        return np.array(former, dtype=np.int64)

    def delete(self, key: bytes) -> int:
        """Remove a point with its record; return the slot it had, or -1 if there was none."""
        slot = self.slot_of(key)
        if slot != REMOVED:
            self._set_slot(key, REMOVED)
            self._set_record(slot, None)
            self.count -= 1
        return slot

    def replace_record(self, slot: int, record: bytes) -> None:
        """Store other bytes for the point at ``slot``."""
        self._set_record(slot, record)

    def drop_slot(self, slot: int) -> None:
        """Forget the record at ``slot``; the ids are not touched."""
        self._set_record(slot, None)

    def layer(self) -> Layer:
        """Return the active layer with these changes; the batch is of no use afterwards."""
        return Layer(
            ids=self._ids.finish(),
            records=self._records.finish(),
            runs=add_run(self._base.active.runs, self._new_keys),
            size_bytes=self._size_bytes,
        )

    def _old_slots(self, keys: Sequence[bytes]) -> list[int]:
        known = list(map(self._ids.get, keys))
        missing = [at for at, slot in enumerate(known) if slot is None]
        below = self._below.slots_of([keys[at] for at in missing]).tolist()
        for at, slot in zip(missing, below):
            known[at] = slot
        return [REMOVED if slot is None else slot for slot in known]

    def _put(self, key: bytes, slot: int, record: bytes, old: int) -> int:
        self._set_slot(key, slot)
        if old == REMOVED:
            self.count += 1
        elif old != slot:
            self._set_record(old, None)
        self._set_record(slot, record)
        return old

    def _set_slot(self, key: bytes, slot: int) -> None:
        if key not in self._ids:
            self._new_keys.append(key)
            self._size_bytes += _ENTRY_BYTES + len(key)
        self._ids[key] = slot

    def _set_record(self, slot: int, record: bytes | None) -> None:
        replaced = self._records.get(slot)
        self._size_bytes += (len(record) if record else 0) - (len(replaced) if replaced else 0)
        self._records[slot] = record


class PointStore:
    """See the module. Use ``open``."""

    def __init__(self, file: PointsFile) -> None:
        self._file = file
        self._frozen_count = file.count()
        self._meta = file.blob()
        self._view = PointsView(EMPTY_LAYER, EMPTY_LAYER, file.generation(), self._frozen_count)
        self._publishing = threading.Lock()  # held for assignments only
        self._changing = threading.Lock()
        self._checkpointing = threading.Lock()

    @classmethod
    def open(cls, path: Path, readers: int, *, map_bytes: int | None = None) -> PointStore:
        """Open or create the store's file at its last checkpoint.

        ``readers``: threads that can read at the same time; more wait for each other. ``map_bytes``
        bounds the file (default: 64 GiB or four times its size, at most the disk).
        Raises: StoreFailed, StoreFormatUnknown, RecordCorrupted.
        """
        file = PointsFile(path, readers, map_bytes)
        try:
            return cls(file)
        except BaseException:
            file.close()
            raise

    def view(self) -> PointsView:
        """Return the state after the last completed ``change``."""
        return self._view

    def meta(self) -> bytes | None:
        """Return the blob of the last checkpoint, None before the first."""
        return self._meta

    @property
    def overlay_len(self) -> int:
        """Records changed since the last checkpoint, an estimate."""
        view = self._view
        return len(view.active.records) + len(view.frozen.records)

    @property
    def overlay_bytes(self) -> int:
        """Memory those changes hold, an estimate."""
        view = self._view
        return view.active.size_bytes + view.frozen.size_bytes

    @property
    def path(self) -> Path:
        return self._file.path

    def stored_bytes(self) -> tuple[int, int]:
        """Of the file what the last checkpoint's ids take, and its records."""
        return self._view.generation.stored_bytes()

    @property
    def heads_bytes(self) -> int:
        """Memory for ids and versions of the last checkpoint's points that were found, all room used."""
        return self._view.generation.heads.nbytes

    @contextmanager
    def change(self) -> Iterator[PointsBatch]:
        """Change points: all of it becomes the next view when the block ends, none if it raises."""
        with self._only_one(self._changing, "a change is under way already"):
            batch = PointsBatch(self._view)
            yield batch
            layer = batch.layer()
            with self._publishing:
                current = self._view  # a checkpoint may have ended meanwhile
                self._view = PointsView(layer, current.frozen, current.generation, batch.count)

    def freeze(self) -> None:
        """Fix what the next ``checkpoint`` stores: everything up to now.

        After a failed checkpoint this adds to what that one was to store.
        Raises: RuntimeError during a checkpoint or a change.
        """
        with (
            self._only_one(self._checkpointing, "a checkpoint is under way"),
            self._only_one(self._changing, "a change is under way"),
            self._publishing,
        ):
            view = self._view
            frozen = stacked(view.frozen, view.active)
            self._view = PointsView(EMPTY_LAYER, frozen, view.generation, view.count)
            self._frozen_count = view.count

    def checkpoint(self, meta: bytes) -> None:
        """Store what was frozen, and ``meta`` with it, durably in one transaction. Blocks for long.

        Raises: StoreFull: the former checkpoint stands; StoreFailed: one of the two does, for the disk
        may have taken what it reported as failed. Either way views read as before, and it can be tried
        again. RuntimeError if another one is under way.
        """
        with self._only_one(self._checkpointing, "a checkpoint is under way already"):
            frozen = self._view.frozen
            self._file.store(_sorted_ids(frozen), _sorted_records(frozen), self._frozen_count, meta)
            self._meta = meta
            try:
                generation = self._file.generation()
            except StoreFailed:  # too many are in use
                log.exception("generation_not_opened")
                return  # what is stored stays in the overlay, above the generation before, until next time
            with self._publishing:
                view = self._view
                self._view = PointsView(view.active, EMPTY_LAYER, generation, view.count)

    def copy(self, *, exact: bool = False) -> PointsCopy:
        """Fix the last checkpoint, for writing it elsewhere; ``exact``: see ``PointsCopy``.

        Raises: StoreFailed, RecordCorrupted; RuntimeError for an exact one while a checkpoint is under way.
        """
        if not exact:
            return self._file.copy()
        with self._only_one(self._checkpointing, "a checkpoint is under way"):
            return self._file.copy(exact=True)

    def close(self) -> None:
        """Close the file, after a running checkpoint. Views must not be read any more."""
        with self._checkpointing:
            self._file.close()

    @staticmethod
    @contextmanager
    def _only_one(lock: threading.Lock, refusal: str) -> Iterator[None]:
        if not lock.acquire(blocking=False):
            raise RuntimeError(refusal)
        try:
            yield
        finally:
            lock.release()


def _sorted_ids(layer: Layer) -> Iterator[tuple[bytes, int]]:
    for key in sorted(key for run in layer.runs for key in run):
        yield key, layer.ids[key]


def _sorted_records(layer: Layer) -> Iterator[tuple[int, bytes | None]]:
    slots: list[int] = []
    for chunk in in_chunks(layer.records):
        slots += chunk
    slots.sort()
    for slot in slots:
        yield slot, layer.records[slot]


__all__ = [
    "PointStore",
    "PointsBatch",
    "PointsCopy",
    "PointsView",
    "RecordCorrupted",
    "StoreFailed",
    "StoreFormatUnknown",
    "StoreFull",
    "StoredRecord",
    "in_chunks",
]
