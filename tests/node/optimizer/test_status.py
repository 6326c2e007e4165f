"""What a shard says of the work on its segments."""

from __future__ import annotations

import asyncio

import pytest

from node.optimizer import runner
from node.segments import BuildFailed
from protos.shard import ShardStatus
from tests.node.optimizer.replicas import ONE_KB, ROWS, random_points, until, wide
from tests.node.replica.conftest import Shards
from tests.node.replica.points import contents, write


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
