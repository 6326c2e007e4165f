"""Applying log operations to a replica's memory: points, vectors, live bits, payload indexes.

Lives here: what each log operation does, the same for a fresh write and for a replay.
May not live here: logging, threads, checkpoints.

Two steps, because what is logged must be applied: ``prepare`` does everything that may fail before the
operation is logged (rows go to growing segments, payloads and schemas are decoded, an index is built), and
``apply`` takes its results over after the operation is durable. Only a damaged point store can stop it then.

Invariants: ``apply`` sees operations in seq order without gaps; an operation on a point that does not exist
changes nothing; a slot is live exactly if it is the slot of some point; stored payloads were ``checked``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from node.bits import Slots
from node.filter.columns import Column, Columns
from node.hardware import Meter, counted, counting
from node.query.slot_buckets import SlotBuckets
from node.replica import ownership
from node.replica import vectors as named_vectors
from node.replica.origin import NO_ORIGIN, Origin
from node.replica.ownership import ShardBuckets
from node.replica.payloads import Edit, checked, decode_payload, edit_of
from node.replica.segment_set import SegmentSet
from node.replica.slots import LiveBits
from node.replica.vectors import Vectors
from node.replica.view import View
from node.replication.terms import TermList
from node.segments import VectorSchema, schema_of
from node.storage.points import PointsBatch, PointStore, PointsView, in_chunks
from node.storage.records import pack_record, unpack_record
from protos.collections import CollectionConfig, PayloadIndexParams, decode_index_params, decode_vector_params
from protos.hardware import HardwareUsage
from protos.ids import PointId, id_key
from protos.operations import (
    AddVectorName,
    AnyLogOperation,
    BeginIntake,
    CreateIndex,
    DropIndex,
    DropPayloadKeys,
    EmptyPayload,
    LogEntry,
    MergePayload,
    PutPoints,
    PutVectors,
    RemovePoints,
    RemoveVectorName,
    RemoveVectors,
    ReplacePayload,
    SetOwnership,
    VectorShape,
)

SCAN_CHUNK = 32  # points indexed, in about 0.1 ms, between two chances for reads to run


class Prepared(Struct, frozen=True):
    """An operation and what ``apply`` needs to carry it out.

    Attributes:
        keys: of its ids.
        slots: of its new rows: one per id, -1 for an id without a point; None: no rows.
        payloads: those it puts, decoded, if there is an index to tell of them.
        edit: what it does to each payload. column: the index it creates.
        schemas: the vector names there are after it; None: as before.
        cost: of preparing it, if that is measured.
    """

    entry: LogEntry
    keys: Sequence[bytes] = ()
    slots: Slots | None = None
    payloads: Sequence[dict[str, Any]] | None = None
    edit: Edit | None = None
    column: Column | None = None
    schemas: dict[str, VectorSchema] | None = None
    cost: HardwareUsage | None = None


class Applier:
    """The state of one replica. One thread at a time; ``view`` gives readers theirs."""

    def __init__(
        self,
        *,
        points: PointStore,
        segments: SegmentSet,
        live: LiveBits,
        columns: Columns,
        config: CollectionConfig,
        terms: TermList,
        seq: int,
        config_version: int,
        origin: Origin = NO_ORIGIN,
        buckets: ShardBuckets | None = None,
    ) -> None:
        """``terms``: of the log's entries up to ``seq``."""
        self.buckets = buckets or ShardBuckets()
        self._slot_buckets = SlotBuckets()
        self.points, self.segments, self.live, self.columns = points, segments, live, columns
        self.config, self.terms, self.seq, self.config_version = config, terms, seq, config_version
        self.meter: Meter | None = None
        self.origin = origin

    @property
    def shapes(self) -> dict[str, VectorShape]:
        return {name: VectorShape(schema.kind, schema.dim) for name, schema in self.segments.schemas.items()}

    def view(self) -> View:
        return View(
            seq=self.seq,
            points=self.points.view(),
            live=self.live.snapshot(self.segments.ranges.end),
            segments=self.segments.views(),
            columns=self.columns.view(),
            config=self.config,
            buckets=self.buckets,
            slot_buckets=self._slot_buckets,
        )

    # --- before the log --------------------------------------------------------------------------------

    def prepare(self, entry: LogEntry) -> Prepared:
        """Do all of ``entry`` that can fail. Nothing that it reads may be pending.

        Raises: OSError, InsufficientStorage; MalformedBody, ValueError for what no change resolves to.
        """
        if self.meter is None:
            return self._prepare(entry)
        cost = HardwareUsage()
        return msgspec.structs.replace(counted(cost, self._prepare, entry), cost=cost)

    def _prepare(self, entry: LogEntry) -> Prepared:
        operation = entry.operation
        match operation:
            case PutPoints():
                return self._prepare_points(entry, operation)
            case PutVectors():
                keys = _distinct_keys(operation.ids)
                given = named_vectors.of_batches(operation.vectors, len(keys), self.segments.schemas)
                return Prepared(entry, keys, self._place_again(keys, given, ()))
            case RemoveVectors():
                keys = _distinct_keys(operation.ids)
                return Prepared(entry, keys, self._place_again(keys, {}, operation.names))
            case RemovePoints():
                return Prepared(entry, _distinct_keys(operation.ids))
            case MergePayload() | ReplacePayload() | DropPayloadKeys() | EmptyPayload():
                return Prepared(entry, _distinct_keys(operation.ids), edit=edit_of(operation))
            case _:
                return self._prepare_configuration(entry, operation)

    def _prepare_points(self, entry: LogEntry, operation: PutPoints) -> Prepared:
        keys = _distinct_keys(operation.ids)
        if len(operation.payloads) != len(keys):
            raise ValueError(f"{len(operation.payloads)} payloads for {len(keys)} points")
        payloads = [checked(payload) for payload in operation.payloads]
        found = named_vectors.of_batches(operation.vectors, len(keys), self.segments.schemas)
        slots = self._append(found, len(keys))
        return Prepared(entry, keys, slots, payloads if self._has_columns else None)

    def _prepare_configuration(self, entry: LogEntry, operation: AnyLogOperation) -> Prepared:
        """Such an operation is always the only one of its group."""
        match operation:
            case CreateIndex():
                params = decode_index_params(operation.schema)
                return Prepared(entry, column=self._built(operation.field, params))
            case AddVectorName() | RemoveVectorName():
                schemas = self._schemas_after(operation)
                if schemas is not None:
                    self.segments.seal_all()
                return Prepared(entry, schemas=schemas)
        return Prepared(entry)

    def _schemas_after(self, operation: AddVectorName | RemoveVectorName) -> dict[str, VectorSchema] | None:
        schemas, name = self.segments.schemas, operation.name
        if isinstance(operation, AddVectorName):
            schema = schema_of(name, decode_vector_params(operation.params))
            return None if schemas.get(name) == schema else {**schemas, name: schema}
        return {kept: schema for kept, schema in schemas.items() if kept != name} if name in schemas else None

    def _place_again(self, keys: Sequence[bytes], given: Vectors, removed: Sequence[str]) -> Slots:
        slots = self.points.view().slots_of(keys)
        known = np.flatnonzero(slots >= 0)
        given = {name: block.take(known) for name, block in given.items()}
        old = named_vectors.gather(self.segments.views(), slots[known], self.segments.schemas)
        merged = named_vectors.without(named_vectors.merged(old, given), removed)
        slots[known] = self._append(merged, len(known))
        return slots

    def _append(self, vectors: Vectors, points: int) -> Slots:
        usage = counting()
        if usage is not None:
            usage.vector_io_write += sum(block.rows.nbytes for block in vectors.values())
        return self.segments.append(vectors, points)

    # --- after it --------------------------------------------------------------------------------------

    def apply(self, operations: Sequence[tuple[int, Prepared]], *, term: int) -> None:
        """Apply durable operations of one term, given with their seq."""
        if operations:
            self.terms = self.terms.extended(term, operations[0][0])
        with self.points.change() as batch:
            for seq, prepared in operations:
                assert seq == self.seq + 1
                if self.meter is None:
                    self._apply(batch, seq, prepared)
                else:
                    cost = prepared.cost or HardwareUsage()
                    counted(cost, self._apply, batch, seq, prepared)
                    self.meter.wrote(seq, cost)
                self.seq = seq
                self.config_version = max(self.config_version, prepared.entry.config_version)
        self.segments.seal_full()

    def _apply(self, batch: PointsBatch, seq: int, prepared: Prepared) -> None:
        operation = prepared.entry.operation
        match operation:
            case PutPoints():
                assert prepared.slots is not None
                self._put(batch, seq, prepared.keys, prepared.slots, operation.payloads)
                self._index(prepared.slots, prepared.payloads)
            case PutVectors() | RemoveVectors():
                self._move(batch, seq, prepared)
            case RemovePoints():
                former = np.array([batch.delete(key) for key in prepared.keys], dtype=np.int64)
                self._retire(former[former >= 0])
            case MergePayload() | ReplacePayload() | DropPayloadKeys() | EmptyPayload():
                self._edit(batch, seq, prepared)
            case _:
                self._configure(operation, prepared)
                self.origin = self.origin.configured(seq)

    def _put(
        self, batch: PointsBatch, seq: int, keys: Sequence[bytes], slots: Slots, payloads: Sequence[bytes]
    ) -> None:
        numbers = slots.tolist()
        records = [pack_record(seq, key, payload) for key, payload in zip(keys, payloads, strict=True)]
        former = batch.put_many(keys, numbers, records)
        _count_payloads(payloads)
        self.live.set(slots)
        self.columns.touched(numbers)
        self._retire(former[former >= 0])

    def _index(self, slots: Slots, payloads: Sequence[dict[str, Any]] | None) -> None:
        if payloads is not None:
            self.columns.put(slots.tolist(), payloads)

    def _move(self, batch: PointsBatch, seq: int, prepared: Prepared) -> None:
        """Points take new slots and keep their payloads."""
        assert prepared.slots is not None
        keys, targets, payloads = [], [], []
        for key, slot in zip(prepared.keys, prepared.slots.tolist(), strict=True):
            record = batch.record(batch.slot_of(key)) if slot >= 0 else None
            if record is not None:
                keys.append(key)
                targets.append(slot)
                payloads.append(record.payload)
        slots = np.array(targets, dtype=np.int64)
        self._put(batch, seq, keys, slots, payloads)
        self._index(slots, [decode_payload(payload) for payload in payloads] if self._has_columns else None)

    def _edit(self, batch: PointsBatch, seq: int, prepared: Prepared) -> None:
        edit, has_columns = prepared.edit, self._has_columns
        assert edit is not None
        found = batch.slots_of(prepared.keys)
        slots: list[int] = found[found >= 0].tolist()
        payloads, edited = [], []
        for slot in slots:
            record = batch.record(slot)
            assert record is not None, f"slot {slot} belongs to a point and has no record"
            payload = edit(record.payload)
            batch.replace_record(slot, pack_record(seq, record.key, payload))
            if has_columns:
                payloads.append(decode_payload(payload))
            edited.append(payload)
        _count_payloads(edited)
        self.columns.touched(slots)
        if has_columns:
            self.columns.put(slots, payloads)

    def _retire(self, slots: Slots) -> None:
        self.live.clear(slots)
        self.columns.touched(slots.tolist())
        if self._has_columns:
            self.columns.remove(slots.tolist())

    @property
    def _has_columns(self) -> bool:
        return bool(self.columns.fields)

    def _configure(self, operation: AnyLogOperation, prepared: Prepared) -> None:
        match operation:
            case CreateIndex():
                assert prepared.column is not None
                self.columns.install(prepared.column)
            case DropIndex():
                self.columns.drop(operation.field)
            case AddVectorName() | RemoveVectorName() if prepared.schemas is not None:
                known = operation.name in self.segments.schemas
                self.segments.change_schemas(prepared.schemas, removed=operation.name if known else None)
            case SetOwnership() | BeginIntake():
                self.buckets = ownership.after(self.buckets, operation)

    def _built(self, field: str, params: PayloadIndexParams) -> Column:
        points = self.points.view()
        return self.columns.built(
            field, params, payloads_of(points), lambda slots: payloads_at(points, slots)
        )

    def renew_columns(self) -> None:
        """Build anew the payload indexes that a former version's files hold too little of."""
        for field in self.columns.outdated:
            self.columns.install(self._built(field, self.columns.fields[field]))

    def remap(self, old: Slots, new: Slots) -> None:
        """Points at slots ``old`` move to ``new``, where a compaction copied their vectors (both (n,))."""
        pairs = []
        with self.points.change() as batch:
            for source, target in zip(old.tolist(), new.tolist(), strict=True):
                record = batch.record(source)
                if record is None or batch.slot_of(record.key) != source:
                    continue  # deleted or written anew since
                pairs.append((source, target))
                batch.put(record.key, target, pack_record(record.version, record.key, record.payload))
                if self._has_columns:
                    self.columns.put((target,), (decode_payload(record.payload),))
        self.segments.generation += 1
        moved = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        self.live.set(moved[:, 1])
        self.columns.touched(moved[:, 1].tolist())
        self._retire(moved[:, 0])


def _count_payloads(written: Sequence[bytes]) -> None:
    usage = counting()
    if usage is not None:
        usage.payload_io_write += sum(map(len, written))


def payloads_of(points: PointsView) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every point's slot and payload."""
    for chunk in in_chunks(points.scan_records(), SCAN_CHUNK):
        for slot, data in chunk:
            yield slot, decode_payload(unpack_record(data).payload)


def payloads_at(points: PointsView, slots: Sequence[int]) -> list[dict[str, Any] | None]:
    """The payload at each slot, None where there is no point."""
    return [None if record is None else decode_payload(record.payload) for record in points.records(slots)]


def _distinct_keys(ids: Sequence[PointId]) -> list[bytes]:
    keys = [id_key(point_id) for point_id in ids]
    if len(set(keys)) != len(keys):
        raise ValueError("an operation names a point twice")
    return keys
