"""A base as records: reading an export's points into parts, and making a replica of such parts.

The points keep their versions and their vectors as they are stored; segments, graphs and the files of payload
indexes are made anew. The rest of the checkpoint's record (schemas, operation ids, terms) goes along.
May not live here: threads, the event loop, the beginning and the end of a stream.

Invariant: before it is complete, the point store says that it is no checkpoint, so no one opens it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from node import bits
from node.filter.columns import Columns
from node.replica.checkpoint import (
    COLUMNS_DIRECTORY,
    FORMAT,
    POINTS_FILE,
    SEGMENTS_DIRECTORY,
    DamagedFile,
    Meta,
    decode_meta,
    encode_meta,
    oldest_format,
    write_live,
)
from node.replica.payloads import decode_payload
from node.replica.recovery import repair_indexes
from node.replica.segment_set import SegmentSet
from node.replica.slots import LiveBits
from node.replica.vectors import Vectors, gather, ragged_bytes, scattered
from node.segments import VectorSchema
from node.segments.rows import Block, Ragged, Rows
from node.storage.points import PointStore, RecordCorrupted, StoredRecord
from node.storage.records import pack_record
from node.transfer.export import Base
from node.transfer.files import Parts
from node.transfer.wire import (
    CHUNK_BYTES,
    END,
    RECORDS,
    BaseRefused,
    Form,
    Header,
    Packing,
    RecordBatch,
    VectorRows,
    decoded,
)
from protos.collections import decode_index_params
from protos.operations import VectorKind
from protos.ragged import offsets_of
from protos.structs import learn

BATCH_POINTS = 256  # at most; and about ``CHUNK_BYTES``
OVERLAY_BYTES = 8 << 20  # of points in memory, before they are stored; more hold up other threads for longer
MAP_BYTES_MIN, MAP_GROWTH = 16 << 30, 4  # addresses for the point store, by its size at the source
_UNFINISHED = b""  # no checkpoint's record

Batch = list[tuple[int, StoredRecord]]  # slots and what is there


# --- the source's side -------------------------------------------------------------------------------------


def record_parts(base: Base) -> Parts:
    """Raises: OSError, SegmentError, RecordCorrupted."""
    packing = Packing()
    meta = b"" if base.meta is None else _told(base.meta)
    size = (base.directory / POINTS_FILE).stat().st_size
    header = Header(base.seq, base.term, base.points, Form.RECORDS, total_bytes=size, meta=meta)
    yield packing.header(header), 0
    done = 0
    if base.meta is not None:
        for batch in _batches(base.directory, base.meta):
            done += len(batch.keys)
            yield packing.struct(RECORDS, batch), done
    yield packing.part(END), base.points


def _told(meta: Meta) -> bytes:
    """In the oldest format that will do: the target may run an older version, and makes files of its own."""
    return encode_meta(replace(meta, format=oldest_format(meta)))


def _batches(directory: Path, meta: Meta) -> Iterator[RecordBatch]:
    schemas = {schema.name: schema for schema in meta.schemas}
    repair_indexes(directory / SEGMENTS_DIRECTORY, meta.segments)
    segments = SegmentSet.open(directory / SEGMENTS_DIRECTORY, schemas, meta.segments)
    points = PointStore.open(directory / POINTS_FILE, 1)
    try:
        views = segments.views()
        row_bytes = sum(schema.row_bytes for schema in meta.schemas)
        for found in _in_batches(points, row_bytes=row_bytes):
            slots = np.array([slot for slot, _ in found], dtype=np.int64)
            for part in _cut(ragged_bytes(views, slots)):
                records = [record for _, record in found[part]]
                yield _batch(records, gather(views, slots[part], schemas), schemas)
    finally:
        points.close()
        segments.close()


def _cut(sizes: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Consecutive positions in parts of about ``CHUNK_BYTES``, at least one each."""
    ends = offsets_of(sizes)
    first = 0
    while first < len(sizes):
        fitting = int(np.searchsorted(ends, ends[first] + CHUNK_BYTES, side="right")) - 1
        last = max(first + 1, fitting)
        yield slice(first, last)
        first = last


def _in_batches(points: PointStore, *, row_bytes: int) -> Iterator[Batch]:
    """All points by id, by their number, their payloads and what each row of vectors takes."""
    view = points.view()
    batch: Batch = []
    size = 0
    for key, slot in view.iter_ids():
        record = view.record(slot)
        if record is None or record.key != key:
            raise RecordCorrupted(f"slot {slot} has no record of id key {key.hex()}")
        batch.append((slot, record))
        size += row_bytes + len(record.payload)
        if len(batch) == BATCH_POINTS or size >= CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _batch(
    records: Sequence[StoredRecord], vectors: Vectors, schemas: Mapping[str, VectorSchema]
) -> RecordBatch:
    return RecordBatch(
        keys=[record.key for record in records],
        versions=np.array([record.version for record in records], dtype="<u8").tobytes(),
        payloads=[record.payload for record in records],
        vectors=[_rows_of(schemas[name], block) for name, block in vectors.items() if block.present.any()],
    )


def _rows_of(schema: VectorSchema, block: Block) -> VectorRows:
    present = bits.pack_mask(block.present).tobytes()
    rows = block.rows[np.flatnonzero(block.present)]
    if not isinstance(rows, Ragged):
        return VectorRows(schema.name, rows.tobytes(), present)
    counts = np.diff(rows.offsets).astype("<u4").tobytes()
    indices = rows.parts[0].tobytes() if schema.kind is VectorKind.SPARSE else b""
    return VectorRows(schema.name, rows.parts[-1].tobytes(), present, counts, indices)


# --- the target's ------------------------------------------------------------------------------------------


