"""Making a segment directory out of others: link or copy rows, build graphs, write the manifest.

Runs in the builder process and holds little memory besides a graph under construction: rows are copied in
blocks between maps and files. Everything happens in ``<target>.tmp``, which becomes ``target`` when each
byte of it is durable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from node import bits
from node.bits import Slots
from node.index import (
    GraphParams,
    HnswGraph,
    SparseParams,
    SparseRows,
    build_sparse_index,
    sparse_build_bytes,
)
from node.index.linking import build_bytes
from node.index.twins import equal_most, set_apart
from node.segments.building.graph_codes import choose_codes
from node.segments.building.jobs import AnyJob, BuildResult, CompactJob, GraphResult, IndexJob, Source
from node.segments.building.nodes import Former, elements_placed, elements_wanted, nodes_of, worth_continuing
from node.segments.building.row_files import RowFiles
from node.segments.building.value_build import ValueBuild
from node.segments.encoding import originals
from node.segments.errors import BuildTooLarge
from node.segments.layout import Taken
from node.segments.manifest import (
    FileEntry,
    GraphEntry,
    Manifest,
    VectorsEntry,
    damage,
    describe,
    write_manifest,
)
from node.segments.rows import Dense, Ragged, Stored
from node.segments.schema import (
    SLOTS_FILE,
    VectorSchema,
    graph_file,
    graph_rows_file,
    postings_file,
    present_file,
    twins_file,
)
from node.segments.sealed import SealedSegment
from node.segments.values import ValueGraphParams, ValueGraphsEntry
from protos.files import sync_directory, sync_file

DRAFT_SUFFIX = ".tmp"
_PROCESS_BYTES = 64 * 1024 * 1024  # interpreter, FAISS, buffers

Flags = npt.NDArray[np.bool_]
FlagsOf = Callable[["Part"], Flags]


class Part:
    """A source, opened, with the rows of it that are live and the rows that are taken."""

    def __init__(self, source: Source, *, compact: bool) -> None:
        self.segment = SealedSegment.open(Path(source.directory))
        rows = self.segment.rows
        self.live = np.ones(rows, dtype=np.bool_)
        if source.live is not None:
            self.live = bits.mask_of(np.frombuffer(source.live, dtype=np.uint8), rows)
        self.taken = np.arange(rows, dtype=np.int64)
        if compact:
            if source.order is not None:
                self.taken = np.frombuffer(source.order, dtype="<u4").astype(np.int64)
                assert len(self.taken) == rows, "an order is of all rows"
            self.taken = self.taken[self.live[self.taken]]
        self.schemas = tuple(s for s in self.segment.schemas if s.name not in source.hidden)

    def has(self, schema: VectorSchema) -> bool:
        """A name that was dropped and made again with another shape is another vector."""
        return schema in self.schemas

    def present(self, schema: VectorSchema) -> Flags:
        """(len(taken),)"""
        if not self.has(schema):
            return np.zeros(len(self.taken), dtype=np.bool_)
        packed = self.segment.vectors(schema.name).present
        if packed is None:
            return np.ones(len(self.taken), dtype=np.bool_)
        return bits.contains(packed, self.taken)

    def sound_graph(self, schema: VectorSchema) -> HnswGraph | None:
        """The graph of these vectors, if there is one and each of its bytes is as it was written."""
        if not self.has(schema):
            return None
        segment, position = self.segment, self.segment.schemas.index(schema)
        files = (graph_file(position), graph_rows_file(position))
        entries = [entry for entry in segment.manifest.files if entry.name in files]
        damaged = any(True for entry in entries for _ in damage(segment.directory, entry))
        return None if damaged else segment.graph(schema.name)


class Assembly:
    """One job being carried out in a draft directory."""

    def __init__(self, job: AnyJob, draft: Path) -> None:
        compact = isinstance(job, CompactJob)
        sources = (job.source,) if isinstance(job, IndexJob) else job.sources
        self.job = job
        self.draft = draft
        self.parts = [Part(source, compact=compact) for source in sources]
        self.schemas = self.parts[0].schemas if isinstance(job, IndexJob) else job.schemas
        self.start = job.start if isinstance(job, CompactJob) else self.parts[0].segment.start
        self.offsets = list(_offsets(self.parts, self.start, compact=compact))
        self.rows = self.offsets[-1] + len(self.parts[-1].taken)
        self.files: list[FileEntry] = []
        self.graphs: list[GraphResult] = []

    def run(self) -> None:
        entries = tuple(self._vectors(position, schema) for position, schema in enumerate(self.schemas))
        if isinstance(self.job, CompactJob):
            self._old_slots()
        manifest = Manifest(start=self.start, rows=self.rows, vectors=entries, files=tuple(self.files))
        write_manifest(self.draft, manifest)

    def _vectors(self, position: int, schema: VectorSchema) -> VectorsEntry:
        present = self._place(lambda part: part.present(schema))
        whole = bool(present.all())
        files = RowFiles(self.draft, position, schema, self.rows)
        stored = self._place_rows(files, schema)
        if not whole:
            self._write(present_file(position), bits.pack_mask(present).tobytes())
        graph = None
        if (params := self.job.graphs.get(schema.name)) is not None:
            graph = self._graph(position, schema, params, present, stored)
        values = None
        if (wanted := self.job.value_graphs.get(schema.name)) is not None:
            assert not isinstance(stored, Ragged)
            values = self._value_graphs(position, schema, wanted, present, stored)
        sparse = self.job.sparse.get(schema.name)
        if sparse is not None and not self._sparse(position, sparse, present, stored):
            sparse = None
        if graph is not None:
            files.pack(stored)
        self.files += files.finish()
        return VectorsEntry(schema, not whole, graph, values, sparse, files.packed)

    def _place(self, flags_of: FlagsOf) -> Flags:
        """(rows,): each part's flags (len(taken),) where its rows come to lie."""
        placed = np.zeros(self.rows, dtype=np.bool_)
        for part, offset in zip(self.parts, self.offsets, strict=True):
            flags = flags_of(part)
            placed[offset : offset + len(flags)] = flags
        return placed

    def _place_rows(self, files: RowFiles, schema: VectorSchema) -> Stored:
        """Returns: the rows, as long as the draft is there."""
        if isinstance(self.job, IndexJob):
            files.link(self.parts[0].segment)
        else:
            files.copy(
                [
                    Taken(part.segment.vectors(schema.name).rows, part.taken, offset)
                    for part, offset in zip(self.parts, self.offsets, strict=True)
                    if part.has(schema)
                ]
            )
        return files.open()

    def _write(self, name: str, data: bytes) -> None:
        path = self.draft / name
        path.write_bytes(data)
        self._finish(path)

    def _finish(self, path: Path) -> None:
        sync_file(path)
        self.files.append(describe(path))

    def _old_slots(self) -> None:
        slots = [part.taken + part.segment.start for part in self.parts]
        self._write(SLOTS_FILE, np.concatenate(slots).astype("<u4").tobytes())

    def _graph(
        self, position: int, schema: VectorSchema, params: GraphParams, present: Flags, stored: Stored
    ) -> GraphEntry | None:
        wanted = self._wanted(present)
        elements, wanted = elements_wanted(stored, wanted)
        matrix = originals(elements, schema)
        if not wanted.any():
            return None
        started = time.monotonic()
        rows = None if wanted.all() else np.flatnonzero(wanted).astype(np.uint32)
        codes = choose_codes(schema, matrix, rows, params.quantization)
        encoding, linked = codes.stored, codes.linked
        former = worth_continuing(self._formers(schema, params, stored), wanted)
        count = int(np.count_nonzero(wanted)) + (0 if former is None else _dead(former, wanted))
        self._check_memory(build_bytes(schema.dim, count, params, encoding, linked))
        kept = None if former is None else former.graph
        nodes, twins = nodes_of(wanted, former), None
        if not isinstance(stored, Ragged):
            first = 0 if kept is None else kept.count
            nodes, twins = set_apart(stored, nodes, first, equal_most(params.m))
        path = self.draft / graph_file(position)
        HnswGraph.build(schema.distance, matrix, nodes, params, encoding, linked, kept).save(path)
        self._finish(path)
        has_rows = len(nodes) != len(matrix) or bool((nodes[1:] < nodes[:-1]).any())
        if has_rows:
            self._write(graph_rows_file(position), nodes.astype("<u4").tobytes())
        if twins is not None:
            self._write(twins_file(position), twins.to_bytes())
        continued = 0 if kept is None else kept.count
        took = time.monotonic() - started
        self.graphs.append(GraphResult(schema.name, encoding.code, len(nodes), took, continued))
        return GraphEntry(params, encoding.code, has_rows, encoding, has_twins=twins is not None)

    def _formers(self, schema: VectorSchema, params: GraphParams, stored: Stored) -> Iterator[Former]:
        """The sources' graphs of these vectors whose links are of the kind that ``params`` asks for."""
        for part, rows in zip(self.parts, self._places, strict=True):
            graph = part.sound_graph(schema)
            if graph is not None and params.links_like(graph.params):
                places = elements_placed(part.segment.vectors(schema.name).rows, rows, stored)
                yield Former(graph, places if graph.rows is None else places[graph.rows])

    def _value_graphs(
        self, position: int, schema: VectorSchema, params: ValueGraphParams, present: Flags, stored: Dense
    ) -> ValueGraphsEntry:
        build = ValueBuild(schema, stored, self._wanted(present), params, rows_of=self._rows_of)
        return build.run(
            self.job.groups, self.draft, position, check_memory=self._check_memory, finish=self._finish
        )

    def _rows_of(self, slots: Slots) -> Slots:
        """Where the rows of ascending ``slots`` (n,) come to lie; those not taken are left out (<= n,)."""
        found = []
        for part, places in zip(self.parts, self._places, strict=True):
            start = part.segment.start
            first, end = np.searchsorted(slots, (start, start + len(places)))
            found.append(places[slots[first:end] - start])
        placed = np.concatenate(found)
        return placed[placed >= 0]

    @cached_property
    def _places(self) -> list[Slots]:
        """Per part, where each of its segment's rows comes to lie; -1: nowhere."""
        found = []
        for part, offset in zip(self.parts, self.offsets, strict=True):
            places = np.full(part.segment.rows, -1, dtype=np.int64)
            places[part.taken] = offset + np.arange(len(part.taken))
            found.append(places)
        return found

    def _sparse(self, position: int, params: SparseParams, present: Flags, rows: Stored) -> bool:
        """Build the inverted index; False: there is nothing to put into one."""
        wanted = self._wanted(present)
        if not wanted.any():
            return False
        assert isinstance(rows, Ragged)
        indices, values = rows.parts
        self._check_memory(sparse_build_bytes(len(indices)))
        path = self.draft / postings_file(position)
        build_sparse_index(path, SparseRows(rows.offsets, indices, values, wanted), params.datatype)
        self._finish(path)
        return True

    def _wanted(self, present: Flags) -> Flags:
        """Rows that an index is to hold (rows,): dead ones never come back to life."""
        return present & self._place(lambda part: part.live[part.taken])

    def _check_memory(self, index_bytes: int) -> None:
        """Raises: BuildTooLarge."""
        needed = _PROCESS_BYTES + index_bytes
        if self.job.memory_bytes is not None and needed > self.job.memory_bytes:
            raise BuildTooLarge(needed, self.job.memory_bytes)


def _dead(former: Former, wanted: Flags) -> int:
    return int(np.count_nonzero(~wanted[former.rows]))


def assemble(job: AnyJob) -> BuildResult:
    """Carry out ``job`` in this process.

    Raises: BuildTooLarge, SegmentError for unusable sources, OSError. The draft directory may be left behind.
    """
    started = time.monotonic()
    target = Path(job.target)
    draft = target.with_name(target.name + DRAFT_SUFFIX)
    draft.mkdir()
    assembly = Assembly(job, draft)
    assembly.run()
    draft.rename(target)
    sync_directory(target.parent)
    return BuildResult(
        directory=str(target),
        start=assembly.start,
        rows=assembly.rows,
        graphs=tuple(assembly.graphs),
        seconds=time.monotonic() - started,
    )


def _offsets(parts: list[Part], start: int, *, compact: bool) -> Iterator[int]:
    """Where each part's rows begin in the new segment."""
    end = 0
    for part in parts:
        offset = end if compact else part.segment.start - start
        assert offset >= end, "sources must ascend and not overlap"
        yield offset
        end = offset + len(part.taken)
