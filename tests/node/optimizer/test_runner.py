"""The optimizer on real replicas: rebuilt segments answer as the old ones did."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from node.filter.columns import Columns
from node.index import GraphParams, SparseParams, quantization_of
from node.optimizer import runner
from node.optimizer.budget import BuildMemory
from node.optimizer.quiet import PATIENCE_MS, QUIET_MS
from node.optimizer.stats import wanted_values
from node.optimizer.tail import EARNED_RATIO
from node.replica.replica import ShardReplica
from node.segments import BuildFailed, BuildTooLarge, SealedSegment
from node.segments.jobs import AnyJob, BuildResult
from protos.clock import SystemClock
from protos.collections import (
    BinaryQuantizationConfig,
    CollectionConfig,
    CollectionParams,
    Datatype,
    Distance,
    HnswConfig,
    IntegerIndexParams,
    KeywordIndexParams,
    Memory,
    OptimizersConfig,
    QuantizationConfig,
    SparseIndexParams,
    SparseVectorParams,
    VectorParams,
    encode_index_params,
)
from protos.operations import CreateIndex, DeletePoints, RemoveVectorName, SetPayload, Upsert
from protos.shard import SearchParams, SearchRequest, ShardInfo, ShardStatus, Way
from tests.node.replica.conftest import Shards
from tests.node.replica.kinds import batches, words
from tests.node.replica.points import batch, config_of, contents, having, nearest, upsert, write


class ManualClock(SystemClock):
    """Time passes when the test says so."""

    now_ms = 0

    def monotonic_ms(self) -> int:
        return self.now_ms


DIM = 32
ROWS = 500
ONE_KB = {"indexing_threshold": 1, "max_optimization_threads": 1}


def wide(**optimizers: object) -> CollectionConfig:
    return config_of({"": VectorParams(DIM, Distance.COSINE)}, **optimizers)


def random_points(first: int, count: int, seed: int = 1) -> Upsert:
    matrix = np.random.default_rng(seed + first).normal(size=(count, DIM))
    payloads = [b'{"part":%d}' % (i % 3) for i in range(count)]
    return Upsert(list(range(first, first + count)), (batch(matrix),), payloads)


async def until(replica: ShardReplica, condition: Callable[[ShardInfo], bool]) -> ShardInfo:
    """Wait for a state that the optimizer reaches by itself."""
    async with asyncio.timeout(60):
        while not condition(info := await replica.info()):  # noqa: ASYNC110 - it says nothing by itself
            await asyncio.sleep(0.02)
    return info


async def until_green(replica: ShardReplica) -> ShardInfo:
    return await until(replica, lambda info: info.status is ShardStatus.GREEN)


async def answers(replica: ShardReplica) -> list[list[object]]:
    queries = np.random.default_rng(7).normal(size=(10, DIM))
    found: list[list[object]] = [await nearest(replica, query.tolist(), 10) for query in queries]
    return [*found, list(await nearest(replica, queries[0].tolist(), 10, filter=having("part", 1)))]


async def seal(replica: ShardReplica) -> None:
    await replica.on_writer(replica.contents.applier.segments.seal_all)
    await replica.on_writer(replica.contents.publish)


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
async def test_a_segment_with_many_deleted_rows_is_compacted(shards: Shards) -> None:
    loaded = wide(indexing_threshold=1, vacuum_min_vector_number=100)
    active = wide(**ONE_KB, vacuum_min_vector_number=100)
    replica = await shards.open(loaded)
    await replica.apply_config(CreateIndex("n", encode_index_params(KeywordIndexParams())))
    await write(replica, random_points(0, ROWS))
    await seal(replica)
    await write(replica, DeletePoints(ids=list(range(300))))
    await write(replica, SetPayload(b'{"n":"kept"}', ids=[300, 301]))
    stored, before = await contents(replica), await answers(replica)
    await replica.update_config(active)
    info = await until_green(replica)
    assert [segment.rows for segment in replica.view.segments] == [200]
    assert info.indexed_vectors == 200
    assert await contents(replica) == stored
    assert await answers(replica) == before
    assert await replica.count(having("n", "kept"), exact=True) == 2
    await write(replica, SetPayload(b'{"n":"late"}', ids=[400]))
    await replica.checkpoint()
    shards.crash()
    reopened = await shards.open(active)
    assert await answers(reopened) == before
    assert await reopened.count(having("n", "late"), exact=True) == 1


@pytest.mark.slow
async def test_small_segments_are_merged(shards: Shards) -> None:
    replica = await shards.open(wide(indexing_threshold=0))
    for part in range(4):
        await write(replica, random_points(part * 100, 100))
        await seal(replica)
    await write(replica, DeletePoints(ids=[5, 150]))
    stored, before = await contents(replica), await answers(replica)
    await replica.update_config(
        wide(indexing_threshold=0, max_optimization_threads=1, default_segment_number=1)
    )
    info = await until_green(replica)
    assert (info.segments, info.indexed_vectors) == (1, 0)
    assert await contents(replica) == stored
    assert await answers(replica) == before


@pytest.mark.slow
async def test_a_crash_in_the_middle_of_a_compaction_loses_nothing(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "REMAP_POINTS", 50)
    replica = await shards.open(wide(indexing_threshold=0, vacuum_min_vector_number=100))
    await write(replica, random_points(0, ROWS))
    await seal(replica)
    await write(replica, DeletePoints(ids=list(range(300))))
    stored = await contents(replica)
    halfway, optimizer = asyncio.Event(), replica._optimizer
    remap, steps, loop = optimizer._remap, [], asyncio.get_running_loop()

    def one_step(*args: object) -> None:
        if not steps:
            remap(*args)  # type: ignore[arg-type]
            steps.append(args)
            loop.call_soon_threadsafe(halfway.set)
        else:
            raise OSError("the power is gone")

    monkeypatch.setattr(optimizer, "_remap", one_step)
    await replica.update_config(
        wide(indexing_threshold=0, max_optimization_threads=1, vacuum_min_vector_number=100)
    )
    await halfway.wait()
    assert await contents(replica) == stored
    await replica.checkpoint()
    await write(replica, SetPayload(b'{"late":1}', ids=[310, 490]))
    stored = await contents(replica)
    shards.crash()
    reopened = await shards.open(wide(indexing_threshold=0))
    assert await contents(reopened) == stored
    assert len(reopened.view.segments) == 2


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


async def test_segments_without_live_rows_are_dropped_and_their_slots_used_again(shards: Shards) -> None:
    replica = await shards.open(config_of(max_optimization_threads=1))
    await write(replica, upsert(range(100)))
    await seal(replica)
    await write(replica, DeletePoints(ids=list(range(100))))
    await until(replica, lambda info: info.segments == 0 and info.status is ShardStatus.GREEN)
    await write(replica, upsert([1]))
    assert replica.view.segments[0].start == 0
    assert await nearest(replica, [1, 0, 0, 0]) == [1]


async def test_slots_that_a_reader_can_still_see_are_not_used_again(shards: Shards) -> None:
    replica = await shards.open(config_of(max_optimization_threads=1))
    await write(replica, upsert(range(100)))
    await seal(replica)
    old = replica.view
    await write(replica, DeletePoints(ids=list(range(100))))
    await until(replica, lambda info: info.segments == 0)
    await write(replica, upsert([1]))
    assert replica.view.segments[0].start >= 128
    assert old.points.count == 100


async def test_pending_work_is_grey_until_something_wakes_the_optimizer(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await shards.open(wide(indexing_threshold=1))
    await write(replica, random_points(0, ROWS))
    assert (await replica.info()).status is ShardStatus.GREY
    await replica.checkpoint()
    shards.crash()

    async def never(job: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(runner, "run_build", never)
    reopened = await shards.open(wide(**ONE_KB))
    assert (await reopened.info()).status is ShardStatus.GREY
    reopened.touch()
    assert (await reopened.info()).status is ShardStatus.YELLOW


async def test_a_failed_build_is_red_and_tried_again(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RETRY_MIN_S", 0.01)
    attempts = []

    async def fails(job: object) -> None:
        attempts.append(job)
        raise BuildFailed("no luck")

    monkeypatch.setattr(runner, "run_build", fails)
    replica = await shards.open(wide(**ONE_KB))
    await write(replica, random_points(0, ROWS))
    info = await until(replica, lambda info: info.status is ShardStatus.RED)
    assert info.optimizer_error == "Index failed: no luck"
    assert info.optimizations[-1].error == "no luck"
    await until(replica, lambda _: len(attempts) > 1)
    assert len(await contents(replica)) == ROWS
    assert not replica.contents.applier.segments.building or attempts


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
        while not segment.placed:  # noqa: ASYNC110 - as above
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
        while segment.memory_usage()["", "storage"].expected_cache_bytes:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    await until_green(replica)
    assert [segment.id] == [one.id for one in replica.view.segments]
    assert segment.memory_usage()["", "index"].expected_cache_bytes > 0


# --- sparse vectors ---------------------------------------------------------------------------------------


def worded(index: SparseIndexParams | None = None, **optimizers: Any) -> CollectionConfig:
    chosen = OptimizersConfig(**{**ONE_KB, **optimizers})
    params = CollectionParams({}, sparse_vectors={"words": SparseVectorParams(index)})
    return CollectionConfig(params, optimizer_config=chosen)


def random_words(first: int, count: int) -> Upsert:
    rng = np.random.default_rng(first)
    points = [
        {"words": words({int(i): float(rng.integers(1, 9)) for i in rng.choice(300, 20, replace=False)})}
        for _ in range(count)
    ]
    return Upsert(list(range(first, first + count)), batches(points), [b"{}"] * count)


async def worded_answers(replica: ShardReplica) -> list[tuple[list[object], list[float]]]:
    rng = np.random.default_rng(7)
    queries = [words({int(i): 1.0 for i in rng.choice(300, 5, replace=False)}) for _ in range(10)]
    found = await replica.search([SearchRequest("words", query, 20) for query in queries])
    return [([record.id for record in hits.records], hits.scores.tolist()) for hits in found]


@pytest.mark.slow
async def test_sparse_vectors_get_an_inverted_index_and_keep_their_answers(shards: Shards) -> None:
    """Through deletes after the build, another type of codes, and damage to the file."""
    replica = await shards.open(worded(indexing_threshold=0))
    await write(replica, random_words(0, ROWS))
    before = await worded_answers(replica)
    assert (await replica.info()).indexed_vectors == 0
    await replica.update_config(worded())
    info = await until_green(replica)
    assert info.indexed_vectors == ROWS
    assert await worded_answers(replica) == before

    await write(replica, DeletePoints(list(range(0, 100, 2))))
    assert (await replica.info()).indexed_vectors == ROWS - 50
    alive = await worded_answers(replica)
    assert all(int(str(point)) % 2 or int(str(point)) >= 100 for points, _ in alive for point in points)

    await replica.update_config(worded(SparseIndexParams(datatype=Datatype.UINT8)))
    await until(replica, lambda _: codes_of(replica) == {Datatype.UINT8})
    await until_green(replica)
    assert await worded_answers(replica) == alive

    await replica.checkpoint()
    shards.crash()
    for path in (shards.directory / "segments").glob("*/postings.*"):
        path.write_bytes(b"")
    reopened = await shards.open(worded(SparseIndexParams(datatype=Datatype.UINT8)))
    assert codes_of(reopened) == {None}
    assert await worded_answers(reopened) == alive
    reopened.touch()
    await until_green(reopened)
    assert codes_of(reopened) == {Datatype.UINT8}
    assert await worded_answers(reopened) == alive


def codes_of(replica: ShardReplica) -> set[Datatype | None]:
    built = [segment.built("words") for segment in replica.view.segments if segment.rows]
    return {one.datatype if isinstance(one, SparseParams) else None for one in built}


# --- the tail --------------------------------------------------------------------------------------------


def still(shards: Shards) -> ManualClock:
    clock = ManualClock()
    shards.machinery = msgspec.structs.replace(shards.machinery, clock=clock)
    return clock


@pytest.mark.slow
async def test_a_tail_goes_into_the_graph_once_writes_have_ceased(shards: Shards) -> None:
    clock = still(shards)
    replica = await shards.open(wide(**ONE_KB | {"indexing_threshold": 20}))
    await write(replica, random_points(0, ROWS))
    await until(replica, lambda info: info.indexed_vectors == ROWS)
    await write(replica, random_points(ROWS, 20))
    assert (await replica.info()).status is ShardStatus.YELLOW  # it is large enough to be worth the copying
    before, stored = await answers(replica), await contents(replica)
    clock.now_ms += QUIET_MS
    info = await until_green(replica)
    assert (info.indexed_vectors, info.segments) == (ROWS + 20, 1)
    assert await answers(replica) == before
    assert await contents(replica) == stored
    await write(replica, DeletePoints(ids=[3]))
    await replica.checkpoint()
    shards.crash()
    reopened = await shards.open(wide())
    assert (await reopened.info()).indexed_vectors == ROWS + 19


@pytest.mark.slow
async def test_a_tail_under_writes_that_never_cease_is_taken_in_after_a_while(shards: Shards) -> None:
    clock = still(shards)
    replica = await shards.open(wide(**ONE_KB | {"indexing_threshold": 20}))
    await write(replica, random_points(0, ROWS))
    await until(replica, lambda info: info.indexed_vectors == ROWS)
    written = ROWS
    async with asyncio.timeout(60):
        while (await replica.info()).indexed_vectors == ROWS:
            await write(replica, random_points(written, 1))
            written += 1
            clock.now_ms += QUIET_MS // 2
    assert clock.now_ms >= PATIENCE_MS


@pytest.mark.slow
async def test_graphs_become_one_before_the_shard_is_green_unless_a_number_or_size_is_given(
    shards: Shards,
) -> None:
    replica = await shards.open(wide(**ONE_KB, max_segment_size=20))
    for written in range(0, ROWS, 100):
        await write(replica, random_points(written, 100))
        await until(replica, lambda info, wanted=written + 100: info.indexed_vectors == wanted)  # type: ignore[misc]
    assert (await until_green(replica)).segments == ROWS // 100
    stored = await contents(replica)
    await replica.update_config(wide(**ONE_KB, default_segment_number=2))
    assert (await until_green(replica)).segments == 2
    await replica.update_config(wide(**ONE_KB))
    info = await until_green(replica)
    assert (info.segments, info.indexed_vectors) == (1, ROWS)
    assert await contents(replica) == stored


@pytest.mark.slow
async def test_what_is_left_over_after_a_load_is_green_at_once_and_tidied_up_later(shards: Shards) -> None:
    clock = still(shards)
    replica = await shards.open(wide(**ONE_KB | {"indexing_threshold": 20}))
    await write(replica, random_points(0, ROWS))
    await until(replica, lambda info: info.indexed_vectors == ROWS)
    for written in range(ROWS, ROWS + 2 * (EARNED_RATIO - 1), 2):
        await write(replica, random_points(written, 2))
        assert (await replica.info()).status is ShardStatus.GREEN
        clock.now_ms += QUIET_MS
        await until(replica, lambda info, wanted=written + 2: info.indexed_vectors == wanted)  # type: ignore[misc]
    await write(replica, random_points(written + 2, 2))
    clock.now_ms += QUIET_MS
    replica.touch()
    assert (await until_green(replica)).indexed_vectors == written + 2  # the allowance is spent


async def test_a_shard_below_the_threshold_builds_no_graph_however_long_it_is_quiet(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(job: object) -> None:
        raise AssertionError("nothing is to be built")

    monkeypatch.setattr(runner, "run_build", never)
    clock = still(shards)
    planned, plan = asyncio.Event(), runner.plan
    loop = asyncio.get_running_loop()

    def watched(*args: object) -> object:
        tasks = plan(*args)  # type: ignore[arg-type]
        if clock.now_ms:
            loop.call_soon_threadsafe(planned.set)
        return tasks

    replica = await shards.open(wide(max_optimization_threads=1))
    await write(replica, random_points(0, ROWS))
    monkeypatch.setattr(runner, "plan", watched)
    clock.now_ms += 10 * PATIENCE_MS
    replica.touch()
    async with asyncio.timeout(60):
        await planned.wait()
    info = await until_green(replica)
    assert (info.indexed_vectors, info.optimizer_error) == (0, None)


def tenanted(**hnsw: object) -> CollectionConfig:
    settings = HnswConfig(**({"m": 0, "payload_m": 8, "ef_construct": 8} | hnsw))  # type: ignore[arg-type]
    return config_of({"": VectorParams(DIM, Distance.COSINE)}, settings, **ONE_KB)


async def index(replica: ShardReplica, field: str, **params: object) -> None:
    await replica.apply_config(
        CreateIndex(field, encode_index_params(KeywordIndexParams(**params)))  # type: ignore[arg-type]
    )


def of_tenants(count: int, tenant: Callable[[int], str]) -> Upsert:
    matrix = np.random.default_rng(3).normal(size=(count, DIM))
    payloads = [b'{"tenant":"%s"}' % tenant(i).encode() for i in range(count)]
    return Upsert(list(range(count)), (batch(matrix),), payloads)


async def ways_of(replica: ShardReplica, tenant: str) -> list[Way]:
    query = np.random.default_rng(7).normal(size=DIM).astype(np.float32)
    request = SearchRequest("", query, 3, having("tenant", tenant), SearchParams(hnsw_ef=4), explain=True)
    (hits,) = await replica.search([request])
    assert hits.plan is not None
    assert len(hits.records) == 3
    return [step.way for step in hits.plan.steps]


@pytest.mark.slow
async def test_a_large_tenant_gets_a_graph_of_its_own_and_small_ones_none(shards: Shards) -> None:
    replica = await shards.open(tenanted(full_scan_threshold=10))
    await index(replica, "tenant", is_tenant=True)
    await write(replica, of_tenants(2500, lambda i: "large" if i % 5 else f"small{i % 50}"))
    info = await until_green(replica)
    assert info.indexed_vectors == 2500
    (segment,) = replica.view.segments
    assert segment.graph("") is None
    assert await ways_of(replica, "large") == [Way.VALUE_GRAPH]
    assert await ways_of(replica, "small5") == [Way.ROWS]
    # Only what is indexed, or so little that it need not be, is asked for: graphs of values are indexes.
    request = SearchRequest("", np.ones(DIM, dtype=np.float32), 3, params=SearchParams(indexed_only=True))
    (hits,) = await replica.search([request])
    assert len(hits.records) == 3


@pytest.mark.slow
async def test_an_index_made_later_leads_to_graphs_of_its_values(shards: Shards) -> None:
    replica = await shards.open(tenanted(m=8))
    await write(replica, of_tenants(2500, lambda i: "large" if i % 5 < 2 else f"small{i % 50}"))
    await until_green(replica)
    assert await ways_of(replica, "large") != [Way.VALUE_GRAPH]
    await index(replica, "tenant")
    await until(replica, lambda info: replica.view.segments[0].value_graphs("") is not None)
    assert replica.view.segments[0].graph("") is not None
    assert await ways_of(replica, "large") == [Way.VALUE_GRAPH]


@pytest.mark.parametrize(
    ("hnsw", "params", "expected"),
    [
        ({"m": 0, "payload_m": 8}, {}, 8),
        ({"m": 16, "payload_m": 0}, {"is_tenant": True}, None),
        ({"m": 0}, {"is_tenant": True}, None),
        ({"m": 16}, {}, None),
        ({"m": 16}, {"is_tenant": True}, 16),
        ({"m": 16, "payload_m": 8}, {"enable_hnsw": False}, None),
    ],
)
def test_which_fields_get_graphs_of_their_values(
    hnsw: dict[str, int], params: dict[str, bool], expected: int | None
) -> None:
    config = config_of({"": VectorParams(DIM, Distance.COSINE)}, HnswConfig(**hnsw))
    columns = Columns()
    columns.install(columns.built("tenant", KeywordIndexParams(**params), []))
    wanted = wanted_values(config, columns.view(), [""]).get("")
    assert (None if wanted is None else (wanted.fields, wanted.params.m)) == (
        None if expected is None else (("tenant",), expected)
    )


def test_a_chosen_full_scan_threshold_says_which_values_are_too_small_for_graphs() -> None:
    columns = Columns()
    columns.install(columns.built("tenant", KeywordIndexParams(), []))

    def rows_min(kib: int) -> int:
        hnsw = HnswConfig(payload_m=8, full_scan_threshold=kib)
        config = config_of({"": VectorParams(DIM, Distance.COSINE)}, hnsw)
        return wanted_values(config, columns.view(), [""])[""].rows_min

    assert rows_min(1000) == 1000 * 1024 // (DIM * 4) + 1
    assert rows_min(10) == rows_min(HnswConfig().full_scan_threshold) == 2401


async def test_what_info_counts_is_no_older_than_its_status(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await shards.open(wide())
    before = replica.view
    await write(replica, random_points(0, 10))
    after, replica.contents.view = replica.view, before

    def status() -> ShardStatus:
        replica.contents.view = after  # something is finished while info is being put together
        return ShardStatus.GREEN

    monkeypatch.setattr(replica._optimizer, "status", status)
    info = await replica.info()
    assert (info.status, info.points) == (ShardStatus.GREEN, 10)


@pytest.mark.slow
async def test_a_compaction_puts_tenants_side_by_side_and_orders_each_by_the_principal_key(
    shards: Shards,
) -> None:
    replica = await shards.open(wide(indexing_threshold=1, vacuum_min_vector_number=100))
    await index(replica, "tenant", is_tenant=True)
    await replica.apply_config(
        CreateIndex("time", encode_index_params(IntegerIndexParams(is_principal=True)))
    )
    matrix = np.random.default_rng(3).normal(size=(ROWS, DIM))
    payloads = [b'{"tenant":"%d","time":%d}' % (i % 7, i * 37 % ROWS) for i in range(ROWS)]
    await write(replica, Upsert(list(range(ROWS)), (batch(matrix),), payloads))
    await seal(replica)
    await write(replica, DeletePoints(ids=list(range(0, ROWS, 3))))
    await write(replica, SetPayload(b'{"tenant":"new"}', ids=[1, 100]))
    stored, before = await contents(replica), await answers(replica)
    await replica.update_config(wide(**ONE_KB, vacuum_min_vector_number=100))
    await until_green(replica)
    (segment,) = replica.view.segments
    assert segment.rows == len(stored)
    slots = np.arange(segment.start, segment.start + segment.rows)
    records = replica.view.points.records(slots)
    laid = [json.loads(record.payload) for record in records if record is not None]
    keys = [(payload["tenant"], payload["time"]) for payload in laid]
    assert keys == sorted(keys)
    assert await contents(replica) == stored
    assert await answers(replica) == before
