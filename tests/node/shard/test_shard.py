"""Replicas of a shard with real files: what is acknowledged, what survives, how they come together again."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from consensus.commands import (
    AddReplica,
    EvictReplica,
    PromotePrimary,
    SetPayloadIndex,
    StartTransfer,
    shard_ref,
)
from consensus.state import ReplicaState, TransferMethod
from node.storage import wal as wal_module
from protos.collections import PayloadSchema, PayloadSchemaType
from protos.errors import NotPrimary, ShardUnavailable, Timeout, TooFewReplicas
from protos.operations import DeletePoints
from protos.shard import Position
from tests.node.replica.points import upsert
from tests.node.shard.group import NAME, TUNING, Group, group_of, until


def promote(group: Group, peer: int, *, lost: bool = True) -> None:
    group.propose(PromotePrimary(shard_ref(group.collection, group.agreed), peer, lost=lost))


def fill(group: Group, target: int, method: TransferMethod, source: int | None = None) -> None:
    source = group.agreed.primary if source is None else source
    group.propose(StartTransfer(shard_ref(group.collection, group.agreed), source, target, method))


async def test_what_is_acknowledged_is_read_strongly_from_every_replica(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2, 3)) as group:
        result = await group.write(upsert([1, 2]))
        assert result.operation_id == 1  # the term's first entry came before
        await group.write(DeletePoints(ids=[1]))
        for peer in (1, 2, 3):
            assert await group.read(peer) == {2: b'{"n": 2}'}
        assert await group.held(1) == await group.held(2) == await group.held(3)


async def test_a_follower_says_who_leads(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        with pytest.raises(NotPrimary) as error:
            await group.write(upsert([1]), at=2)
        assert error.value.primary == 1


async def test_too_few_in_sync_refuses_before_anything_is_applied(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        group.state = _with_factor(group, 2)
        group.deliver()
        await group.write(upsert([1]))
        group.propose(EvictReplica(shard_ref(group.collection, group.agreed), 2, 0))
        with pytest.raises(TooFewReplicas):
            await group.write(upsert([2]))
        assert set(await group.held(1)) == {1}


def _with_factor(group: Group, factor: int) -> Any:
    params = replace(group.collection.config.params, write_consistency_factor=factor)
    collection = replace(group.collection, config=replace(group.collection.config, params=params))
    return replace(group.state, collections={NAME: collection}, version=group.state.version + 1)


async def test_a_silent_follower_is_evicted_before_a_write_is_acknowledged_without_it(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        await group.write(upsert([1]))
        group.isolate(2)
        await group.write(upsert([2]))
        assert group.agreed.replicas[2] is ReplicaState.DEAD
        group.heal()
        fill(group, 2, TransferMethod.WAL_DELTA)
        await group.active(2)
        assert await group.read(2) == await group.read(1)
        assert group.bases == []


async def test_a_tail_that_nobody_acknowledged_is_cut_and_the_state_rebuilt(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2, 3)) as group:
        await group.write(upsert([1]))
        group.isolate(1)
        group.places[1].held_back = True
        lost = [asyncio.create_task(group.write(upsert([i], [{"lost": True}]), at=1)) for i in (1, 50, 51)]
        await until(lambda: group.places[1].replica.files.view.seq >= 2)  # applied, not committed
        promote(group, 2)
        await group.write_in_the_end(upsert([60]))
        group.heal()
        for task in lost:
            with pytest.raises(Timeout):
                await task
        fill(group, 1, TransferMethod.WAL_DELTA)
        await group.active(1)
        assert await group.read(1) == await group.read(2) == {1: b'{"n": 1}', 60: b'{"n": 60}'}
        assert await group.held(1) == await group.held(2)
        assert group.bases == []


async def test_a_checkpoint_waits_until_all_of_it_is_committed(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        await group.write(upsert([1]))
        primary = group.primary.replica
        await primary.files.checkpoint()
        group.cut.add((2, 1))
        waiting = asyncio.create_task(group.write(upsert([2])))
        await until(lambda: primary.files.view.seq == 2)
        checkpoint = asyncio.create_task(primary.files.checkpoint())
        done, _ = await asyncio.wait({checkpoint}, timeout=0.1)
        assert not done
        group.heal()
        await asyncio.gather(waiting, checkpoint)
        assert primary.files._checkpointer.seq == 2


async def test_a_repeated_operation_changes_nothing_under_the_next_primary_either(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        first = await group.write(upsert([1], [{"a": 1}]), operation_id=b"one")
        await group.write(upsert([1], [{"a": 2}]))
        promote(group, 2)
        again = await group.write_in_the_end(upsert([1], [{"a": 1}]), operation_id=b"one")
        assert again.operation_id == first.operation_id
        assert await group.read(2) == {1: b'{"a": 2}'}


async def test_everything_survives_when_all_processes_die_at_once(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        for i in range(20):
            await group.write(upsert([i]))
        for peer in (1, 2):
            group.kill(peer)
        for peer in (1, 2):
            group.start(peer)
        await group.write_in_the_end(upsert([100]))
        assert group.agreed.term == 2  # what the old primary sent before it died may be lost
        for peer in (1, 2):
            assert set(await group.read(peer)) == {*range(20), 100}


async def test_a_new_replica_is_made_from_a_base_and_the_log_while_writes_go_on(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        await group.write(upsert(list(range(500))))
        stop = asyncio.Event()
        written: list[int] = []

        async def write_on() -> None:
            while not stop.is_set():
                number = 1000 + len(written)
                await group.write(upsert([number, number % 500], [{"late": number}] * 2))
                written.append(number)

        writer = asyncio.create_task(write_on())
        await until(lambda: len(written) > 5)
        fill(group, 3, TransferMethod.SNAPSHOT, source=2)
        await group.active(3)
        count = len(written)
        await until(lambda: len(written) > count + 5)
        stop.set()
        await writer
        assert group.bases == [(2, 3)]
        assert await group.read(3) == await group.read(1)
        assert await group.held(3) == await group.held(1)


async def test_a_replica_whose_log_is_of_no_use_gives_its_files_up_for_a_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.shard.shard.KEEP_BYTES", 0)
    async with group_of(tmp_path, (1, 2), tuning=replace(TUNING, recent_bytes_max=1)) as group:
        await group.write(upsert([1]))
        group.isolate(2)
        group.places[2].held_back = True
        group.propose(EvictReplica(shard_ref(group.collection, group.agreed), 2, 0))
        wal = group.primary.replica.life.disk._wal
        wal._capacity_bytes = 1  # every group begins a file
        for i in range(5):
            await group.write(upsert([i + 10]))
        await group.primary.replica.files.checkpoint()
        assert wal.first_seq > 2
        group.heal()
        fill(group, 2, TransferMethod.WAL_DELTA)
        await until(lambda: group.agreed.replicas[2] is ReplicaState.DEAD)  # aborted: no log reaches there
        assert group.agreed.failed == {2: TransferMethod.WAL_DELTA}
        fill(group, 2, TransferMethod.SNAPSHOT)
        await group.active(2)
        assert group.bases == [(1, 2)]
        assert await group.held(2) == await group.held(1)


async def test_a_replica_whose_directory_is_gone_reports_itself_failed_and_is_filled(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        await group.write(upsert([1, 2, 3]))
        group.kill(2)
        shutil.rmtree(group.places[2].storage / "collections")
        group.start(2)
        await group.places[2].replica.opened()
        report = group.places[2].replica.report()
        assert report is not None
        assert not report.healthy
        group.propose(EvictReplica(shard_ref(group.collection, group.agreed), 2, 0))
        fill(group, 2, TransferMethod.SNAPSHOT)
        await group.active(2)
        assert await group.read(2) == await group.read(1)


async def test_in_recovery_mode_a_replica_is_neither_opened_nor_filled_and_keeps_its_files(
    tmp_path: Path,
) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        await group.write(upsert([1, 2, 3]))
        group.kill(2)
        group.places[2].recovery_mode = "out of memory"
        group.start(2)
        await group.places[2].replica.opened()
        report = group.places[2].replica.report()
        assert report is not None
        assert (report.healthy, report.recoverable) == (False, False)
        with pytest.raises(ShardUnavailable, match="recovery mode: out of memory"):
            await group.read(2)
        group.propose(EvictReplica(shard_ref(group.collection, group.agreed), 2, 0))
        fill(group, 2, TransferMethod.SNAPSHOT)
        await until(lambda: not group.collection.transfers)
        assert group.bases == []
        await group.write(upsert([4]))
        group.kill(2)
        group.start(2)
        fill(group, 2, TransferMethod.WAL_DELTA)
        await group.active(2)
        assert await group.read(2) == await group.read(1)


async def test_a_broken_log_takes_the_replica_out_and_not_the_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        await group.write(upsert([1]))
        broken = group.places[2].replica.life.disk._wal._fd
        sync = os.fdatasync

        def fail(fd: int) -> None:
            if fd == broken:
                raise OSError(errno.EIO, "the disk is broken")
            sync(fd)

        monkeypatch.setattr(wal_module.os, "fdatasync", fail)
        await group.write(upsert([2]))
        assert group.agreed.replicas[2] is ReplicaState.DEAD
        assert group.places[2].reported
        await until(lambda: (report := group.places[2].replica.report()) is not None and report.healthy)
        fill(group, 2, TransferMethod.WAL_DELTA)
        await group.active(2)
        assert await group.read(2) == await group.read(1)


async def test_a_primary_whose_log_is_broken_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        await group.write(upsert([1]))
        broken = group.primary.replica.life.disk._wal._fd
        sync = os.fdatasync

        def fail(fd: int) -> None:
            if fd == broken:
                raise OSError(errno.EIO, "the disk is broken")
            sync(fd)

        monkeypatch.setattr(wal_module.os, "fdatasync", fail)
        await group.write_in_the_end(upsert([2]), operation_id=b"two")
        assert group.agreed.primary == 2
        assert group.agreed.replicas[1] is ReplicaState.DEAD
        assert set(await group.read(2)) == {1, 2}


async def test_indexes_reach_a_replica_that_was_away(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        await group.write(upsert([1, 2]))
        group.isolate(2)
        await group.write(upsert([3]))
        group.propose(SetPayloadIndex(NAME, "n", PayloadSchema(PayloadSchemaType.INTEGER)))
        result = await group.primary.replica.settle_schema(group.collection.config_version)
        assert result.operation_id is not None
        assert set(group.primary.replica.files.view.columns.fields) == {"n"}
        group.heal()
        fill(group, 2, TransferMethod.WAL_DELTA)
        await group.active(2)
        await until(lambda: set(group.places[2].replica.files.view.columns.fields) == {"n"})


async def test_a_node_behind_does_not_take_back_what_it_has_not_heard_of(tmp_path: Path) -> None:
    """The log may hold an index of a configuration that this node learns of later."""
    async with group_of(tmp_path, (1, 2)) as group:
        group.places[2].held_back = True
        group.propose(SetPayloadIndex(NAME, "n", PayloadSchema(PayloadSchemaType.INTEGER)))
        await group.primary.replica.settle_schema(group.collection.config_version)
        await group.write(upsert([1]))
        behind = group.places[2].replica
        await until(lambda: set(behind.files.view.columns.fields) == {"n"})
        with pytest.raises(ShardUnavailable):
            await behind.settle_schema(group.collection.config_version)
        assert set(behind.files.view.columns.fields) == {"n"}


async def test_a_read_at_a_position_waits_for_it_or_is_refused(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        result = await group.write(upsert([1]))
        assert result.operation_id is not None
        position = Position(group.agreed.term, result.operation_id)
        assert await group.read(2, strong=False, at_least=position) == {1: b'{"n": 1}'}
        with pytest.raises(ShardUnavailable):
            await group.read(2, strong=False, at_least=Position(group.agreed.term + 1, result.operation_id))


async def test_a_replica_cut_off_answers_no_strong_read_when_its_lease_is_over(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        await group.write(upsert([1]))
        assert await group.read(2) == {1: b'{"n": 1}'}
        group.isolate(2)
        group.places[2].held_back = True
        await group.write(upsert([2]))  # acknowledged without it: its lease is over by now
        with pytest.raises(ShardUnavailable):
            await group.read(2)
        assert await group.read(2, strong=False) == {1: b'{"n": 1}'}


async def test_closing_answers_every_write(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        group.cut.add((2, 1))
        writes = [asyncio.create_task(group.write(upsert([i]))) for i in range(50)]
        await until(lambda: group.primary.replica.files.view.seq > 0)
        group.places[1].held_back = True
        shard, group.places[1].shard = group.primary.replica, None
        await shard.close(checkpoint=True)
        for outcome in await asyncio.gather(*writes, return_exceptions=True):
            assert isinstance(outcome, Timeout | ShardUnavailable)


async def test_closing_a_replica_that_is_being_opened_ends_the_waiting_for_it(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        group.kill(2)
        group.start(2)
        shard, group.places[2].shard = group.places[2].replica, None
        waiting = asyncio.create_task(shard.opened())
        await shard.close(checkpoint=False)
        async with asyncio.timeout(5):
            await waiting


async def test_a_shard_that_is_new_to_a_peer_joins_through_the_log_without_a_transfer(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1,)) as group:
        await group.write(upsert([1]))
        group.propose(AddReplica(shard_ref(group.collection, group.agreed), 2))
        await group.active(2)
        assert await group.read(2) == {1: b'{"n": 1}'}


async def test_a_lead_that_is_handed_over_makes_nobody_wait_for_leases(tmp_path: Path) -> None:
    """Nor does a follower that leaves: leases here outlast the test's patience."""
    long = replace(TUNING, read_lease_ms=60_000, evict_after_ms=120_000)
    async with group_of(tmp_path, (1, 2, 3), tuning=long) as group:
        await group.write(upsert([1]))
        await until(
            lambda: group.places[3].replica.life.machine.may_serve_strong_read(group.places[3].now_ms())
        )
        leader = group.places[1].replica
        await until(lambda: leader.heirs() == [2, 3])
        command = leader.hand_over(2)
        assert command is not None
        group.propose(command)
        await group.write_in_the_end(upsert([2]))
        assert group.primary.me == 2
        leader.leave()
        await group.write_in_the_end(upsert([3]))
        assert await group.read(3) == {number: b'{"n": %d}' % number for number in (1, 2, 3)}
        assert group.agreed.replicas[1] is ReplicaState.DEAD


async def test_who_does_not_lead_has_nothing_to_hand_over(tmp_path: Path) -> None:
    async with group_of(tmp_path, (1, 2)) as group:
        follower = group.places[2].replica
        assert follower.heirs() == []
        assert follower.hand_over(1) is None