class RecordsTarget:
    """Makes a replica in ``directory``, which exists. Implements ``receiving.Target``."""

    def __init__(self, directory: Path, header: Header) -> None:
        """Raises: BaseRefused, OSError."""
        self._directory, self._header = directory, header
        try:
            self._meta = decode_meta(header.meta) if header.meta else None
        except DamagedFile as error:
            raise BaseRefused(str(error)) from error
        if (self._meta.seq if self._meta else -1) != header.seq:
            raise BaseRefused(f"its checkpoint's record is not of seq {header.seq}")
        schemas = {schema.name: schema for schema in self._meta.schemas} if self._meta else {}
        (directory / SEGMENTS_DIRECTORY).mkdir()
        self._segments = SegmentSet(directory / SEGMENTS_DIRECTORY, schemas)
        self._live = LiveBits()
        self._columns = _empty_columns(self._meta)
        self._last_key = b""
        self.points_done = 0
        size = max(MAP_BYTES_MIN, MAP_GROWTH * header.total_bytes)
        self._points: PointStore | None = PointStore.open(directory / POINTS_FILE, 1, map_bytes=size)

    def take(self, kind: bytes, body: memoryview) -> None:
        if kind != RECORDS or self._meta is None:
            raise BaseRefused(f"a part of kind {kind!r} in this base of records")
        batch = decoded(body, RecordBatch)
        versions = self._checked(batch)
        vectors = _vectors(batch, self._segments.schemas)
        assert self._points is not None
        slots = self._segments.append(vectors, len(batch.keys))
        records = map(pack_record, versions, batch.keys, batch.payloads)
        with self._points.change() as change:
            change.put_many(batch.keys, slots.tolist(), records)
        self._live.set(slots)
        if self._columns.fields:
            self._columns.put(slots.tolist(), list(map(decode_payload, batch.payloads)))
        self._segments.seal_full()
        self.points_done += len(batch.keys)
        if self._points.overlay_bytes > OVERLAY_BYTES:
            self._store(_UNFINISHED)

    def finish(self) -> None:
        if self.points_done != self._header.points:
            raise BaseRefused(f"{self.points_done} points came, not {self._header.points}")
        if self._meta is None:
            return
        self._segments.sync()
        self._columns.rebuild()
        meta = replace(
            self._meta,
            format=FORMAT,
            segments=tuple(self._segments.entries()),
            live_file=write_live(self._directory, self._live.snapshot(self._segments.ranges.end)),
            columns=self._columns.view().save(self._directory / COLUMNS_DIRECTORY),
        )
        self._store(encode_meta(meta))

    def close(self) -> None:
        if self._points is not None:
            self._points.close()
            self._segments.close()
            self._points = None

    def _checked(self, batch: RecordBatch) -> list[int]:
        """The versions. Raises: BaseRefused."""
        versions: list[int] = _array(batch.versions, "<u8").tolist()
        if not len(batch.keys) == len(batch.payloads) == len(versions) > 0:
            raise BaseRefused("a batch has not as many ids, versions and payloads, or none")
        if max(versions) > self._header.seq:
            raise BaseRefused(f"a point of version {max(versions)} as of seq {self._header.seq}")
        for key in batch.keys:
            if key <= self._last_key:
                raise BaseRefused(f"id key {key.hex()} comes after {self._last_key.hex()}")
            self._last_key = key
        return versions

    def _store(self, meta: bytes) -> None:
        assert self._points is not None
        self._points.freeze()
        self._points.checkpoint(meta)


def _empty_columns(meta: Meta | None) -> Columns:
    columns = Columns()
    for saved in meta.columns.columns if meta is not None else ():
        columns.install(columns.built(saved.field, decode_index_params(saved.params.encode()), ()))
    return columns


def _vectors(batch: RecordBatch, schemas: Mapping[str, VectorSchema]) -> Vectors:
    """Raises: BaseRefused."""
    found: Vectors = {}
    for given in batch.vectors:
        schema = schemas.get(given.name)
        if schema is None or len(given.present) != bits.bytes_for(len(batch.keys)):
            raise BaseRefused(f"vectors of a name {given.name!r} that the shard has not, or of other points")
        present = bits.mask_of(np.frombuffer(given.present, dtype=np.uint8), len(batch.keys))
        table = np.where(present, np.cumsum(present) - 1, -1)
        rows = _rows(given, schema)
        if len(rows) != np.count_nonzero(present):
            raise BaseRefused(f"{len(rows)} vectors {given.name!r} for {np.count_nonzero(present)} points")
        found[given.name] = Block(scattered(rows, table, schema), present)
    return found


def _rows(given: VectorRows, schema: VectorSchema) -> Rows:
    """Raises: BaseRefused if these are no whole vectors."""
    sparse = schema.kind is VectorKind.SPARSE
    data = _array(given.data, schema.dtype)
    if not sparse:
        if len(data) % schema.width:
            raise BaseRefused(
                f"{len(data)} numbers of vectors {given.name!r}, which have {schema.width} each"
            )
        data = data.reshape(-1, schema.width)
    if schema.kind is VectorKind.DENSE:
        return data
    offsets = offsets_of(_array(given.counts, "<u4"))
    parts = (_array(given.indices, "<u4"), data) if sparse else (data,)
    if any(len(part) != offsets[-1] for part in parts):
        raise BaseRefused(f"{len(data)} elements of vectors {given.name!r}, not {offsets[-1]}")
    return Ragged(offsets, parts)


def _array(data: bytes, dtype: str) -> npt.NDArray[Any]:
    if len(data) % np.dtype(dtype).itemsize:
        raise BaseRefused(f"{len(data)} bytes are no row of {dtype}")
    return np.frombuffer(data, dtype=dtype)


learn(RecordBatch)
