"""The optimizer on real replicas: rebuilt segments answer as the old ones did."""

from __future__ import annotations

import asyncio

import msgspec
import numpy as np
import pytest

from node.index import GraphParams, quantization_of
from node.optimizer import runner
from protos.collections import (
    BinaryQuantizationConfig,
    Distance,
    HnswConfig,
    KeywordIndexParams,
    QuantizationConfig,
    VectorParams,
    encode_index_params,
)
from protos.operations import CreateIndex, DeletePoints, RemoveVectorName, SetPayload, Upsert
from protos.shard import ShardStatus
from tests.node.optimizer.replicas import DIM, ONE_KB, ROWS, answers, random_points, until_green, wide
from tests.node.replica.conftest import Shards
from tests.node.replica.points import batch, config_of, contents, having, nearest, write


@pytest.mark.slow
async def test_a_collection_above_the_threshold_gets_a_graph_and_keeps_its_answers(shards: Shards) -> None:
    replica = await shards.open(wide())
    await write(replica, random_points(0, ROWS))
    before, stored = await answers(replica), await contents(replica)
    await replica.update_config(wide(**ONE_KB))
    assert (await replica.info()).status is ShardStatus.YELLOW
    info = await until_green(replica)
    assert (info.indexed_vectors, info.segments) == (ROWS, 1)
    (done,) = info.optimizations
    assert (done.optimizer, done.error, done.id) == ("indexing", None, info.segment_infos[0].id)
    assert done.ended_ms is not None
    assert [part.points for part in done.segments] == [ROWS]
    assert await answers(replica) == before
    await replica.checkpoint()
    shards.crash()
    reopened = await shards.open(wide(**ONE_KB))
    assert (await reopened.info()).indexed_vectors == ROWS
    assert await answers(reopened) == before
    assert await contents(reopened) == stored


@pytest.mark.slow
async def test_writes_during_a_build_are_not_lost(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = await shards.open(wide(**ONE_KB))
    await replica.apply_config(CreateIndex("part", encode_index_params(KeywordIndexParams())))
    build, started, go_on = runner.run_build, asyncio.Event(), asyncio.Event()

    async def held(job: object) -> object:
        started.set()
        await go_on.wait()
        return await build(job)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "run_build", held)
    await write(replica, random_points(0, ROWS))
    await started.wait()
    (running,) = (await replica.info()).optimizations
    assert running.ended_ms is None
    await write(replica, DeletePoints(ids=list(range(50))))
    await write(replica, random_points(50, 50, seed=99))
    await write(replica, SetPayload(b'{"part":7}', ids=[100]))
    stored = await contents(replica)
    go_on.set()
    await until_green(replica)
    assert await contents(replica) == stored
    assert await nearest(replica, stored[60][1][""], 1) == [60]
    assert await replica.count(having("part", 7), exact=True) == 1


@pytest.mark.slow
async def test_changed_graph_parameters_rebuild_the_graph(shards: Shards) -> None:
    replica = await shards.open(wide(**ONE_KB))
    await write(replica, random_points(0, ROWS))
    await until_green(replica)
    changed = config_of({"": VectorParams(DIM, Distance.COSINE)}, hnsw=HnswConfig(m=8), **ONE_KB)
    await replica.update_config(changed)
    await until_green(replica)
    graph = replica.view.segments[0].graph("")
    assert graph is not None
    assert graph.params == GraphParams(8, 100)


@pytest.mark.slow
async def test_a_removed_vector_name_stays_away_when_segments_are_rebuilt(shards: Shards) -> None:
    both = {name: VectorParams(DIM, Distance.DOT) for name in "ab"}
    replica = await shards.open(config_of(both))
    matrix = np.random.default_rng(3).normal(size=(ROWS, DIM))
    change = Upsert(list(range(ROWS)), (batch(matrix, "a"), batch(matrix, "b")), [b"{}"] * ROWS)
    await write(replica, change)
    await replica.apply_config(RemoveVectorName("b"))
    await replica.update_config(config_of({"a": both["a"]}, **ONE_KB))
    info = await until_green(replica)
    assert info.indexed_vectors == ROWS
    assert all(segment.names == ("a",) for segment in replica.view.segments)


@pytest.mark.slow
async def test_a_damaged_graph_is_built_anew(shards: Shards) -> None:
    replica = await shards.open(wide(**ONE_KB))
    await write(replica, random_points(0, ROWS))
    await until_green(replica)
    before = await answers(replica)
    await replica.checkpoint()
    shards.crash()
    next((shards.directory / "segments").glob("*/graph.*.faiss")).write_bytes(b"")
    reopened = await shards.open(wide(**ONE_KB))
    assert (await reopened.info()).status is ShardStatus.GREY
    assert await answers(reopened) == before
    reopened.touch()
    info = await until_green(reopened)
    assert info.indexed_vectors == ROWS


@pytest.mark.slow
async def test_quantization_is_changed_and_graphs_are_dropped_on_a_live_collection(shards: Shards) -> None:
    replica = await shards.open(wide(**ONE_KB))
    await write(replica, random_points(0, ROWS))
    await until_green(replica)
    before = await answers(replica)
    binary = QuantizationConfig(binary=BinaryQuantizationConfig())
    quantized = msgspec.structs.replace(wide(**ONE_KB), quantization_config=binary)
    await replica.update_config(quantized)
    await until_green(replica)
    graph = replica.view.segments[0].graph("")
    assert graph is not None
    assert graph.params == GraphParams(16, 100, quantization_of(binary))
    assert await answers(replica) == before  # all candidates are scored again
    await replica.update_config(wide(**ONE_KB))
    await until_green(replica)
    graph = replica.view.segments[0].graph("")
    assert graph is not None
    assert graph.params == GraphParams(16, 100)
    no_graph = config_of({"": VectorParams(DIM, Distance.COSINE)}, hnsw=HnswConfig(m=0), **ONE_KB)
    await replica.update_config(no_graph)
    await until_green(replica)
    assert replica.view.segments[0].graph("") is None
    assert await answers(replica) == before
