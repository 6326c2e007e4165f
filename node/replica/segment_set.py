"""The segments of one replica as its writer holds them: finished ones, and the growing ones that take rows.

Lives here: placing new rows, sealing, replacing segments by rebuilt ones, hiding removed vector names, the
list that a checkpoint stores.
May not live here: which slots are live, points, when to rebuild.

Invariants: segments never overlap; rows of a growing segment beyond those applied are garbage and are written
again; a directory is removed only when neither a segment here nor the last checkpoint names it.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct

from node.bits import Slots
from node.replica.slots import ALIGNMENT, SlotRanges, aligned
from node.replica.vectors import Vectors
from node.segments import GrowingSegment, SealedSegment, SegmentError, SegmentView, VectorSchema, seal
from protos.logger import get_logger

log = get_logger()

GROWING_BYTES = 32 << 20
GROWING_ROWS_MIN = 1024
GROWING_ROWS_MAX = 65_536  # also the size when there are no vectors at all


class SegmentEntry(Struct, frozen=True, array_like=True):
    """One segment as a checkpoint names it; ``hidden`` names were removed after its rows were written."""

    id: str
    start: int
    rows: int
    capacity: int
    growing: bool = False
    hidden: tuple[str, ...] = ()


def growing_capacity(schemas: Iterable[VectorSchema]) -> int:
    """Rows of a new growing segment: about ``GROWING_BYTES`` of vectors."""
    row_bytes = sum(schema.row_bytes for schema in schemas)
    rows = GROWING_BYTES // row_bytes if row_bytes else GROWING_ROWS_MAX
    return min(max(rows // ALIGNMENT * ALIGNMENT, GROWING_ROWS_MIN), GROWING_ROWS_MAX)


class SegmentSet:
    """``schemas`` are those new rows may have; ``growing`` take rows in order, the first with room first."""

    def __init__(self, directory: Path, schemas: Mapping[str, VectorSchema]) -> None:
        self.directory = directory
        self.schemas = dict(schemas)
        self.sealed: dict[str, SealedSegment] = {}
        self.growing: list[GrowingSegment] = []
        self.hidden: dict[str, frozenset[str]] = {}
        self.building: set[str] = set()
        self.generation = 0  # grows when segments take the place of others
        self.ranges = SlotRanges()
        self._views: dict[str, tuple[int, SegmentView]] = {}

    @classmethod
    def open(
        cls, directory: Path, schemas: Mapping[str, VectorSchema], entries: Sequence[SegmentEntry]
    ) -> SegmentSet:
        """Open what a checkpoint named and remove every other directory.

        Raises: SegmentError, OSError.
        """
        directory.mkdir(parents=True, exist_ok=True)
        segments = cls(directory, schemas)
        for path in segments.strays(entry.id for entry in entries):
            shutil.rmtree(path)
        for entry in entries:
            path = directory / entry.id
            segments.hidden[entry.id] = frozenset(entry.hidden)
            if entry.growing:
                segments.growing.append(GrowingSegment.open(path, entry.rows))
            else:
                segments.sealed[entry.id] = SealedSegment.open(path)
        segments.ranges = SlotRanges((entry.start, entry.capacity) for entry in entries)
        return segments

    # --- reading ---------------------------------------------------------------------------------------

    def views(self) -> tuple[SegmentView, ...]:
        """All segments by start, as of now."""
        views = [self._view(segment, segment.rows) for segment in self.sealed.values()]
        views += [self._view(segment, segment.rows) for segment in self.growing]
        return tuple(sorted(views, key=lambda view: view.start))

    def entries(self) -> list[SegmentEntry]:
        found = [_entry(segment, growing=False) for segment in self.sealed.values()]
        found += [_entry(segment, growing=True) for segment in self.growing]
        return [_with_hidden(entry, self.hidden.get(entry.id)) for entry in found]

    def _view(self, segment: SealedSegment | GrowingSegment, rows: int) -> SegmentView:
        """Views of an unchanged segment are one object: a search may keep things by it."""
        known = self._views.get(segment.id)
        if known is not None and known[0] == rows:
            return known[1]
        if isinstance(segment, GrowingSegment):
            view = segment.view(rows)
        else:
            hidden = self.hidden.get(segment.id)
            view = without_names(segment, hidden) if hidden else segment
        self._views[segment.id] = (rows, view)
        return view

    # --- writing ---------------------------------------------------------------------------------------

    def append(self, vectors: Vectors, count: int) -> Slots:
        """Write ``count`` rows and return their slots. Raises: OSError, InsufficientStorage."""
        placed = [np.empty(0, dtype=np.int64)]
        done = 0
        while done < count:
            segment = self._with_room()
            part = min(segment.free, count - done)
            blocks = {name: block.part(done, done + part) for name, block in vectors.items()}
            first = segment.start + segment.rows
            segment.append(
                {
                    name: (block.rows, None if block.present.all() else block.present)
                    for name, block in blocks.items()
                },
                part,
            )
            placed.append(np.arange(first, first + part, dtype=np.int64))
            done += part
        return np.concatenate(placed)

    def mark(self) -> dict[str, int]:
        """Rows of each growing segment now, for ``rollback``."""
        return {segment.id: segment.rows for segment in self.growing}

    def rollback(self, mark: Mapping[str, int]) -> None:
        """Forget rows appended since ``mark``; nobody has seen them."""
        for segment in self.growing:
            rows = mark.get(segment.id, 0)
            if rows < segment.rows:
                segment.rollback(rows)
                self._views.pop(segment.id, None)  # other rows may come to lie where it looked ahead

    def _with_room(self) -> GrowingSegment:
        for segment in self.growing:
            if segment.free:
                return segment
        capacity = growing_capacity(self.schemas.values())
        start = self.ranges.allot(capacity)
        path = self.directory / new_segment_id()
        try:
            segment = GrowingSegment.create(path, start, capacity, tuple(self.schemas.values()))
        except OSError:
            self.ranges.give_back(start, capacity)
            shutil.rmtree(path, ignore_errors=True)
            raise
        self.growing.append(segment)
        return segment

    def seal_full(self) -> None:
        """Finish growing segments without room. A failure leaves them growing, to be tried again."""
        for segment in [segment for segment in self.growing if not segment.free]:
            try:
                self._seal(segment)
            except (OSError, SegmentError):
                log.exception("segment_not_sealed", segment=segment.id)

    def seal_one(self, segment_id: str) -> None:
        """Finish a growing segment that has rows; one that is gone is left alone. Raises: OSError."""
        for segment in [segment for segment in self.growing if segment.id == segment_id and segment.rows]:
            self._seal(segment)

    def seal_all(self) -> None:
        """Finish every growing segment, drop empty ones. Raises: OSError."""
        for segment in list(self.growing):
            if segment.rows:
                self._seal(segment)
            else:
                self.growing.remove(segment)
                segment.close()
                self.ranges.give_back(segment.start, segment.capacity)

    def _seal(self, segment: GrowingSegment) -> None:
        finished = seal(segment)
        self._views.pop(segment.id, None)
        self.growing.remove(segment)
        self.sealed[segment.id] = finished
        used = aligned(segment.rows)
        self.ranges.give_back(segment.start + used, segment.capacity - used)

    def replace(
        self,
        old: Iterable[str],
        new: SealedSegment | None,
        *,
        hidden: frozenset[str],
        holders: Iterable[object],
    ) -> None:
        """Put ``new`` in the place of ``old``. Slots that are then unused wait until ``holders`` are gone."""
        holders = list(holders)
        self.generation += 1
        for segment_id in old:
            gone = self.sealed.pop(segment_id)
            self.hidden.pop(segment_id, None)
            self._views.pop(segment_id, None)
            for start, end in _uncovered(gone, new):
                self.ranges.give_back(start, end - start, holders)
        if new is not None:
            self.sealed[new.id] = new
            self.hidden[new.id] = hidden

    def add(self, segment: SealedSegment) -> None:
        """Take in a compacted segment, whose range was allotted before."""
        self.generation += 1
        self.sealed[segment.id] = segment

    def change_schemas(self, schemas: Mapping[str, VectorSchema], *, removed: str | None = None) -> None:
        """New rows get ``schemas``; the rows there, all sealed, lose the name ``removed`` for good."""
        assert not self.growing
        self.schemas = dict(schemas)
        if removed is None:
            return
        for segment in self.sealed.values():
            if removed in segment.names:
                self.hidden[segment.id] = self.hidden.get(segment.id, frozenset()) | {removed}
                self._views.pop(segment.id, None)

    def sync(self) -> None:
        """Make the rows of growing segments durable. Raises: OSError."""
        for segment in self.growing:
            segment.sync()

    def strays(self, keep: Iterable[str]) -> list[Path]:
        """The directories that neither ``keep`` nor this set names, nor a build that runs."""
        kept = {*keep, *self.sealed, *self.building, *(segment.id for segment in self.growing)}
        # A builder's draft is named after its target.
        return [path for path in self.directory.iterdir() if path.name.partition(".")[0] not in kept]

    def close(self) -> None:
        for segment in self.growing:
            segment.close()


def new_segment_id() -> str:
    return uuid.uuid4().hex


class NarrowedSegment(SegmentView):
    """A finished segment without some of its vector names."""


def without_names(view: SegmentView, names: Iterable[str]) -> NarrowedSegment:
    """``view`` as if it had never had vectors of these names."""
    return NarrowedSegment(
        view.directory,
        start=view.start,
        rows=view.rows,
        capacity=view.capacity,
        vectors={name: view.vectors(name) for name in view.names if name not in names},
        measure=lambda: view.bytes_on_disk,
    )


def _entry(segment: SealedSegment | GrowingSegment, *, growing: bool) -> SegmentEntry:
    return SegmentEntry(segment.id, segment.start, segment.rows, segment.capacity, growing)


def _with_hidden(entry: SegmentEntry, hidden: frozenset[str] | None) -> SegmentEntry:
    if not hidden:
        return entry
    return SegmentEntry(
        entry.id, entry.start, entry.rows, entry.capacity, entry.growing, tuple(sorted(hidden))
    )


def _uncovered(gone: SealedSegment, new: SealedSegment | None) -> list[tuple[int, int]]:
    """The parts of ``gone``'s range that ``new`` does not use."""
    start, end = gone.start, gone.start + aligned(gone.rows)
    if new is None or new.start >= end or new.start + aligned(new.rows) <= start:
        return [(start, end)]
    return [
        (first, last)
        for first, last in ((start, new.start), (new.start + aligned(new.rows), end))
        if first < last
    ]
