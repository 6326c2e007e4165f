"""What builds may take of memory, and where the files of segments lie in it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from node.optimizer import runner
from node.optimizer.budget import BuildMemory
from node.segments import BuildTooLarge, SealedSegment
from node.segments.building.jobs import AnyJob, BuildResult
from protos.collections import Distance, HnswConfig, Memory, VectorParams
from protos.shard import ShardStatus
from tests.node.optimizer.replicas import (
    DIM,
    ONE_KB,
    ROWS,
    answers,
    random_points,
    seal,
    until,
    until_green,
    wide,
)
from tests.node.replica.conftest import Shards
from tests.node.replica.points import config_of, write


@pytest.mark.slow
async def test_a_build_that_does_not_fit_is_split(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    build, joined = runner.run_build, []

    async def fits_alone(job: AnyJob) -> BuildResult:
        sources = [job.source] if hasattr(job, "source") else job.sources
        joined.append(len(sources))
        if len(sources) > 1:
            raise BuildTooLarge(2000, 1000)
        return await build(msgspec.structs.replace(job, memory_bytes=None))

    monkeypatch.setattr(runner, "run_build", fits_alone)
    memory = BuildMemory(1, limit=1000, available=lambda: None)
    shards.machinery = msgspec.structs.replace(shards.machinery, memory=memory)
    replica = await shards.open(wide())
    for first in range(0, 4 * 128, 128):
        await write(replica, random_points(first, 128))
        await seal(replica)
    before = await answers(replica)
    await replica.update_config(wide(**ONE_KB, default_segment_number=8))
    info = await until(replica, lambda info: info.indexed_vectors == 4 * 128)
    assert (await until_green(replica)).optimizer_error is None
    assert info.segments == 4
    assert joined[0] == 4
    assert joined.count(1) == 4
    assert "1000" in (info.optimizations[-1].cancelled or "")
    assert await answers(replica) == before


@pytest.mark.slow
async def test_a_segment_too_large_by_itself_waits_and_says_so(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RETRY_MIN_S", 0.01)
    free = 1
    memory = BuildMemory(1, available=lambda: free)
    shards.machinery = msgspec.structs.replace(shards.machinery, memory=memory)
    replica = await shards.open(wide(**ONE_KB))
    await write(replica, random_points(0, ROWS))
    info = await until(replica, lambda info: info.status is ShardStatus.RED)
    assert info.optimizer_error is not None
    assert info.optimizer_error.startswith("Index waits for memory: the build needs ")
    free = 1 << 40
    info = await until_green(replica)
    assert (info.indexed_vectors, info.optimizer_error) == (ROWS, None)


@pytest.mark.slow
@pytest.mark.parametrize("ceiling", [Memory.CACHED, Memory.COLD])
async def test_no_file_is_kept_in_memory_beyond_the_ceiling(shards: Shards, ceiling: Memory) -> None:
    shards.machinery = msgspec.structs.replace(shards.machinery, ceiling=ceiling)
    vectors = {"": VectorParams(DIM, Distance.COSINE)}
    replica = await shards.open(config_of(vectors, HnswConfig(memory=Memory.PINNED), **ONE_KB))
    await write(replica, random_points(0, ROWS))
    await until_green(replica)
    (segment,) = replica.contents.applier.segments.sealed.values()
    async with asyncio.timeout(60):
        while not segment.placed:  # noqa: ASYNC110 - it says nothing by itself
            await asyncio.sleep(0.02)
    assert {placed.memory for placed in segment.placed.values()} == {ceiling}


@pytest.mark.slow
async def test_placement_is_changed_without_a_rebuild(shards: Shards) -> None:
    replica = await shards.open(wide(**ONE_KB))
    await write(replica, random_points(0, ROWS))
    await until_green(replica)
    (segment,) = replica.view.segments
    assert isinstance(segment, SealedSegment)
    cold = VectorParams(DIM, Distance.COSINE, on_disk=True)
    await replica.update_config(config_of({"": cold}, **ONE_KB))
    async with asyncio.timeout(60):
        while segment.memory_usage()["", "storage"].expected_cache_bytes:  # noqa: ASYNC110 - it says nothing by itself
            await asyncio.sleep(0.02)
    await until_green(replica)
    assert [segment.id] == [one.id for one in replica.view.segments]
    assert segment.memory_usage()["", "index"].expected_cache_bytes > 0
