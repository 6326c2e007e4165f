"""Qdrant's own engine, embedded (``qdrant-edge-py``, a development dependency)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import qdrant_edge as edge

from vecraft.bench.engines.port import (
    INGEST_BATCH,
    Answers,
    Effort,
    Quantization,
    Settings,
    Spent,
    padded,
)
from vecraft.bench.sets import VectorSet

# Qdrant's defaults, which the binding wants spelt out.
_M, _EF_CONSTRUCT, _FULL_SCAN_KB = 16, 100, 10_000

_QUANTIZATION: dict[Quantization, Any] = {
    "none": None,
    "scalar": edge.ScalarQuantizationConfig(edge.ScalarType.Int8),
    "product": edge.ProductQuantizationConfig(edge.CompressionRatio.X8),
    "binary": edge.BinaryQuantizationConfig(),
    "turbo": edge.TurboQuantQuantizationConfig(),
}


class Edge:
    """Implements ``port.Engine``."""

    def __init__(self, folder: Path, settings: Settings, vectors: VectorSet) -> None:
        self._folder, self._settings, self._vectors = folder, settings, vectors
        self._shard: edge.EdgeShard | None = None

    def ingest(self) -> Spent:
        self._folder.mkdir(parents=True)
        self._shard = edge.EdgeShard.create(str(self._folder), self._config(self._settings.threads))
        base, payloads = self._vectors.base(), self._vectors.payloads()
        spent = Spent()
        for at in range(0, len(base), INGEST_BATCH):
            given = [orjson.loads(each) for each in payloads[at : at + INGEST_BATCH]] if payloads else None
            points = [
                edge.Point(at + i, row.tolist(), given[i] if given else None)
                for i, row in enumerate(base[at : at + INGEST_BATCH])
            ]
            operation = edge.UpdateOperation.upsert_points(points)
            with spent.measure():
                self._shard.update(operation)
        with spent.measure():
            self._shard.flush()
        return spent

    def index(self) -> Spent:
        spent = Spent()
        with spent.measure():
            self._open_shard.optimize()
        return spent

    def serve(self, threads: int) -> None:
        self.close()
        self._shard = edge.EdgeShard.load(str(self._folder), self._config(threads))

    def singles(self, effort: Effort) -> Answers:
        shard, found, seconds = self._open_shard, [], []
        for request in self._requests(effort):
            started = time.perf_counter()
            found.append(shard.query(request))
            seconds.append(time.perf_counter() - started)
        return self._answers(found, effort, seconds)

    def batches(self, effort: Effort, size: int) -> Answers:
        requests = self._requests(effort)
        shard, found, seconds = self._open_shard, [], []
        for at in range(0, len(requests), size):
            batch = edge.QueryBatchRequest(requests[at : at + size])
            started = time.perf_counter()
            found += shard.query_batch(batch)
            seconds.append(time.perf_counter() - started)
        return self._answers(found, effort, seconds)

    def facts(self) -> dict[str, int]:
        info = self._open_shard.info()
        return {"segments": info.segments_count, "vectors in graphs": info.indexed_vectors_count}

    def close(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None

    @property
    def _open_shard(self) -> edge.EdgeShard:
        assert self._shard is not None
        return self._shard

    def _config(self, threads: int) -> edge.EdgeConfig:
        size = self._vectors.base().shape[1]
        return edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(size=size, distance=edge.Distance.Cosine),
            hnsw_config=edge.HnswIndexConfig(
                _M, _EF_CONSTRUCT, _FULL_SCAN_KB, max_indexing_threads=self._settings.threads
            ),
            quantization_config=_QUANTIZATION[self._settings.quantization],
            max_search_threads=threads,
        )

    def _requests(self, effort: Effort) -> list[edge.QueryRequest]:
        codes = None
        if effort.oversampling is not None:
            codes = edge.QuantizationSearchParams(rescore=True, oversampling=effort.oversampling)
        params = edge.SearchParams(hnsw_ef=effort.ef, quantization=codes)
        return [
            edge.QueryRequest(query=edge.Query.Nearest(query.tolist()), limit=effort.k, params=params)
            for query in self._vectors.queries()
        ]

    def _answers(self, found: list[list[edge.ScoredPoint]], effort: Effort, seconds: list[float]) -> Answers:
        ids = [[int(str(point.id)) for point in points] for points in found]
        return Answers(padded(ids, effort.k), np.array(seconds))
