"""Rows of one vector name that still grow: the files, the space allocated for them, which rows have a vector.

One writer appends; any thread may read what ``view`` gave. May not live here: other names, slots.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from node import bits
from node.segments.errors import SegmentCorrupted
from node.segments.kinds import NamedVectors, view_of
from node.segments.layout import File, FixedLayout, RaggedLayout, layout_of
from node.segments.rows import Ragged, Rows
from node.segments.schema import VectorSchema, present_file
from protos.files import replace_synced

_ALLOCATE_MIN, _ALLOCATE_MAX = 256 * 1024, 4 * 1024 * 1024
_ELEMENTS_BYTES = 1 << 20  # of a file of elements at first; it is mapped anew, twice as long, when full

Flags = npt.NDArray[np.bool_]
Batch = tuple[Rows, Flags | None]  # rows as stored, and which of them have a vector (None: all)


class GrowingRows(ABC):
    """Presence, and what all kinds share. ``paths``: the files but for presence."""

    def __init__(self, directory: Path, position: int, schema: VectorSchema, capacity: int) -> None:
        self.schema = schema
        self.present_path = directory / present_file(position)
        self._present = np.zeros(capacity, dtype=np.bool_)
        self._absent = 0
        self._changes = 0
        self._saved: tuple[int, int] | None = None  # rows and changes that the presence file holds

    @property
    @abstractmethod
    def _files(self) -> tuple[_GrowingFile, ...]: ...

    @property
    def paths(self) -> list[Path]:
        return [file.path for file in self._files]

    @abstractmethod
    def allocate(self, first: int, count: int, rows: Rows | None) -> None:
        """Make room for ``count`` more rows than ``first``. Raises: OSError if the disk has none."""

    @abstractmethod
    def _write(self, first: int, count: int, rows: Rows | None) -> None: ...

    @abstractmethod
    def _blank(self, first: int, absent: Flags) -> None: ...

    @abstractmethod
    def _take_over(self, rows: int) -> None:
        """Take the first ``rows`` in the files as written. Raises: SegmentCorrupted, OSError."""

    @abstractmethod
    def _readable(self, rows: int) -> Rows: ...

    @abstractmethod
    def bytes_of(self, rows: int) -> int:
        """What the first ``rows`` hold beyond a fixed size per row."""

    def close(self) -> None:
        """Views keep the maps; only the descriptors go."""
        for file in self._files:
            file.close()

    def load(self, rows: int) -> None:
        """Take the first ``rows`` as written. Raises: SegmentCorrupted if they are not on disk."""
        packed = np.fromfile(self.present_path, dtype=np.uint8) if self.present_path.exists() else None
        if rows and (packed is None or len(packed) < bits.bytes_for(rows)):
            raise SegmentCorrupted(self.present_path, 0, f"does not cover {rows} rows")
        if packed is not None:
            self._present[:rows] = bits.mask_of(packed, rows)
        self.forget(rows)
        self._take_over(rows)

    def put(self, first: int, count: int, batch: Batch | None) -> None:
        present = self._present[first : first + count]
        rows, given = (None, None) if batch is None else batch
        present[:] = batch is not None if given is None else given
        self._write(first, count, rows)
        if given is not None:
            self._blank(first, ~given)
        self._absent += count - int(np.count_nonzero(present))
        self._changes += 1

    def sync(self, rows: int) -> None:
        state = (rows, self._changes)
        for file in self._files:
            file.sync()
        if state != self._saved:
            replace_synced(self.present_path, bits.pack_mask(self._present[:rows]).tobytes())
            self._saved = state

    def forget(self, rows: int) -> None:
        """Only the first ``rows`` count."""
        self._absent = rows - int(np.count_nonzero(self._present[:rows]))

    def present(self, rows: int) -> bits.PackedBits | None:
        if not self._absent:
            return None
        packed = bits.pack_mask(self._present[:rows])
        packed.flags.writeable = False
        return packed

    @abstractmethod
    def shrink(self, rows: int) -> None:
        """Give back the space past ``rows``; nothing may be appended after."""

    def view(self, rows: int) -> NamedVectors:
        return view_of(self.schema, self._readable(rows), self.present(rows), None)


class FixedRows(GrowingRows):
    """Dense vectors."""

    def __init__(self, directory: Path, position: int, schema: VectorSchema, capacity: int) -> None:
        super().__init__(directory, position, schema, capacity)
        layout = FixedLayout(schema, position)
        self._matrix = _GrowingFile(directory, layout.files[0], capacity)

    @property
    def _files(self) -> tuple[_GrowingFile, ...]:
        return (self._matrix,)

    def allocate(self, first: int, count: int, rows: Rows | None) -> None:  # noqa: ARG002
        self._matrix.allocate(first + count)

    def _write(self, first: int, count: int, rows: Rows | None) -> None:
        if rows is not None:
            self._matrix.array[first : first + count] = rows

    def _blank(self, first: int, absent: Flags) -> None:
        self._matrix.array[first : first + len(absent)][absent] = 0

    def _take_over(self, rows: int) -> None:
        self._matrix.allocate(rows)

    def _readable(self, rows: int) -> Rows:
        return self._matrix.readable(rows)

    def bytes_of(self, rows: int) -> int:  # noqa: ARG002
        return 0

    def shrink(self, rows: int) -> None:
        self._matrix.shrink(rows)


class RaggedRows(GrowingRows):
    """Multivectors and sparse vectors."""

    def __init__(self, directory: Path, position: int, schema: VectorSchema, capacity: int) -> None:
        super().__init__(directory, position, schema, capacity)
        layout = RaggedLayout(schema, position)
        self._offsets = _GrowingFile(directory, layout.offsets, capacity + 1)
        self._parts = tuple(
            _GrowingFile(directory, part, max(1, _ELEMENTS_BYTES // part.entry_bytes))
            for part in layout.parts
        )

    @property
    def _files(self) -> tuple[_GrowingFile, ...]:
        return (self._offsets, *self._parts)

    def allocate(self, first: int, count: int, rows: Rows | None) -> None:
        self._offsets.allocate(first + count + 1)
        if rows is not None:
            assert isinstance(rows, Ragged)
            for file in self._parts:
                file.fit(self._elements(first) + int(rows.offsets[-1]))

    def _elements(self, rows: int) -> int:
        return int(self._offsets.array[rows]) if rows else 0

    def _write(self, first: int, count: int, rows: Rows | None) -> None:
        start = self._elements(first)
        offsets = self._offsets.array[first : first + count + 1]
        if rows is None:
            offsets[:] = start
            return
        assert isinstance(rows, Ragged)
        offsets[:] = rows.offsets + start
        for file, part in zip(self._parts, rows.parts, strict=True):
            file.array[start : start + len(part)] = part

    def _blank(self, first: int, absent: Flags) -> None:
        offsets = self._offsets.array[first : first + len(absent) + 1]
        assert not np.diff(offsets)[absent].any(), "a row without a vector has elements"

    def _take_over(self, rows: int) -> None:
        self._offsets.allocate(rows + 1)
        offsets = self._offsets.array[: rows + 1]
        if offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise SegmentCorrupted(self._offsets.path, 0, "offsets do not ascend from 0")
        for file in self._parts:
            if file.size < (size := int(offsets[-1]) * file.entry_bytes):
                raise SegmentCorrupted(file.path, file.size, f"{size} bytes expected")
            file.fit(int(offsets[-1]))

    def _readable(self, rows: int) -> Rows:
        offsets = self._offsets.readable(rows + 1)
        elements = int(offsets[-1])
        return Ragged(offsets, tuple(file.readable(elements) for file in self._parts))

    def bytes_of(self, rows: int) -> int:
        return self._elements(rows) * sum(file.entry_bytes for file in self._parts)

    def shrink(self, rows: int) -> None:
        elements = self._elements(rows)
        self._offsets.shrink(rows + 1)
        for file in self._parts:
            file.shrink(elements)


def growing_rows(directory: Path, position: int, schema: VectorSchema, capacity: int) -> GrowingRows:
    fixed = isinstance(layout_of(schema, position), FixedLayout)
    return (FixedRows if fixed else RaggedRows)(directory, position, schema, capacity)


class _GrowingFile:
    """An array in a file, whose space is allocated ahead of what is written.

    Disk space is there before a page is touched, so a full disk is an OSError and not a fault.
    """

    def __init__(self, directory: Path, file: File, capacity: int) -> None:
        self._file = file
        self.path = directory / file.name
        self.entry_bytes = file.entry_bytes
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        self._allocated = 0
        self.size = os.fstat(self._descriptor).st_size
        self._map(max(capacity, self.size // self.entry_bytes))

    def _map(self, capacity: int) -> None:
        os.ftruncate(self._descriptor, capacity * self.entry_bytes)
        self._capacity = capacity
        self.array: npt.NDArray[Any] = np.memmap(
            self.path, dtype=self._file.dtype, mode="r+", shape=(capacity, *self._file.tail)
        ).view(np.ndarray)

    def fit(self, entries: int) -> None:
        """Room for any number of entries. What was read of the former map stays readable."""
        if entries > self._capacity:
            self._map(max(entries, 2 * self._capacity))
        self.allocate(entries)

    def allocate(self, entries: int) -> None:
        """Raises: OSError if the disk has no room for that many."""
        wanted = entries * self.entry_bytes
        if wanted <= self._allocated:
            return
        ahead = min(max(wanted, _ALLOCATE_MIN), _ALLOCATE_MAX)
        total = min(wanted + ahead, self._capacity * self.entry_bytes)
        os.posix_fallocate(self._descriptor, self._allocated, total - self._allocated)
        self._allocated = total

    def readable(self, entries: int) -> npt.NDArray[Any]:
        part = self.array[:entries]
        part.flags.writeable = False
        return part

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def shrink(self, entries: int) -> None:
        self._allocated = entries * self.entry_bytes
        os.ftruncate(self._descriptor, self._allocated)

    def close(self) -> None:
        os.close(self._descriptor)
