"""The files of one name's rows in a segment that is being made: linked or copied, packed if worth it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from node.segments.layout import Taken, layout_of
from node.segments.manifest import FileEntry, describe
from node.segments.packing import PackedEntry, are_worth_packing, files_of_rows, open_rows, write_packed
from node.segments.rows import Stored
from node.segments.schema import VectorSchema
from node.segments.sealed import SealedSegment
from protos.files import sync_file


class RowFiles:
    """``packed``: how they lie by now."""

    def __init__(self, draft: Path, position: int, schema: VectorSchema, rows: int) -> None:
        self._draft, self._position, self._schema, self._rows = draft, position, schema, rows
        self._linked: dict[str, FileEntry] = {}
        self.packed: PackedEntry | None = None

    @property
    def _names(self) -> tuple[str, ...]:
        return files_of_rows(self._schema, self._position, self.packed)

    def link(self, source: SealedSegment) -> None:
        """Share the files of a segment of as many rows."""
        former = source.schemas.index(self._schema)
        self.packed = source.manifest.vectors[former].packed
        entries = {entry.name: entry for entry in source.manifest.files}
        for old, new in zip(files_of_rows(self._schema, former, self.packed), self._names, strict=True):
            os.link(source.directory / old, self._draft / new)
            self._linked[new] = replace(entries[old], name=new)

    def copy(self, sources: Sequence[Taken]) -> None:
        layout_of(self._schema, self._position).copy(sources, self._rows, self._draft)

    def open(self) -> Stored:
        return open_rows(self._draft, self._schema, self._position, self.packed, self._rows)

    def pack(self, stored: Stored) -> None:
        """Have the rows, which are ``stored``, lie packed, if that is worth it; ``stored`` stays readable."""
        if self.packed is not None or not are_worth_packing(self._schema, self._rows):
            return
        assert isinstance(stored, np.ndarray)
        packed = write_packed(self._draft, self._position, stored)
        if packed is not None:
            for name in self._names:
                (self._draft / name).unlink()
            self.packed = packed

    def finish(self) -> Iterator[FileEntry]:
        """Make them durable. Last: rows are packed when all that is built of them has read them."""
        for name in self._names:
            if name not in self._linked:
                sync_file(self._draft / name)
            yield self._linked.get(name) or describe(self._draft / name)
