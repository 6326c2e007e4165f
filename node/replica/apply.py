"""Applying log operations to a replica's memory: points, vectors, live bits, payload indexes.

Lives here: what each log operation does, the same for a fresh write and for a replay.
May not live here: logging, threads, checkpoints.

Two steps, because vectors need disk: ``prepare`` places an operation's vectors in growing segments before the
operation is logged and may fail with the disk; ``apply`` does the rest after it is durable and must not fail.

Invariants: ``apply`` sees operations in seq order without gaps; an operation on a point that does not exist
changes nothing; a slot is live exactly if it is the slot of some point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from node.filter.columns import Columns
from node.replica import vectors as dense_vectors
from node.replica.payloads import decode_payload, edit_of
from node.replica.segment_set import SegmentSet
from node.replica.slots import LiveBits, Slots
from node.replica.vectors import Vectors
from node.replica.view import View
from node.segments import VectorSchema
from node.storage.points import PointsBatch, PointStore
from node.storage.records import pack_record, unpack_record
from protos.collections import (
    CollectionConfig,
    VectorParams,
    decode_index_params,
    decode_vector_params,
)
from protos.ids import PointId, id_key
from protos.operations import (
    AddVectorName,
    AnyLogOperation,
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
)


class Prepared(Struct, frozen=True):
    """An operation and the slots of its new rows: one per id, -1 for an id without a point; None: no rows."""

    entry: LogEntry
    slots: Slots | None = None


def schema_of(name: str, params: VectorParams) -> VectorSchema:
    return VectorSchema(name, params.size, params.distance)


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
        term: int,
        seq: int,
        config_version: int,
    ) -> None:
        self.points, self.segments, self.live, self.columns = points, segments, live, columns
        self.config, self.term, self.seq, self.config_version = config, term, seq, config_version

    @property
    def dims(self) -> dict[str, int]:
        return {name: schema.dim for name, schema in self.segments.schemas.items()}

    def view(self) -> View:
        return View(
            seq=self.seq,
            points=self.points.view(),
            live=self.live.snapshot(self.segments.ranges.end),
            segments=self.segments.views(),
            columns=self.columns.view(),
            config=self.config,
        )

    # --- before the log --------------------------------------------------------------------------------

    def prepare(self, entry: LogEntry) -> Prepared:
        """Place the rows that ``entry`` needs. Nothing that it reads may be pending.

        Raises: OSError, InsufficientStorage.
        """
        operation = entry.operation
        match operation:
            case PutPoints():
                found = dense_vectors.of_batches(operation.vectors, len(operation.ids), self.segments.schemas)
                return Prepared(entry, self.segments.append(found, len(operation.ids)))
            case PutVectors():
                given = dense_vectors.of_batches(operation.vectors, len(operation.ids), self.segments.schemas)
                return Prepared(entry, self._place_again(operation.ids, given, ()))
            case RemoveVectors():
                return Prepared(entry, self._place_again(operation.ids, {}, operation.names))
            case AddVectorName() | RemoveVectorName():
                self.segments.seal_all()
        return Prepared(entry)

    def _place_again(self, ids: Sequence[PointId], given: Vectors, removed: Sequence[str]) -> Slots:
        slots = self.points.view().slots_of([id_key(i) for i in ids])
        known = np.flatnonzero(slots >= 0)
        given = {
            name: dense_vectors.Dense(dense.matrix[known], dense.present[known])
            for name, dense in given.items()
        }
        old = dense_vectors.gather(self.segments.views(), slots[known], self.segments.schemas)
        merged = dense_vectors.without(dense_vectors.merged(old, given), removed)
        slots[known] = self.segments.append(merged, len(known))
        return slots

    # --- after it --------------------------------------------------------------------------------------

    def apply(self, operations: Sequence[tuple[int, Prepared]]) -> None:
        """Apply durable operations, given with their seq."""
        with self.points.change() as batch:
            for seq, prepared in operations:
                assert seq == self.seq + 1
                self._apply(batch, seq, prepared)
                self.seq = seq
                self.config_version = max(self.config_version, prepared.entry.config_version)
        self.segments.seal_full()

    def _apply(self, batch: PointsBatch, seq: int, prepared: Prepared) -> None:
        operation = prepared.entry.operation
        match operation:
            case PutPoints():
                assert prepared.slots is not None
                keys = [id_key(i) for i in operation.ids]
                self._put(batch, seq, keys, prepared.slots, operation.payloads)
            case PutVectors() | RemoveVectors():
                assert prepared.slots is not None
                self._move(batch, seq, operation.ids, prepared.slots)
            case RemovePoints():
                self._remove(batch, operation.ids)
            case MergePayload() | ReplacePayload() | DropPayloadKeys() | EmptyPayload():
                self._edit(batch, seq, operation)
            case _:
                self._configure(operation)

    def _put(
        self, batch: PointsBatch, seq: int, keys: Sequence[bytes], slots: Slots, payloads: Sequence[bytes]
    ) -> None:
        numbers = slots.tolist()
        records = [pack_record(seq, key, payload) for key, payload in zip(keys, payloads, strict=True)]
        former = batch.put_many(keys, numbers, records)
        self.live.set(slots)
        self._retire(former[former >= 0])
        if self._has_columns:
            for slot, payload in zip(numbers, payloads, strict=True):
                self.columns.put(slot, decode_payload(payload))

    def _move(self, batch: PointsBatch, seq: int, ids: Sequence[PointId], slots: Slots) -> None:
        """Points take new slots and keep their payloads."""
        keys, targets, payloads = [], [], []
        for point_id, slot in zip(ids, slots.tolist(), strict=True):
            key = id_key(point_id)
            record = batch.record(batch.slot_of(key)) if slot >= 0 else None
            if record is not None:
                keys.append(key)
                targets.append(slot)
                payloads.append(record.payload)
        self._put(batch, seq, keys, np.array(targets, dtype=np.int64), payloads)

    def _remove(self, batch: PointsBatch, ids: Sequence[PointId]) -> None:
        former = np.array([batch.delete(id_key(i)) for i in ids], dtype=np.int64)
        self._retire(former[former >= 0])

    def _edit(
        self,
        batch: PointsBatch,
        seq: int,
        operation: MergePayload | ReplacePayload | DropPayloadKeys | EmptyPayload,
    ) -> None:
        edit, has_columns = edit_of(operation), self._has_columns
        slots = batch.slots_of([id_key(i) for i in operation.ids])
        for slot in slots[slots >= 0].tolist():
            record = batch.record(slot)
            assert record is not None, f"slot {slot} belongs to a point and has no record"
            payload = edit(record.payload)
            batch.replace_record(slot, pack_record(seq, record.key, payload))
            if has_columns:
                self.columns.put(slot, decode_payload(payload))

    def _retire(self, slots: Slots) -> None:
        self.live.clear(slots)
        if self._has_columns:
            for slot in slots.tolist():
                self.columns.remove(slot)

    @property
    def _has_columns(self) -> bool:
        return bool(self.columns.fields)

    # --- configuration (always the only operation of its group) ----------------------------------------

    def _configure(self, operation: AnyLogOperation) -> None:
        schemas = self.segments.schemas
        match operation:
            case CreateIndex():
                params = decode_index_params(operation.schema)
                self.columns.create(operation.field, params, self._scan())
            case DropIndex():
                self.columns.drop(operation.field)
            case AddVectorName():
                schema = schema_of(operation.name, decode_vector_params(operation.params))
                if schemas.get(operation.name) != schema:
                    known = operation.name in schemas
                    self.segments.change_schemas(
                        {**schemas, operation.name: schema}, removed=operation.name if known else None
                    )
            case RemoveVectorName() if operation.name in schemas:
                kept = {name: schema for name, schema in schemas.items() if name != operation.name}
                self.segments.change_schemas(kept, removed=operation.name)

    def _scan(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every point's slot and payload, as of before the operation."""
        for slot, data in self.points.view().scan_records():
            yield slot, decode_payload(unpack_record(data).payload)

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
                    self.columns.put(target, decode_payload(record.payload))
        self.segments.generation += 1
        moved = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        self.live.set(moved[:, 1])
        self._retire(moved[:, 0])
