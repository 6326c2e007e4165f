"""Sparse searches in process, one at a time on one thread, beside Qdrant's engine; ours are exact, and so
are its."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from msgspec import Struct

from consensus.state import ClusterState, CollectionState, ReplicaState, ShardGroup, ShardState
from node import query
from node.local import LocalNode
from node.replica.replica import ShardReplica
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    OptimizersConfig,
    PayloadSchema,
    PayloadSchemaType,
    SparseVectorParams,
)
from protos.filters import FieldCondition, Filter, Range
from protos.operations import Upsert
from protos.rewriting import batch_of
from protos.shard import SearchRequest, ShardStatus, SparseVector, UpdateRequest
from vecraft.bench.report import Bar, Measurement, Report
from vecraft.bench.sparse_sets import SparseSet, generate

K = 10
RATIO_MAX = 1.0  # of our median to Qdrant's
_NAME, _FIELD, _BATCH, _ROUNDS, _POLL_S = "words", "part", 1000, 3, 0.05
_SHARES = (100, 10, 1)  # percent of the points that pass the filter; 100: no filter

Scores = list[float]


class SparsePlan(Struct, frozen=True):
    """``row_words`` and ``query_words`` are drawn with repeats: vectors have somewhat fewer."""

    folder: Path
    rows: int = 100_000
    row_words: int = 120
    query_words: int = 30
    queries: int = 200
    seed: int = 0


class Engine(Struct, frozen=True):
    """``request``: the best of so many per cent of the points; ``answer`` is what is measured."""

    name: str
    build_s: float
    request: Callable[[SparseVector, int], Any]
    answer: Callable[[Any], Any]
    scores: Callable[[Any], Scores]
    close: Callable[[], None]


def measure(plan: SparsePlan) -> Report:
    vectors = generate(
        plan.rows, plan.queries, row_words=plan.row_words, query_words=plan.query_words, seed=plan.seed
    )
    engines = [_ours(plan.folder / "vecraft", vectors), _edge(plan.folder / "edge", vectors)]
    lines = [Measurement(f"index built, {engine.name}", engine.build_s, "s") for engine in engines]
    for share in _SHARES:
        lines += _compared(engines, vectors, share)
    for engine in engines:
        engine.close()
    elements = sum(len(row.indices) for row in vectors.rows) / plan.rows
    asked = sum(len(one.indices) for one in vectors.queries) / plan.queries
    facts = {"points": plan.rows, "indices of a point": elements, "of a query": asked, "seed": plan.seed}
    return Report("sparse vectors", facts, lines)


def _compared(engines: list[Engine], vectors: SparseSet, share: int) -> list[Measurement]:
    """Medians of the best of several rounds, in which the engines take turns."""
    seconds: dict[str, list[float]] = {engine.name: [] for engine in engines}
    answers: dict[str, list[Scores]] = {}
    for _ in range(_ROUNDS):
        for engine in engines:
            spent, answers[engine.name] = _asked(engine, vectors, share)
            seconds[engine.name].append(spent)
    ours, theirs = (min(seconds[engine.name]) * 1e6 for engine in engines)
    same = np.mean(
        [
            len(mine) == len(other) and np.allclose(mine, other, rtol=1e-4)
            for mine, other in zip(*(answers[engine.name] for engine in engines), strict=True)
        ]
    )
    what = "all points" if share == 100 else f"{share} % of the points"
    return [
        Measurement(f"{what}: median, vecraft", ours, "µs"),
        Measurement(f"{what}: median, qdrant-edge", theirs, "µs"),
        Measurement(f"{what}: ratio", ours / theirs, "", Bar("most", RATIO_MAX)),
        Measurement(f"{what}: queries with equal scores", float(same), "", Bar("least", 1.0)),
    ]


def _asked(engine: Engine, vectors: SparseSet, share: int) -> tuple[float, list[Scores]]:
    seconds, found = [], []
    for one in vectors.queries:
        request = engine.request(one, share)
        started = time.perf_counter()
        answer = engine.answer(request)
        seconds.append(time.perf_counter() - started)
        found.append(engine.scores(answer))
    return float(np.median(seconds)), found


# --- ours ----------------------------------------------------------------------------------------------


def _ours(folder: Path, vectors: SparseSet) -> Engine:
    runner = asyncio.Runner()

    async def opened() -> LocalNode:
        node = LocalNode(folder, search_threads=1)
        await node.reconcile(ClusterState(collections={"bench": _collection(0)}))
        await _ingest(node, vectors)
        return node

    node = runner.run(opened())
    started = time.perf_counter()
    runner.run(_build(node))
    build_s = time.perf_counter() - started
    replica = node.held("bench", 0)
    assert isinstance(replica, ShardReplica)
    view = replica.view

    def request(vector: SparseVector, share: int) -> list[SearchRequest]:
        wanted = Filter(must=(FieldCondition(_FIELD, (Range(lt=share),)),)) if share < 100 else None
        return [SearchRequest(_NAME, vector, K, wanted)]

    def close() -> None:
        runner.run(node.close())
        runner.close()

    return Engine(
        "vecraft",
        build_s,
        request,
        lambda asked: query.search(view, asked),
        lambda found: list(found[0].scores.tolist()),
        close,
    )


def _collection(threshold_kb: int) -> CollectionState:
    return CollectionState(
        name="bench",
        uuid="bench",
        config=CollectionConfig(
            CollectionParams({}, sparse_vectors={_NAME: SparseVectorParams()}),
            optimizer_config=OptimizersConfig(indexing_threshold=threshold_kb, default_segment_number=1),
        ),
        config_version=1 if threshold_kb == 0 else 2,
        shards={0: ShardState(0, {1: ReplicaState.ACTIVE}, primary=1)},
        groups=(ShardGroup((0,), b""),),
        payload_schema={_FIELD: PayloadSchema(PayloadSchemaType.INTEGER)},
    )


async def _ingest(node: LocalNode, vectors: SparseSet) -> None:
    shard = node.shard("bench", 0)
    for at in range(0, len(vectors.rows), _BATCH):
        rows = vectors.rows[at : at + _BATCH]
        payloads = [orjson.dumps({_FIELD: part}) for part in vectors.parts[at : at + _BATCH].tolist()]
        change = Upsert(list(range(at, at + len(rows))), (batch_of(_NAME, rows, b""),), payloads)
        await shard.update(UpdateRequest(change, wait=True))


async def _build(node: LocalNode) -> None:
    await node.reconcile(ClusterState(collections={"bench": _collection(1)}))
    shard = node.shard("bench", 0)
    while True:
        info = await shard.info()
        if info.status is ShardStatus.GREEN and info.indexed_vectors:
            return
        await asyncio.sleep(_POLL_S)


# --- Qdrant's engine -----------------------------------------------------------------------------------


def _edge(folder: Path, vectors: SparseSet) -> Engine:
    import qdrant_edge as edge  # a development dependency

    folder.mkdir()
    config = edge.EdgeConfig(
        vectors={},
        sparse_vectors={_NAME: edge.EdgeSparseVectorParams()},
        optimizers=edge.EdgeOptimizersConfig(default_segment_number=1, max_segment_size=10**9),
        max_search_threads=1,
    )
    shard = edge.EdgeShard.create(str(folder), config)
    shard.update(edge.UpdateOperation.create_field_index(_FIELD, edge.IntegerIndexParams()))
    for at in range(0, len(vectors.rows), _BATCH):
        rows, parts = vectors.rows[at : at + _BATCH], vectors.parts[at : at + _BATCH].tolist()
        points = [
            edge.Point(
                at + i, {_NAME: edge.SparseVector(row.indices.tolist(), row.values.tolist())}, {_FIELD: part}
            )
            for i, (row, part) in enumerate(zip(rows, parts, strict=True))
        ]
        shard.update(edge.UpdateOperation.upsert_points(points))
    started = time.perf_counter()
    shard.optimize()
    build_s = time.perf_counter() - started

    def request(vector: SparseVector, share: int) -> Any:
        wanted = None
        if share < 100:
            wanted = edge.Filter(must=[edge.FieldCondition(_FIELD, range=edge.RangeFloat(lt=share))])
        asked = edge.SparseVector(vector.indices.tolist(), vector.values.tolist())
        return edge.QueryRequest(query=edge.Query.Nearest(asked, using=_NAME), limit=K, filter=wanted)

    def scores(found: Any) -> Scores:
        return [hit.score for hit in found]

    return Engine("qdrant-edge", build_s, request, shard.query, scores, shard.close)
