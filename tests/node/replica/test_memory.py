"""What a replica says its data takes, beside what the files and the process say."""

from __future__ import annotations

import gc
import json
import mmap
import tracemalloc

import numpy as np
import pytest

from node.replica.replica import ShardReplica
from protos.collections import Distance, KeywordIndexParams, Memory, VectorParams, encode_index_params
from protos.memory import Usage
from protos.operations import CreateIndex, Upsert
from protos.shard import SearchParams, ShardStatus
from tests.node.optimizer.replicas import until_green
from tests.node.replica.conftest import Shards
from tests.node.replica.points import batch, config_of, nearest, write

DIM, ROWS = 64, 4000
PAGE = mmap.PAGESIZE


def points(payload: str = "x" * 100) -> Upsert:
    matrix = np.random.default_rng(0).normal(size=(ROWS, DIM))
    payloads = [json.dumps({"k": f"v{i}", "text": payload}).encode() for i in range(ROWS)]
    return Upsert(list(range(ROWS)), (batch(matrix),), payloads)


async def filled(shards: Shards, **optimizers: object) -> ShardReplica:
    vectors = {"": VectorParams(DIM, Distance.COSINE, memory=Memory.CACHED)}
    replica = await shards.open(config_of(vectors, **optimizers))
    await replica.apply_config(CreateIndex("k", encode_index_params(KeywordIndexParams())))
    await write(replica, points())
    return replica


async def test_rows_that_were_just_written_are_in_the_page_cache(shards: Shards) -> None:
    replica = await filled(shards)
    found = await replica.memory()
    storage = found.vectors[""].storage
    size = ROWS * DIM * 4
    assert size <= storage.disk_bytes
    assert size <= storage.cached_bytes <= storage.disk_bytes
    assert found.vectors[""].index == Usage()
    assert found.total.disk_bytes == sum(
        each.disk_bytes for each in (storage, found.payload, found.id_tracker, found.payload_index["k"])
    )


async def test_what_waits_for_a_checkpoint_is_in_ram_and_then_in_files(shards: Shards) -> None:
    replica = await filled(shards)
    before = await replica.memory()
    assert before.payload.ram_bytes >= ROWS * 100
    await replica.checkpoint()
    after = await replica.memory()
    assert after.payload.ram_bytes < ROWS
    assert after.payload.disk_bytes >= ROWS * 100
    assert after.id_tracker.disk_bytes >= ROWS * 9
    assert after.id_tracker.ram_bytes >= ROWS * 32
    file = (shards.directory / "points.mdb").stat()
    assert after.payload.disk_bytes + after.id_tracker.disk_bytes <= file.st_size
    assert after.payload.cached_bytes + after.id_tracker.cached_bytes <= file.st_size


@pytest.mark.slow
async def test_a_graph_is_counted_apart_from_the_vectors(shards: Shards) -> None:
    replica = await filled(shards, indexing_threshold=1, max_optimization_threads=1)
    info = await until_green(replica)
    assert info.status is ShardStatus.GREEN
    await nearest(replica, [1.0] * DIM, 10, params=SearchParams(exact=True))  # touches every row
    found = (await replica.memory()).vectors[""]
    (segment,) = replica.view.segments
    size = sum((segment.directory / name).stat().st_size for name in ("graph.0.faiss",))
    assert found.index.disk_bytes == size
    assert found.storage.disk_bytes == ROWS * DIM * 4
    assert found.storage.cached_bytes == found.storage.disk_bytes


async def test_what_a_payload_index_says_is_near_what_python_allocates_for_it(shards: Shards) -> None:
    replica = await shards.open(config_of({"": VectorParams(DIM, Distance.COSINE)}))
    await write(replica, points())
    gc.collect()
    tracemalloc.start()
    try:
        await replica.apply_config(CreateIndex("k", encode_index_params(KeywordIndexParams())))
        gc.collect()
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    told = (await replica.memory()).payload_index["k"].ram_bytes
    assert 0.25 * allocated < told < 4 * allocated
