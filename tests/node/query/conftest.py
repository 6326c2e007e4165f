"""A shard's view built by hand: fake points and segments with the real interfaces, real payload indexes."""

from __future__ import annotations

import bisect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from node import bits
from node.filter.columns import Columns
from node.index import GraphParams, SparseParams
from node.segments import VectorSchema
from node.segments.dense import VectorsView
from node.segments.hints import NO_HINTS, Hints
from node.storage.records import StoredRecord
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    Distance,
    OptimizersConfig,
    PayloadSchemaType,
    VectorParams,
    default_index_params,
)
from protos.ids import PointId, id_from_key, id_key
from protos.shard import QuantizationSearchParams


class FakePoints:
    """``node.storage.points.PointsView`` over dicts; counts the records it hands out."""

    def __init__(self, records: dict[int, StoredRecord]) -> None:
        self._records = records
        self._slots = {record.key: slot for slot, record in records.items()}
        self._keys = sorted(self._slots)
        self.fetched = 0

    @property
    def count(self) -> int:
        return len(self._slots)

    def slot_of(self, key: bytes) -> int:
        return self._slots.get(key, -1)

    def slots_of(self, keys: Iterable[bytes]) -> np.ndarray:
        return np.array([self.slot_of(key) for key in keys], dtype=np.int64)

    def records(self, slots: Iterable[int]) -> list[StoredRecord | None]:
        found = [self._records.get(int(slot)) for slot in slots]
        self.fetched += len(found)
        return found

    def points(
        self, slots: np.ndarray, make: Callable[..., Any], *, payloads: bool
    ) -> list[list[Any]] | None:
        rows = [self.records(row) for row in slots.tolist()]
        if any(record is None for row in rows for record in row):
            return None
        return [
            [make(id_from_key(r.key), r.version, r.payload if payloads else None) for r in row if r]
            for row in rows
        ]

    def iter_ids(self, start: bytes | None) -> Iterator[tuple[bytes, int]]:
        first = 0 if start is None else bisect.bisect_left(self._keys, start)
        for key in self._keys[first:]:
            yield key, self._slots[key]

    def scan_records(self) -> Iterator[tuple[int, StoredRecord]]:
        yield from self._records.items()


class FakeSegment:
    """``node.segments.SegmentView`` that scores all rows; counts its calls."""

    def __init__(
        self,
        start: int,
        vectors: Mapping[str, list[np.ndarray | None]],
        distances: Mapping[str, Distance],
        *,
        indexed: bool,
    ) -> None:
        self.start, self.names = start, tuple(vectors)
        self.rows = max((len(column) for column in vectors.values()), default=0)
        self.id, self.capacity, self.bytes_on_disk = f"{start:032x}", self.rows, 7
        self._distances, self._indexed = distances, indexed
        self._dense = {name: _columns(column) for name, column in vectors.items()}
        self.calls = 0

    def vectors(self, name: str) -> VectorsView:
        matrix, present = self._dense[name]
        schema = VectorSchema(name, matrix.shape[1], self._distances[name])
        graph: Any = SimpleNamespace(params=GraphParams()) if self._indexed else None
        return VectorsView(schema, matrix, present, graph)

    def built(self, name: str) -> GraphParams | SparseParams | None:
        return self.vectors(name).built

    def plain_search(self, *_: Any, **__: Any) -> None:
        return None

    def search(
        self,
        name: str,
        queries: np.ndarray,
        k: int,
        *,
        allowed: np.ndarray | None = None,
        allowed_count: int | None = None,
        ef: int | None = None,
        exact: bool = False,
        quantization: QuantizationSearchParams | None = None,
        hints: Hints = NO_HINTS,
    ) -> tuple[np.ndarray, np.ndarray]:
        self.calls += 1
        matrix, present = self._dense[name]
        rows = np.arange(self.rows) if hints.rows is None else hints.rows
        for packed in (allowed, present):
            if packed is not None:
                rows = rows[bits.contains(packed, rows)]
        scores = _similarities(self._distances[name], queries, matrix[rows])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return rows[order] + self.start, np.take_along_axis(scores, order, axis=1)


def _columns(column: list[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray | None]:
    dim = next((len(row) for row in column if row is not None), 1)
    matrix = np.zeros((len(column), dim), dtype=np.float32)
    for i, row in enumerate(column):
        if row is not None:
            matrix[i] = row
    present = np.array([row is not None for row in column])
    return matrix, None if present.all() else np.packbits(present, bitorder="little")


def _similarities(distance: Distance, queries: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    if distance is Distance.EUCLID:
        return -np.square(queries[:, None] - matrix[None]).sum(axis=2)
    if distance is Distance.MANHATTAN:
        return -np.abs(queries[:, None] - matrix[None]).sum(axis=2)
    return queries @ matrix.T


@dataclass(eq=False)
class FakeView:
    points: FakePoints
    live: np.ndarray
    segments: tuple[FakeSegment, ...]
    columns: Any
    config: CollectionConfig
    seq: int = 0


@dataclass
class Shard:
    """Points go in one by one; ``view()`` lays them out in segments of ``segment_rows`` slots."""

    vectors: dict[str, tuple[int, Distance]] = field(default_factory=lambda: {"": (2, Distance.DOT)})
    indexes: dict[str, str] = field(default_factory=dict)
    segment_rows: int = 64
    indexed: bool = False
    indexing_threshold: int | None = None
    rows: list[tuple[PointId, dict[str, Any], dict[str, np.ndarray]] | None] = field(default_factory=list)

    def put(self, point_id: PointId, vector: Any = None, payload: dict[str, Any] | None = None) -> None:
        named = vector if isinstance(vector, dict) else {} if vector is None else {"": vector}
        arrays = {name: np.array(row, dtype=np.float32) for name, row in named.items()}
        self.rows.append((point_id, payload or {}, arrays))

    def remove(self, point_id: PointId) -> None:
        for slot, row in enumerate(self.rows):
            if row is not None and row[0] == point_id:
                self.rows[slot] = None

    def view(self) -> FakeView:
        records = {
            slot: StoredRecord(slot + 100, id_key(row[0]), json.dumps(row[1]).encode())
            for slot, row in enumerate(self.rows)
            if row is not None
        }
        size = (len(self.rows) + 63) // 64 * 8
        live = bits.pack(np.array(sorted(records), dtype=np.int64), size)
        return FakeView(FakePoints(records), live, tuple(self._segments()), self._columns(), self._config())

    def _segments(self) -> Iterator[FakeSegment]:
        distances = {name: distance for name, (_, distance) in self.vectors.items()}
        for start in range(0, len(self.rows), self.segment_rows):
            rows = self.rows[start : start + self.segment_rows]
            vectors = {name: [row[2].get(name) if row else None for row in rows] for name in self.vectors}
            yield FakeSegment(start, vectors, distances, indexed=self.indexed)

    def _columns(self) -> Any:
        columns = Columns()
        for key, kind in self.indexes.items():
            params = default_index_params(PayloadSchemaType(kind))
            scan = ((slot, row[1]) for slot, row in enumerate(self.rows) if row is not None)
            columns.install(columns.built(key, params, scan))
        return columns.view()

    def _config(self) -> CollectionConfig:
        params = {
            name: VectorParams(size=dim, distance=distance) for name, (dim, distance) in self.vectors.items()
        }
        return CollectionConfig(
            params=CollectionParams(vectors=params),
            optimizer_config=OptimizersConfig(indexing_threshold=self.indexing_threshold),
        )


@pytest.fixture
def shard() -> Callable[..., Shard]:
    return Shard
