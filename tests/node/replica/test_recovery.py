"""Crashes, damaged files, full disks."""

from __future__ import annotations

import asyncio
import errno
import functools
from pathlib import Path
from typing import Any

import pytest

from node.filter.columns import column, files, kinds
from node.filter.evaluate import evaluate
from node.query.matching import context_of
from node.replica.recovery import DAMAGE
from node.replica.replica import ShardReplica
from node.storage.points import StoreFailed, StoreFull
from protos.collections import (
    Distance,
    KeywordIndexParams,
    TextIndexParams,
    VectorParams,
    encode_index_params,
    encode_vector_params,
)
from protos.errors import InsufficientStorage, ServiceError
from protos.filters import FieldCondition, Filter, MatchText
from protos.operations import (
    AddVectorName,
    CreateIndex,
    DeletePoints,
    DeleteVectors,
    RemoveVectorName,
    SetPayload,
    UpdateVectors,
)
from protos.shard import ShardStatus
from tests.node.replica.conftest import Shards
from tests.node.replica.points import batch, config_of, contents, having, nearest, only, upsert, write


async def busy_day(replica: ShardReplica) -> None:
    await write(replica, upsert(range(20)))
    await write(replica, SetPayload(b'{"a":1}', filter=only(1, 2, 3)))
    await write(replica, DeletePoints(ids=[4, 5]))
    await write(replica, UpdateVectors([6], (batch([[60, 0, 0, 0]]),)))
    await write(replica, DeleteVectors(("",), ids=[7]))
    await write(replica, upsert([8], [{"again": True}]))


@pytest.mark.parametrize("checkpoint", [False, True])
async def test_everything_acknowledged_survives_a_crash(shards: Shards, checkpoint: bool) -> None:
    replica = await shards.open()
    await busy_day(replica)
    if checkpoint:
        await replica.checkpoint()
    before = await contents(replica)
    shards.crash()
    reopened = await shards.open()
    assert await contents(reopened) == before
    assert await nearest(reopened, [60, 0, 0, 0], limit=1) == [6]
    assert (await reopened.info()).operations_applied == 6


async def test_writes_after_a_checkpoint_survive_with_those_before(shards: Shards) -> None:
    replica = await shards.open()
    await busy_day(replica)
    await replica.checkpoint()
    await write(replica, upsert([1, 100]))
    await write(replica, SetPayload(b'{"late":1}', ids=[2]))
    await write(replica, DeletePoints(ids=[3]))
    before = await contents(replica)
    shards.crash()
    reopened = await shards.open()
    assert await contents(reopened) == before


async def test_a_reopened_replica_goes_on_where_it_stopped(shards: Shards) -> None:
    replica = await shards.open()
    await busy_day(replica)
    await replica.close()
    shards._open.clear()
    reopened = await shards.open()
    assert (await write(reopened, upsert([50]))).operation_id == 6
    assert 50 in await contents(reopened)


