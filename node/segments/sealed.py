"""Finished segments: mapped read-only, checked on demand.

Opening reads the manifest and maps files; vectors and graphs are read as they are touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from node import bits
from node.index import Encoding, GraphParams, HnswGraph, SparseIndex, SparseIndexCorrupted, Twins
from node.segments.errors import SegmentCorrupted
from node.segments.files import allocated_bytes, map_array
from node.segments.growing import GrowingSegment
from node.segments.kinds import NamedVectors, view_of
from node.segments.layout import layout_of
from node.segments.manifest import (
    MANIFEST_FILE,
    GraphEntry,
    Manifest,
    VectorsEntry,
    check_sizes,
    damage,
    describe,
    read_manifest,
    write_manifest,
)
from node.segments.packing import open_rows
from node.segments.placement import INDEX, STORAGE, Placed, Placements, usage_of
from node.segments.schema import (
    SLOTS_FILE,
    VectorSchema,
    graph_file,
    graph_rows_file,
    is_index,
    postings_file,
    present_file,
    twins_file,
    value_graph_file,
    value_rows_file,
    value_twins_file,
)
from node.segments.value_graphs import ValueGraph, ValueGraphs
from node.segments.values import ValueGraphsEntry
from node.segments.view import SegmentView
from protos.collections import Memory
from protos.memory import Usage


class SealedSegment(SegmentView):
    """A ``SegmentView`` of a whole directory."""

    manifest: Manifest
    placed: dict[str, Placed]

    @classmethod
    def open(cls, directory: Path) -> SealedSegment:
        """Map everything; no vector is read.

        Raises: SegmentIncomplete, SegmentCorrupted (manifest damaged, a file missing or of another size).
        """
        manifest = read_manifest(directory)
        check_sizes(directory, manifest)
        paths = [directory / entry.name for entry in manifest.files]
        segment = cls(
            directory,
            start=manifest.start,
            rows=manifest.rows,
            capacity=manifest.rows,
            vectors={
                entry.schema.name: _open_vectors(directory, position, entry, manifest.rows)
                for position, entry in enumerate(manifest.vectors)
            },
            measure=lambda: allocated_bytes(paths),
        )
        segment.manifest, segment.placed = manifest, {}
        return segment

    def place(self, placements: Mapping[str, Placements]) -> None:
        """Have files of the vector names given lie as asked. May wait for the disk; one thread at a time.

        Raises: OSError. Names that the segment lacks are left out.
        """
        placed = dict(self.placed)
        for file, name, part in self._parts():
            wanted = placements.get(name)
            if wanted is None:
                continue
            memory = wanted.index if part == INDEX else wanted.vectors
            if file not in placed or placed[file].asked is not memory:
                placed[file] = Placed(self.directory / file, memory)
        self.placed = placed

    def memory_usage(self) -> dict[tuple[str, str], Usage]:
        """By vector name and part (``STORAGE``, ``INDEX``). Files that were never placed count as cold."""
        found: dict[tuple[str, str], Usage] = {}
        placed = self.placed
        for file, name, part in self._parts():
            one = placed.get(file)
            usage = usage_of(self.directory / file, Memory.COLD) if one is None else one.usage()
            found[name, part] = found.get((name, part), Usage()) + usage
        return found

    def _parts(self) -> Iterator[tuple[str, str, str]]:
        """File, vector name, part: files are called ``<what>.<position>.<kind>``."""
        for entry in self.manifest.files:
            _, position, *_ = entry.name.split(".")
            if position.isdigit():
                part = INDEX if is_index(entry.name) else STORAGE
                yield entry.name, self.manifest.vectors[int(position)].schema.name, part

    def verify(self) -> list[SegmentCorrupted]:
        """Read every file and compare it with its checksums; one finding per damaged block, none: sound."""
        try:
            manifest = read_manifest(self.directory)
        except SegmentCorrupted as error:
            return [error]
        return [finding for entry in manifest.files for finding in damage(self.directory, entry)]


def seal(growing: GrowingSegment) -> SealedSegment:
    """End a growing segment: sync it, write its manifest beside the rows, open it again read-only.

    Reads all rows once, for the checksums. The growing object's views stay valid. Until the caller has
    recorded the sealing, ``GrowingSegment.open`` undoes it.
    Raises: OSError, SegmentCorrupted: the growing segment takes no more rows, and can be sealed later.
    """
    growing.finish()
    view = growing.view()
    names = []
    entries = []
    for position, schema in enumerate(growing.schemas):
        has_present = view.vectors(schema.name).present is not None
        names += [file.name for file in layout_of(schema, position).files]
        names += [present_file(position)] * has_present
        entries.append(VectorsEntry(schema, has_present=has_present))
    files = tuple(describe(growing.directory / name) for name in names)
    manifest = Manifest(start=growing.start, rows=growing.rows, vectors=tuple(entries), files=files)
    write_manifest(growing.directory, manifest)
    sealed = SealedSegment.open(growing.directory)
    growing.close()  # last: a sealing that failed is tried again, and needs the files
    return sealed


def is_finished(directory: Path) -> bool:
    return (directory / MANIFEST_FILE).exists()


def old_slots(segment: SealedSegment) -> npt.NDArray[np.uint32]:
    """Of a compacted segment: the slot that each row had before (rows,)."""
    return map_array(segment.directory / SLOTS_FILE, "<u4", (segment.rows,))


def _open_vectors(directory: Path, position: int, entry: VectorsEntry, rows: int) -> NamedVectors:
    stored = open_rows(directory, entry.schema, position, entry.packed, rows)
    present = None
    if entry.has_present:
        present = map_array(directory / present_file(position), "u1", (bits.bytes_for(rows),))
    index: HnswGraph | SparseIndex | None = None
    if entry.graph:
        index = _open_graph(directory, position, entry.schema, entry.graph)
    elif entry.sparse:
        index = _open_sparse(directory / postings_file(position), rows)
    values = None
    if entry.value_graphs is not None:
        values = _value_graphs(directory, position, entry.schema, entry.value_graphs)
    return view_of(entry.schema, stored, present, index, values)


def _open_graph(directory: Path, position: int, schema: VectorSchema, entry: GraphEntry) -> HnswGraph:
    rows = directory / graph_rows_file(position) if entry.has_rows else None
    twins = directory / twins_file(position) if entry.has_twins else None
    return _map_graph(directory / graph_file(position), rows, twins, entry.params, entry.stored, schema)


def _value_graphs(
    directory: Path, position: int, schema: VectorSchema, entry: ValueGraphsEntry
) -> ValueGraphs:
    def opener(number: int) -> Callable[[], HnswGraph]:
        path = directory / value_graph_file(position, number)
        rows = directory / value_rows_file(position, number)
        twins = directory / value_twins_file(position, number) if entry.graphs[number].has_twins else None
        return lambda: _map_graph(path, rows, twins, entry.wanted.params, entry.encoding, schema)

    graphs = {(each.field, each.value): ValueGraph(opener(i)) for i, each in enumerate(entry.graphs)}
    return ValueGraphs(entry.wanted, graphs)


def _map_graph(
    path: Path,
    rows_path: Path | None,
    twins_path: Path | None,
    params: GraphParams,
    encoding: Encoding,
    schema: VectorSchema,
) -> HnswGraph:
    rows = None if rows_path is None else _map_numbers(rows_path)
    twins = None if twins_path is None else Twins.of(_map_numbers(twins_path))
    try:
        return HnswGraph.open(path, rows, params, encoding, schema.distance, twins)
    except RuntimeError as error:
        raise SegmentCorrupted(path, 0, f"FAISS cannot read it: {error}") from error


def _map_numbers(path: Path) -> npt.NDArray[np.uint32]:
    numbers: npt.NDArray[np.uint32] = map_array(path, "<u4", (path.stat().st_size // 4,))
    return numbers


def _open_sparse(path: Path, rows: int) -> SparseIndex:
    try:
        index = SparseIndex.open(path)
    except SparseIndexCorrupted as error:
        raise SegmentCorrupted(path, 0, str(error)) from error
    if index.rows != rows:
        raise SegmentCorrupted(path, 0, f"an index of {index.rows} rows, {rows} expected")
    return index
