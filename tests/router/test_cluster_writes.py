"""Writes through one of several nodes: they reach the primary, whoever that is, and are applied once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from consensus.state import ReplicaState
from protos.collections import decode_create
from protos.errors import NotFound, NotPrimary, ShardUnavailable, Timeout
from protos.operations import UpdateResult, UpdateStatus
from router.points import WriteOptions
from router.primaries.calls import ATTEMPT_S
from tests.router.fake_cluster import DOWN, HANG, LOST_ANSWER, FakeCluster, Front, upsert
from tests.router.virtual_time import run_virtually

WAIT = WriteOptions(wait=True)
A, D = ReplicaState.ACTIVE, ReplicaState.DEAD


class Cluster(FakeCluster):
    """Collection ``c``: one shard on three peers, led by peer 2; the router is peer 1's."""

    def __init__(self, **params: Any) -> None:
        super().__init__()
        self.front = Front(self)
        self.params = {"shard_number": 1, "replication_factor": 3, **params}

    async def created(self) -> Cluster:
        body = {"vectors": {"size": 2, "distance": "Dot"}, **self.params}
        await self.front.collections.create("c", decode_create(body))
        for shard_id in self.log.state.collections["c"].shards:
            if self.shard("c", shard_id).primary != 2:
                await self.promote("c", shard_id, 2)
        self.asked.clear()
        return self

    async def write(self, *ids: int, options: WriteOptions = WAIT) -> UpdateResult:
        return await self.front.points.apply("c", upsert(*ids), options)

    def everywhere(self, *ids: int) -> bool:
        return all(self.points("c", 0, peer) == sorted(ids) for peer in (1, 2, 3))


def run(test: Coroutine[Any, Any, None]) -> None:
    run_virtually(test)


def test_a_write_goes_to_the_primary() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        assert await cluster.write(1) == UpdateResult(UpdateStatus.COMPLETED, 0)
        assert cluster.asked == {2: 1}
        assert cluster.everywhere(1)

    run(test())


def test_every_part_has_an_operation_id_of_its_own() -> None:
    async def test() -> None:
        cluster = await Cluster(shard_number=3).created()
        for _ in range(2):
            await cluster.write(*range(40))
        ids = [request.operation_id for request in cluster.requests]
        assert len(set(ids)) == len(ids) == 6
        assert all(ids)

    run(test())


def test_a_peer_that_does_not_lead_says_who_does() -> None:
    """This node's map is behind: peer 3 leads, the state still names peer 2."""

    async def test() -> None:
        cluster = await Cluster().created()
        cluster.leads["c", 0] = 3
        await cluster.write(1)
        assert cluster.asked == {2: 1, 3: 1}
        assert cluster.everywhere(1)

    run(test())


def test_a_write_waits_for_a_new_primary() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.down.add(2)
        write = asyncio.create_task(cluster.write(1))
        await asyncio.sleep(5)
        assert not write.done()
        started = asyncio.get_running_loop().time()
        await cluster.promote("c", 0, 3, lost=True)
        await write
        assert asyncio.get_running_loop().time() - started < 0.001  # woken, not polled
        assert cluster.points("c", 0, 3) == [1]

    run(test())


def test_an_unknown_outcome_repeated_gives_one_application() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.fail(2, LOST_ANSWER, LOST_ANSWER)
        result = await cluster.write(1)
        assert result.operation_id == 0
        assert cluster.asked[2] == 3
        assert len({request.operation_id for request in cluster.requests}) == 1
        assert list(cluster.applied.values()) == [1]

    run(test())


def test_a_repeat_at_the_next_primary_is_the_same_operation() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.fail(2, LOST_ANSWER)
        write = asyncio.create_task(cluster.write(1))
        await asyncio.sleep(0)
        cluster.down.add(2)
        await cluster.promote("c", 0, 3, lost=True)
        await write
        assert list(cluster.applied.values()) == [1]

    run(test())


def test_an_attempt_ends_when_another_peer_is_promoted() -> None:
    """The old primary is stopped: it takes the request and never answers."""

    async def test() -> None:
        cluster = await Cluster().created()
        cluster.fail(2, HANG)
        write = asyncio.create_task(cluster.write(1))
        await asyncio.sleep(1)
        await cluster.promote("c", 0, 3, lost=True)
        await write
        assert asyncio.get_running_loop().time() < ATTEMPT_S
        assert cluster.points("c", 0, 3) == [1]

    run(test())


