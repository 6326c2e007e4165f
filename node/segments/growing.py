"""The segment that takes writes: rows appended to file-backed maps, read in place by older and newer views.

One writer appends; any thread may hold views. Disk space is allocated ahead of the rows, so a full disk is
an OSError of ``append`` and not a fault on touching a page. Rows never change once appended; those past the
count that the caller remembers (its checkpoint) are garbage after a crash and are written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from node.segments.errors import SegmentCorrupted, SegmentFull, SegmentIncomplete
from node.segments.files import allocated_bytes
from node.segments.growing_rows import Batch, growing_rows
from node.segments.layout import layout_of
from node.segments.manifest import MANIFEST_FILE
from node.segments.schema import VectorSchema
from node.segments.view import SegmentView
from protos.files import replace_synced, sync_directory

FORMAT = 2  # 1 had dense float32 vectors only
GROWING_FILE = "growing.json"
_FULL_BYTES = 32 << 20  # of multivectors or sparse vectors of one name; a segment takes no more rows then


class GrowingHeader(Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    start: int
    capacity: int
    schemas: tuple[VectorSchema, ...]


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
            growing_rows(directory, position, schema, header.capacity)
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
        _check_sizes(directory, header, rows)
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
    def paths(self) -> list[Path]:
        """The files that rows are written to."""
        return [path for column in self._columns for path in column.paths]

    @property
    def free(self) -> int:
        """Rows that still fit: none once multivectors or sparse vectors have taken their share of space."""
        if self.sealed or any(column.bytes_of(self.rows) >= _FULL_BYTES for column in self._columns):
            return 0
        return self.capacity - self.rows

    def append(self, vectors: Mapping[str, Batch], n: int) -> None:
        """Write the next ``n`` rows: per name rows as they are stored (normalised for Cosine), and which of
        them have a vector (None: all). Names left out are absent from all n.

        Raises: SegmentFull, OSError (disk full); in either case nothing was appended.
        """
        if n > self.free:
            raise SegmentFull(f"{n} rows do not fit in {self.id}: {self.free} are free")
        for column in self._columns:
            batch = vectors.get(column.schema.name)
            column.allocate(self.rows, n, None if batch is None else batch[0])
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
            measure=lambda: allocated_bytes(self.paths),
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


_decoder = msgspec.json.Decoder(GrowingHeader)


def read_header(directory: Path) -> GrowingHeader:
    path = directory / GROWING_FILE
    try:
        header = _decoder.decode(path.read_bytes())
    except FileNotFoundError:
        raise SegmentIncomplete(directory) from None
    except msgspec.DecodeError as error:
        raise SegmentCorrupted(path, 0, f"not a header this program knows: {error}") from error
    if header.format not in range(1, FORMAT + 1):
        raise SegmentCorrupted(path, 0, f"format {header.format}, this program knows {FORMAT}")
    return header


def _check_sizes(directory: Path, header: GrowingHeader, rows: int) -> None:
    """Raises: SegmentCorrupted if a file cannot hold ``rows``; elements are checked on loading."""
    for position, schema in enumerate(header.schemas):
        file = layout_of(schema, position).files[0]
        path = directory / file.name
        size = path.stat().st_size if path.exists() else 0
        if size < rows * file.entry_bytes:
            raise SegmentCorrupted(path, size, f"{rows} rows expected")
