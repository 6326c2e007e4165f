"""When rows without a graph are taken into one, and graphs become one, on real replicas."""

from __future__ import annotations

import asyncio

import pytest

from node.optimizer import runner
from node.optimizer.quiet import PATIENCE_MS, QUIET_MS
from node.optimizer.tail import EARNED_RATIO
from protos.operations import DeletePoints
from protos.shard import ShardStatus
from tests.node.optimizer.replicas import (
    ONE_KB,
    ROWS,
    answers,
    random_points,
    still,
    until,
    until_green,
    wide,
)
from tests.node.replica.conftest import Shards
from tests.node.replica.points import contents, write


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