async def test_segments_sealed_after_the_checkpoint_are_replayed(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.replica.segment_set.GROWING_ROWS_MAX", 64)
    replica = await shards.open()
    await write(replica, upsert(range(40)))
    await replica.checkpoint()
    await write(replica, upsert(range(30, 240)))
    before = await contents(replica)
    shards.crash()
    reopened = await shards.open()
    assert await contents(reopened) == before
    assert await nearest(reopened, [200, 0, 0, 0], limit=1) == [200]


async def test_indexes_and_vector_names_survive(shards: Shards) -> None:
    params = VectorParams(2, Distance.DOT)
    config = config_of({"": VectorParams(4, Distance.EUCLID), "v": params})
    replica = await shards.open()
    await replica.update_config(config)
    await write(replica, upsert([1, 2], [{"k": "x"}, {"k": "y"}]))
    await replica.apply_config(CreateIndex("k", encode_index_params(KeywordIndexParams())))
    await replica.apply_config(AddVectorName("v", encode_vector_params(params)))
    await write(replica, UpdateVectors([1], (batch([[1, 2]], "v"),)))
    await replica.checkpoint()
    await replica.apply_config(RemoveVectorName("v"))
    await replica.apply_config(AddVectorName("v", encode_vector_params(params)))
    await write(replica, UpdateVectors([2], (batch([[3, 4]], "v"),)))
    before = await contents(replica)
    shards.crash()
    reopened = await shards.open(config)
    assert await contents(reopened) == before
    assert {i: sorted(vectors) for i, (_, vectors) in before.items()} == {1: [""], 2: ["", "v"]}
    assert (await reopened.info()).index_points == {"k": 2}
    assert await reopened.count(having("k", "y"), exact=True) == 1
    await reopened.checkpoint()
    shards.crash()
    assert await contents(await shards.open(config)) == before


async def test_text_indexes_of_the_former_format_are_built_anew(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await shards.open()
    with monkeypatch.context() as former:
        former.setattr(column, "kind_of", kinds.former_kind_of)
        former.setattr(files, "Manifest", functools.partial(files.Manifest, format=1))
        await replica.apply_config(CreateIndex("k", encode_index_params(TextIndexParams())))
        await write(replica, upsert([1, 2], [{"k": "red wine"}, {"k": "beer"}]))
        await replica.checkpoint()
    await write(replica, upsert([3], [{"k": "Wine"}]))
    shards.crash()
    reopened = await shards.open()
    wanted = Filter(must=(FieldCondition("k", (MatchText("wine"),)),))
    assert not evaluate(wanted, context_of(replica.view)).exact
    assert evaluate(wanted, context_of(reopened.view)).exact
    assert await reopened.count(wanted, exact=True) == 2
    await reopened.checkpoint()
    shards.crash()
    assert await (await shards.open()).count(wanted, exact=True) == 2


@pytest.mark.parametrize("checkpoint", [False, True])
async def test_operation_ids_survive(shards: Shards, checkpoint: bool) -> None:
    replica = await shards.open()
    await write(replica, upsert([1]), operation_id=b"once")
    if checkpoint:
        await replica.checkpoint()
    shards.crash()
    reopened = await shards.open()
    await write(reopened, upsert([1], [{"n": "newer"}]))
    assert (await write(reopened, upsert([1]), operation_id=b"once")).operation_id == 0
    assert (await contents(reopened))[1][0] == {"n": "newer"}


async def test_a_torn_last_record_is_cut_off(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, upsert([1]))
    shards.crash()
    (log_file,) = (shards.directory / "wal").glob("*.wal")
    whole = log_file.read_bytes()
    await write(replica, upsert([2]))
    torn = next((shards._root / "shard" / "wal").glob("*.wal")).read_bytes()
    log_file.write_bytes(torn[: len(whole) + 20])
    reopened = await shards.open()
    assert list(await contents(reopened)) == [1]
    assert (await write(reopened, upsert([3]))).operation_id == 1


async def test_a_checkpoint_trims_the_log_and_removes_old_files(shards: Shards) -> None:
    replica = await shards.open()
    for n in range(3):
        await write(replica, upsert([n]))
        await replica.checkpoint()
    assert len(list(shards.directory.glob("live.*"))) == 1
    assert len(list((shards.directory / "segments").iterdir())) == 1


async def test_a_checkpoint_with_nothing_new_does_nothing(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, upsert([1]))
    await replica.checkpoint()
    (live,) = shards.directory.glob("live.*")
    await replica.checkpoint()
    assert list(shards.directory.glob("live.*")) == [live]


# --- damage -------------------------------------------------------------------------------------------


def log_file(shards: Shards) -> Path:
    return next((shards.directory / "wal").glob("*.wal"))


def segment_file(shards: Shards) -> Path:
    return next((shards.directory / "segments").glob("*/vectors.*"))


def live_file(shards: Shards) -> Path:
    return next(shards.directory.glob("live.*"))


@pytest.mark.parametrize("victim", [log_file, segment_file, live_file])
@pytest.mark.parametrize("how", ["missing", "empty"])
async def test_a_replica_with_missing_files_does_not_open(shards: Shards, victim: Any, how: str) -> None:
    replica = await shards.open()
    await write(replica, upsert([1, 2]))
    await replica.checkpoint()
    await write(replica, upsert([3]))
    shards.crash()
    file = victim(shards)
    file.unlink() if how == "missing" else file.write_bytes(b"")
    with pytest.raises(DAMAGE):
        await shards.open()


async def test_damage_in_the_middle_of_the_log_is_not_passed_over(shards: Shards) -> None:
    replica = await shards.open()
    for n in range(5):
        await write(replica, upsert([n]))
    shards.crash()
    data = bytearray(log_file(shards).read_bytes())
    data[len(data) // 2] ^= 0xFF
    log_file(shards).write_bytes(data)
    with pytest.raises(DAMAGE):
        await shards.open()


# --- failing disks ------------------------------------------------------------------------------------


class FullDisk:
    """Lets a bound method fail with ENOSPC while ``full``."""

    def __init__(self, method: Any) -> None:
        self.full, self._method = True, method

    def __call__(self, *args: Any) -> Any:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._method(*args)


@pytest.mark.parametrize("step", ["append", "sync"])
async def test_a_full_disk_refuses_writes_until_there_is_room(
    shards: Shards, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    replica = await shards.open()
    await write(replica, upsert([1]))
    disk = FullDisk(getattr(replica._committer.wal, step))
    monkeypatch.setattr(replica._committer.wal, step, disk)
    for _ in range(2):
        with pytest.raises(InsufficientStorage, match="No space left"):
            await write(replica, upsert([1, 2]))
        # The log is opened anew for the next write: keep that one from succeeding, too.
        monkeypatch.setattr(f"node.storage.wal.Wal.{step}", lambda *_: disk())
    assert list(await contents(replica)) == [1]
    assert (await replica.info()).status is ShardStatus.RED
    disk.full = False
    monkeypatch.undo()
    assert (await write(replica, upsert([3]))).operation_id == 1
    assert (await replica.info()).status is ShardStatus.GREEN
    shards.crash()
    assert list(await contents(await shards.open())) == [1, 3]


async def test_no_room_for_vectors_refuses_the_write_before_it_is_logged(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await shards.open()
    await write(replica, upsert([1]))
    (growing,) = replica.contents.applier.segments.growing
    disk = FullDisk(growing.append)
    monkeypatch.setattr(growing, "append", disk)
    with pytest.raises(InsufficientStorage):
        await write(replica, upsert([1, 2]))
    disk.full = False
    assert (await write(replica, upsert([3]))).operation_id == 1
    assert await contents(replica) == {
        1: ({"n": 1}, {"": [1.0, 0.0, 0.0, 0.0]}),
        3: ({"n": 3}, {"": [3.0, 0.0, 0.0, 0.0]}),
    }


async def test_a_failed_checkpoint_turns_red_and_is_done_later(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await shards.open()
    await write(replica, upsert([1]))
    disk = FullDisk(replica.contents.applier.points.checkpoint)
    monkeypatch.setattr(replica.contents.applier.points, "checkpoint", disk)
    with pytest.raises(OSError, match="No space"):
        await replica.checkpoint()
    assert (await replica.info()).status is ShardStatus.RED
    await write(replica, upsert([2]))
    disk.full = False
    await replica.checkpoint()
    assert (await replica.info()).status is ShardStatus.GREEN
    shards.crash()
    assert list(await contents(await shards.open())) == [1, 2]


async def test_an_operation_that_cannot_be_applied_stops_writes_and_keeps_reads(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await shards.open()
    await write(replica, upsert([1]))

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(replica.contents.applier, "apply", broken)
    with pytest.raises(ServiceError, match="could not be applied"):
        await write(replica, upsert([2]))
    monkeypatch.undo()
    with pytest.raises(ServiceError, match="could not be applied"):
        await write(replica, upsert([3]))
    assert list(await contents(replica)) == [1]
    assert (await replica.info()).status is ShardStatus.RED
    await replica.checkpoint()
    shards.crash()
    assert list(await contents(await shards.open())) == [1, 2]


async def test_writes_go_on_during_a_checkpoint(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = await shards.open()
    await write(replica, upsert([1]))
    points = replica.contents.applier.points
    store, release, loop = points.checkpoint, asyncio.Event(), asyncio.get_running_loop()
    started = asyncio.Event()

    def slow(meta: bytes) -> None:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        store(meta)

    monkeypatch.setattr(points, "checkpoint", slow)
    checkpoint = asyncio.ensure_future(replica.checkpoint())
    await started.wait()
    await write(replica, upsert([2]))
    assert list(await contents(replica)) == [1, 2]
    release.set()
    await checkpoint
    shards.crash()
    assert list(await contents(await shards.open())) == [1, 2]


async def test_damage_to_a_finished_segment_is_found_by_a_scrub(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, upsert(range(100)))
    await replica.on_writer(replica.contents.applier.segments.seal_all)
    await replica.on_writer(replica.contents.publish)
    assert await replica.verify() == []
    with segment_file(shards).open("r+b") as file:
        file.seek(100)
        file.write(b"\xff\xff")
    assert "checksum mismatch" in (await replica.verify())[0]
    info = await replica.info()
    assert info.status is ShardStatus.RED
    assert "checksum mismatch" in (info.optimizer_error or "")


async def test_a_checkpoint_that_was_stored_and_reported_as_failed_can_be_opened(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failed sync left on disk is unknown, so the files that the new checkpoint names must stay."""
    replica = await shards.open()
    await busy_day(replica)
    points = replica.contents.applier.points
    store = points.checkpoint

    def fail_late(meta: bytes) -> None:
        store(meta)
        raise StoreFailed(errno.EIO, "Input/output error")

    monkeypatch.setattr(points, "checkpoint", fail_late)
    with pytest.raises(StoreFailed):
        await replica.checkpoint()
    expected = await contents(replica)
    shards.crash()
    assert await contents(await shards.open()) == expected


async def test_checkpoints_that_find_no_room_leave_no_files_behind(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await shards.open()
    await replica.apply_config(CreateIndex("k", encode_index_params(KeywordIndexParams())))
    await write(replica, upsert([1], [{"k": "x"}]))

    def full(_: bytes) -> None:
        raise StoreFull(errno.ENOSPC, "No space left on device")

    def files() -> set[str]:
        return {
            path.name
            for path in shards.directory.rglob("*.*")
            if "recent-" in path.name or "live." in path.name
        }

    monkeypatch.setattr(replica.contents.applier.points, "checkpoint", full)
    with pytest.raises(StoreFull):
        await replica.checkpoint()
    assert files() == set()
    monkeypatch.undo()
    await replica.checkpoint()
    assert len(files()) == 2
