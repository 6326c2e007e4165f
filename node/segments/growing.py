"""The segment that takes writes: rows appended to file-backed maps, read in place by older and newer views.

One writer appends; any thread may hold views. Disk space is allocated ahead of the rows, so a full disk is
an OSError of ``append`` and not a fault on touching a page. Rows never change once appended; those past the
count that the caller remembers (its checkpoint) are garbage after a crash and are written again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node import bits
from node.files import replace_synced, sync_directory
from node.segments.dense import VectorsView
from node.segments.errors import SegmentCorrupted, SegmentFull, SegmentIncomplete
from node.segments.files import allocated_bytes
from node.segments.manifest import MANIFEST_FILE
from node.segments.schema import VectorSchema, present_file, vectors_file
from node.segments.view import SegmentView

FORMAT = 1
GROWING_FILE = "growing.json"
_ALLOCATE_MIN, _ALLOCATE_MAX = 256 * 1024, 4 * 1024 * 1024

FloatArray = npt.NDArray[np.float32]
PackedBits = bits.PackedBits
Batch = tuple[FloatArray, npt.NDArray[np.bool_] | None]


class GrowingHeader(Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    start: int
    capacity: int
    schemas: tuple[VectorSchema, ...]


class _Column:
    """Rows of one vector name: the map, the space allocated for it, and which rows have a vector."""

    def __init__(self, directory: Path, position: int, schema: VectorSchema, capacity: int) -> None:
        self.schema = schema
        self.path = directory / vectors_file(position)
        self.present_path = directory / present_file(position)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        os.ftruncate(self._file, capacity * schema.row_bytes)
        self._matrix: FloatArray = np.memmap(
            self.path, dtype="<f4", mode="r+", shape=(capacity, schema.dim)
        ).view(np.ndarray)
        self._readable = self._matrix.view()
        self._readable.flags.writeable = False
        self._present = np.zeros(capacity, dtype=np.bool_)
        self._allocated = 0
        self._absent = 0
        self._changes = 0
        self._saved: tuple[int, int] | None = None  # rows and changes that the presence file holds

    def close(self) -> None:
        """Views keep the map; only the descriptor goes."""
        os.close(self._file)

    def load(self, rows: int) -> None:
        """Take the first ``rows`` as written. Raises: SegmentCorrupted if their presence is not on disk."""
        packed = np.fromfile(self.present_path, dtype=np.uint8) if self.present_path.exists() else None
        if rows and (packed is None or len(packed) < bits.bytes_for(rows)):
            raise SegmentCorrupted(self.present_path, 0, f"does not cover {rows} rows")
        if packed is not None:
            self._present[:rows] = bits.mask_of(packed, rows)
        self._absent = rows - int(np.count_nonzero(self._present[:rows]))
        self.allocate(rows)

    def allocate(self, rows: int) -> None:
        """Raises: OSError if the disk has no room for that many rows."""
        wanted = rows * self.schema.row_bytes
        if wanted <= self._allocated:
            return
        ahead = min(max(wanted, _ALLOCATE_MIN), _ALLOCATE_MAX)
        total = min(wanted + ahead, len(self._matrix) * self.schema.row_bytes)
        os.posix_fallocate(self._file, self._allocated, total - self._allocated)
        self._allocated = total

    def put(self, first: int, count: int, batch: Batch | None) -> None:
        present = self._present[first : first + count]
        if batch is None:
            present[:] = False
        else:
            matrix, given = batch
            self._matrix[first : first + count] = matrix
            present[:] = True if given is None else given
            if given is not None:
                self._matrix[first : first + count][~given] = 0.0
        self._absent += count - int(np.count_nonzero(present))
        self._changes += 1

    def sync(self, rows: int) -> None:
        state = (rows, self._changes)
        os.fdatasync(self._file)
        if state != self._saved:
            replace_synced(self.present_path, bits.pack_mask(self._present[:rows]).tobytes())
            self._saved = state

    def forget(self, rows: int) -> None:
        """Only the first ``rows`` count."""
        self._absent = rows - int(np.count_nonzero(self._present[:rows]))

    def present(self, rows: int) -> PackedBits | None:
        if not self._absent:
            return None
        packed = bits.pack_mask(self._present[:rows])
        packed.flags.writeable = False
        return packed

    def shrink(self, rows: int) -> None:
        """Give back the space past ``rows``; nothing may be appended after."""
        self._allocated = rows * self.schema.row_bytes
        os.ftruncate(self._file, self._allocated)

    def view(self, rows: int) -> VectorsView:
        return VectorsView(self.schema, self._readable[:rows], self.present(rows), None)


class GrowingSegment:
    """``rows`` of ``capacity`` are written, at slots [start, start + rows)."""

    def __init__(self, directory: Path, header: GrowingHeader) -> None:
        self.directory = directory
        self.id = directory.name
        self.start = header.start
        self.capacity = header.capacity
        self.schemas = header.schemas
        self.rows = 0
        self.sealed = False
        self._columns = [
            _Column(directory, position, schema, header.capacity)
            for position, schema in enumerate(header.schemas)
        ]

    @classmethod
    def create(
        cls, directory: Path, start_slot: int, capacity: int, schemas: Sequence[VectorSchema]
    ) -> GrowingSegment:
        """Make ``directory`` (which must not exist) durably, with no rows. ``start_slot`` % 64 == 0."""
        assert start_slot % 64 == 0
        assert capacity > 0
        directory.mkdir(parents=True)
        header = GrowingHeader(start=start_slot, capacity=capacity, schemas=tuple(schemas))
        segment = cls(directory, header)
        replace_synced(directory / GROWING_FILE, msgspec.json.encode(header))
        sync_directory(directory.parent)
        return segment

    @classmethod
    def open(cls, directory: Path, rows: int) -> GrowingSegment:
        """Continue after the first ``rows``, which were synced. A later sealing is undone.

        Raises: SegmentIncomplete, SegmentCorrupted, OSError.
        """
        header = read_header(directory)
        if rows > header.capacity:
            raise SegmentCorrupted(directory / GROWING_FILE, 0, f"capacity {header.capacity} < {rows} rows")
        for position, schema in enumerate(header.schemas):
            path = directory / vectors_file(position)
            size = path.stat().st_size if path.exists() else 0
            if size < rows * schema.row_bytes:
                raise SegmentCorrupted(path, size, f"{rows} rows expected")
        manifest = directory / MANIFEST_FILE
        if manifest.exists():
            manifest.unlink()
            sync_directory(directory)
        segment = cls(directory, header)
        for column in segment._columns:
            column.load(rows)
        segment.rows = rows
        return segment

    @property
    def free(self) -> int:
        """Rows that still fit."""
        return 0 if self.sealed else self.capacity - self.rows

    def append(self, vectors: Mapping[str, Batch], n: int) -> None:
        """Write the next ``n`` rows: per name a matrix (n, dim), normalised for Cosine, and which of its rows
        have a vector (None: all). Names left out are absent from all n.

        Raises: SegmentFull, OSError (disk full); in either case nothing was appended.
        """
        if n > self.free:
            raise SegmentFull(f"{n} rows do not fit in {self.id}: {self.free} are free")
        for column in self._columns:
            column.allocate(self.rows + n)
        for column in self._columns:
            column.put(self.rows, n, vectors.get(column.schema.name))
        self.rows += n

    def rollback(self, rows: int) -> None:
        """Forget what was appended past the first ``rows``; no view that is in use holds it."""
        assert rows <= self.rows
        self.rows = rows
        for column in self._columns:
            column.forget(rows)

    def sync(self) -> None:
        """Make every appended row durable. Safe in another thread than ``append``'s: covers what was
        appended before the call. Raises: OSError; the rows must then be considered lost."""
        rows = self.rows
        for column in self._columns:
            column.sync(rows)

    def view(self, rows: int | None = None) -> SegmentView:
        """The first ``rows`` (None: all) as of now; stays as it is while appends go on."""
        rows = self.rows if rows is None else rows
        assert rows <= self.rows
        return SegmentView(
            self.directory,
            start=self.start,
            rows=rows,
            capacity=self.rows if self.sealed else self.capacity,
            vectors={column.schema.name: column.view(rows) for column in self._columns},
            measure=lambda: allocated_bytes([column.path for column in self._columns]),
        )

    def finish(self) -> None:
        """Refuse further rows, give back unused space, sync."""
        self.sealed = True
        for column in self._columns:
            column.shrink(self.rows)
        self.sync()

    def close(self) -> None:
        """Views stay valid; nothing may be appended after."""
        self.sealed = True
        for column in self._columns:
            column.close()


def read_header(directory: Path) -> GrowingHeader:
    path = directory / GROWING_FILE
    try:
        header = msgspec.json.decode(path.read_bytes(), type=GrowingHeader)
    except FileNotFoundError:
        raise SegmentIncomplete(directory) from None
    except msgspec.DecodeError as error:
        raise SegmentCorrupted(path, 0, f"not a header this program knows: {error}") from error
    if header.format != FORMAT:
        raise SegmentCorrupted(path, 0, f"format {header.format}, this program knows {FORMAT}")
    return header
