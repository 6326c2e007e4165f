"""Our shard engine, embedded: one shard of a node, without REST and without a router."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import numpy as np
import uvloop

from consensus.state import ClusterState, CollectionState, ReplicaState, ShardGroup, ShardState
from node.local import LocalNode
from protos.collections import (
    BinaryQuantizationConfig,
    CollectionConfig,
    CollectionParams,
    Distance,
    HnswConfig,
    OptimizersConfig,
    ProductQuantizationConfig,
    QuantizationConfig,
    ScalarQuantizationConfig,
    TurboQuantizationConfig,
    VectorParams,
)
from protos.logger import structlog
from protos.operations import Upsert, VectorBatch
from protos.shard import (
    Hits,
    QuantizationSearchParams,
    SearchParams,
    SearchRequest,
    ShardInfo,
    ShardStatus,
    UpdateRequest,
)
from protos.shard_client import ShardClient
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

_COLLECTION = "bench"
_POLL_S = 0.05

_QUANTIZATION: dict[Quantization, QuantizationConfig | None] = {
    "none": None,
    "scalar": QuantizationConfig(scalar=ScalarQuantizationConfig("int8")),
    "product": QuantizationConfig(product=ProductQuantizationConfig("x8")),
    "binary": QuantizationConfig(binary=BinaryQuantizationConfig()),
    "turbo": QuantizationConfig(turbo=TurboQuantizationConfig()),
}


class Vecraft:
    """Implements ``port.Engine``. Owns the event loop that the node lives in."""

    def __init__(self, folder: Path, settings: Settings, vectors: VectorSet) -> None:
        self._folder, self._settings, self._vectors = folder, settings, vectors
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._node: LocalNode | None = None

    def ingest(self) -> Spent:
        self._open(self._settings.threads, deferred=not self._settings.live)
        spent = Spent()
        with spent.measure():
            self._runner.run(self._ingest())
        return spent

    def index(self) -> Spent:
        spent = Spent()
        with spent.measure():
            self._runner.run(self._until_green())
        return spent

    def serve(self, threads: int) -> None:
        self._close_node()
        self._open(threads)

    def singles(self, effort: Effort) -> Answers:
        return self._runner.run(self._search(effort, 1))

    def batches(self, effort: Effort, size: int) -> Answers:
        return self._runner.run(self._search(effort, size))

    def facts(self) -> dict[str, int]:
        info = self._runner.run(self._info())
        return {"segments": info.segments, "vectors in graphs": info.indexed_vectors}

    def close(self) -> None:
        self._close_node()
        self._runner.close()

    @property
    def _shard(self) -> ShardClient:
        assert self._node is not None
        return self._node.shard(_COLLECTION, 0)

    def _open(self, threads: int, *, deferred: bool = False) -> None:
        async def opened() -> LocalNode:
            node = LocalNode(self._folder, search_threads=threads)
            await node.reconcile(self._state(deferred=deferred))
            return node

        self._node = self._runner.run(opened())

    def _close_node(self) -> None:
        if self._node is not None:
            self._runner.run(self._node.close())
            self._node = None

    def _state(self, *, deferred: bool) -> ClusterState:
        return ClusterState(collections={_COLLECTION: self._collection(deferred=deferred)})

    def _collection(self, *, deferred: bool) -> CollectionState:
        """``deferred``: nothing is built yet, as its first version says."""
        return CollectionState(
            name=_COLLECTION,
            uuid=_COLLECTION,
            config=CollectionConfig(
                CollectionParams({"": VectorParams(self._vectors.base().shape[1], Distance.COSINE)}),
                hnsw_config=HnswConfig(max_indexing_threads=self._settings.threads),
                optimizer_config=OptimizersConfig(indexing_threshold=0) if deferred else OptimizersConfig(),
                quantization_config=_QUANTIZATION[self._settings.quantization],
            ),
            config_version=1 if deferred else 2,
            shards={0: ShardState(0, {1: ReplicaState.ACTIVE}, primary=1)},
            groups=(ShardGroup((0,), b""),),
        )

    async def _ingest(self) -> None:
        base, payloads = self._vectors.base(), self._vectors.payloads()
        for at in range(0, len(base), INGEST_BATCH):
            rows = base[at : at + INGEST_BATCH]
            change = Upsert(
                list(range(at, at + len(rows))),
                (VectorBatch("", rows.shape[1], rows.tobytes()),),
                payloads[at : at + INGEST_BATCH] if payloads else [b"{}"] * len(rows),
            )
            await self._shard.update(UpdateRequest(change, wait=True))

    async def _until_green(self) -> None:
        assert self._node is not None
        await self._node.reconcile(self._state(deferred=False))
        # A shard tells its state only when asked.
        while (await self._shard.info()).status is not ShardStatus.GREEN:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)

    async def _info(self) -> ShardInfo:
        return await self._shard.info()

    async def _search(self, effort: Effort, size: int) -> Answers:
        codes = None
        if effort.oversampling is not None:
            codes = QuantizationSearchParams(rescore=True, oversampling=effort.oversampling)
        params = SearchParams(hnsw_ef=effort.ef, quantization=codes)
        requests = [SearchRequest("", query, effort.k, params=params) for query in self._vectors.queries()]
        shard, found, seconds = self._shard, list[Hits](), []
        for at in range(0, len(requests), size):
            batch = requests[at : at + size]
            started = time.perf_counter()
            found += await shard.search(batch)
            seconds.append(time.perf_counter() - started)
        ids = [[int(record.id) for record in hits.records] for hits in found]
        return Answers(padded(ids, effort.k), np.array(seconds))
