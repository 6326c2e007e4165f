"""How the rows of one vector name lie in files: their names, sizes and dtypes, mapping and copying them.

Dense vectors are one file of rows. Multivectors and sparse vectors are *ragged*: a file of offsets and one or
two of elements. May not live here: presence, graphs, files that still grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.segments.files import map_array
from node.segments.rows import Ragged, Rows, Stored
from node.segments.schema import VectorSchema, indices_file, offsets_file, vectors_file
from protos.operations import VectorKind
from protos.ragged import offsets_of

OFFSETS_DTYPE = "<i8"
_COPY_BYTES = 4 * 1024 * 1024

Positions = npt.NDArray[np.int64]


class File(Struct, frozen=True):
    """An array in a file: ``tail`` is its shape less the first axis."""

    name: str
    dtype: str
    tail: tuple[int, ...] = ()

    @property
    def entry_bytes(self) -> int:
        size = np.dtype(self.dtype).itemsize
        for length in self.tail:
            size *= length
        return size

    def map(self, directory: Path, entries: int) -> npt.NDArray[Any]:
        return map_array(directory / self.name, self.dtype, (entries, *self.tail))


class Taken(Struct, frozen=True):
    """Rows to copy: ``rows[positions]``, which come to lie from row ``at`` on."""

    rows: Stored
    positions: Positions
    at: int


class Layout(Protocol):
    @property
    def files(self) -> tuple[File, ...]: ...

    def sizes(self, directory: Path, rows: int) -> dict[str, int]:
        """Bytes that the first ``rows`` take in each file, by name. Reads offsets, if there are some."""
        ...

    def open(self, directory: Path, rows: int) -> Rows: ...

    def copy(self, sources: Sequence[Taken], rows: int, directory: Path) -> None:
        """Write files of ``rows`` rows; those that no source (ascending) brings are blank."""
        ...


class FixedLayout:
    def __init__(self, schema: VectorSchema, position: int) -> None:
        self._file = File(vectors_file(position, schema.dtype), schema.dtype, (schema.width,))
        self.files = (self._file,)

    def sizes(self, directory: Path, rows: int) -> dict[str, int]:  # noqa: ARG002
        return {self._file.name: rows * self._file.entry_bytes}

    def open(self, directory: Path, rows: int) -> Rows:
        return self._file.map(directory, rows)

    def copy(self, sources: Sequence[Taken], rows: int, directory: Path) -> None:
        entry_bytes = self._file.entry_bytes
        with (directory / self._file.name).open("wb") as file:
            file.truncate(rows * entry_bytes)
            for source in sources:
                file.seek(source.at * entry_bytes)
                for positions in _in_blocks(source.positions, max(1, _COPY_BYTES // entry_bytes)):
                    file.write(cast(npt.NDArray[Any], source.rows[positions]).data)


class RaggedLayout:
    def __init__(self, schema: VectorSchema, position: int) -> None:
        self.offsets = File(offsets_file(position), OFFSETS_DTYPE)
        if schema.kind is VectorKind.SPARSE:
            indices = File(indices_file(position), "<u4")
            self.parts: tuple[File, ...] = (indices, File(vectors_file(position), "<f4"))
        else:
            self.parts = (File(vectors_file(position, schema.dtype), schema.dtype, (schema.width,)),)
        self.files = (self.offsets, *self.parts)

    def sizes(self, directory: Path, rows: int) -> dict[str, int]:
        elements = int(self.offsets.map(directory, rows + 1)[-1]) if rows else 0
        found = {part.name: elements * part.entry_bytes for part in self.parts}
        return {self.offsets.name: (rows + 1) * self.offsets.entry_bytes, **found}

    def open(self, directory: Path, rows: int) -> Rows:
        offsets = self.offsets.map(directory, rows + 1)
        elements = int(offsets[-1])
        return Ragged(offsets, tuple(part.map(directory, elements) for part in self.parts))

    def copy(self, sources: Sequence[Taken], rows: int, directory: Path) -> None:
        counts = np.zeros(rows, dtype=np.int64)
        for source in sources:
            whole = np.diff(_ragged(source).offsets)
            counts[source.at : source.at + len(source.positions)] = whole[source.positions]
        offsets = offsets_of(counts)
        (directory / self.offsets.name).write_bytes(offsets.astype(OFFSETS_DTYPE, copy=False).tobytes())
        for number, part in enumerate(self.parts):
            with (directory / part.name).open("wb") as file:
                for source in sources:
                    for block in _element_blocks(source, part.entry_bytes):
                        file.write(block.parts[number].data)


def layout_of(schema: VectorSchema, position: int) -> Layout:
    if schema.kind is VectorKind.DENSE:
        return FixedLayout(schema, position)
    return RaggedLayout(schema, position)


def _ragged(source: Taken) -> Ragged:
    assert isinstance(source.rows, Ragged)
    return source.rows


def _in_blocks(positions: Positions, size: int) -> Iterator[Positions]:
    for first in range(0, len(positions), size):
        yield positions[first : first + size]


def _element_blocks(source: Taken, entry_bytes: int) -> Iterator[Ragged]:
    """The rows in blocks of about ``_COPY_BYTES``, at least one row each."""
    rows = _ragged(source)
    ends = offsets_of(np.diff(rows.offsets)[source.positions]) * entry_bytes
    first = 0
    while first < len(source.positions):
        fitting = int(np.searchsorted(ends, ends[first] + _COPY_BYTES, side="right")) - 1
        last = max(first + 1, fitting)
        yield rows[source.positions[first:last]]
        first = last