def test_a_primary_that_stays_silent_is_asked_again() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.fail(2, HANG)
        await cluster.write(1)
        assert ATTEMPT_S <= asyncio.get_running_loop().time() < ATTEMPT_S + 1
        assert cluster.everywhere(1)

    run(test())


def test_when_no_primary_comes_in_time_the_last_error_is_told() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.down.add(2)
        started = asyncio.get_running_loop().time()
        with pytest.raises(ShardUnavailable, match="cannot be reached"):
            await cluster.write(1, options=WriteOptions(timeout_ms=3000))
        assert 2.9 < asyncio.get_running_loop().time() - started <= 3.0
        assert cluster.asked[2] < 20

    run(test())


def test_a_write_that_may_be_applied_is_told_as_timed_out() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.fail(2, LOST_ANSWER, *[DOWN] * 100)
        text = "Timeout: Update operation timed out in 3 seconds on 1 out of 1 shards."
        with pytest.raises(Timeout, match=text):
            await cluster.write(1, options=WriteOptions(timeout_ms=3000))

    run(test())


def test_the_shard_is_told_how_much_time_is_left() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.down.add(2)
        write = asyncio.create_task(cluster.write(1, options=WriteOptions(wait=True, timeout_ms=5000)))
        await asyncio.sleep(2)
        cluster.down.clear()
        await write
        (request,) = cluster.requests
        assert request.timeout_ms is not None
        assert 1000 < request.timeout_ms <= 3000

    run(test())


def test_no_time_at_all_is_one_attempt() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        await cluster.write(1, options=WriteOptions(wait=True, timeout_ms=0))
        assert cluster.requests[0].timeout_ms == 0
        cluster.down.add(2)
        with pytest.raises(ShardUnavailable):
            await cluster.write(2, options=WriteOptions(wait=True, timeout_ms=0))
        assert cluster.asked[2] == 2

    run(test())


def test_peers_that_name_each_other_wear_nobody_out() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.fail(2, *[NotPrimary("no", primary=3)] * 1000)
        cluster.fail(3, *[NotPrimary("no", primary=2)] * 1000)
        with pytest.raises(ShardUnavailable):
            await cluster.write(1, options=WriteOptions(timeout_ms=10_000))
        assert cluster.asked.total() < 100

    run(test())


def test_a_write_to_a_collection_dropped_meanwhile_is_not_found() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.down.add(2)
        write = asyncio.create_task(cluster.write(1))
        await asyncio.sleep(1)
        await cluster.front.collections.delete("c")
        await cluster.front.collections.create("c", decode_create({"vectors": {}}))
        with pytest.raises(NotFound, match="Collection `c` doesn't exist"):
            await write

    run(test())


def test_a_failed_part_does_not_repeat_the_others() -> None:
    async def test() -> None:
        cluster = await Cluster(shard_number=2).created()
        await cluster.promote("c", 1, 3)
        cluster.down.add(3)
        write = asyncio.create_task(cluster.write(*range(20)))
        await asyncio.sleep(2)
        cluster.down.clear()
        result = await write
        assert result.status is UpdateStatus.COMPLETED
        assert cluster.asked[2] == 1
        assert set(cluster.applied.values()) == {1}

    run(test())


def test_the_same_idempotency_key_is_one_write_through_any_node() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        options = WriteOptions(wait=True, idempotency_key="k")
        await cluster.write(1, options=options)
        await Front(cluster, 3).started().points.apply("c", upsert(1), options)
        assert list(cluster.applied.values()) == [1]

    run(test())


def test_a_replica_that_was_never_opened_here_is_written_to_elsewhere() -> None:
    """This node holds a replica that is being filled; the primary is what counts."""

    async def test() -> None:
        cluster = await Cluster().created()
        cluster.behind.add(1)
        del cluster.copies["c", 0, 1]
        cluster.set_states("c", 0, ReplicaState.PARTIAL, A, A)
        await cluster.write(1)
        assert cluster.points("c", 0, 2) == [1]

    run(test())
