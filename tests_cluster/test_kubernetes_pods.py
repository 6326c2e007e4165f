"""The chart's pods as processes, under load: installed, scaled, restarted, evicted, emptied, lost.

At every step clients go on through the service. They send a request once more that was cut off or answered
503, and no other: none may fail, what they saw must have an order, and nothing that was acknowledged is lost.
Where a machine is lost without a word they send again for as long as it may be mistaken for a good one.

``make play ROUNDS=n`` plays steps at random, ``SEED=n`` repeats one.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from protos.qdrant.queries_pb2 import CountPoints, CountResponse
from tests_cluster.history import Recorder
from tests_cluster.kubernetes import Installation, installed
from tests_cluster.linearizability import Outcome
from tests_cluster.network import Network
from tests_cluster.service import PAUSE_S, Again, Service

pytestmark = pytest.mark.slow

SHARDS, REPLICAS = 4, 3
CLIENTS, KEYS = 6, 20
BEFORE_S = 0.5
PATIENT = 30  # times that a request is sent where a machine is lost
ROUNDS = int(os.environ.get("PLAY_ROUNDS") or 0)
SEED = int(os.environ.get("PLAY_SEED") or random.SystemRandom().randint(1, 10**6))
VALUES = {
    "replicaCount": 3,
    "terminationGracePeriodSeconds": 180,
    "config": {
        "service": {"shutdown_delay_sec": 2},
        "storage": {"wal": {"wal_capacity_mb": 1}, "optimizers": {"flush_interval_sec": 1}},
    },
}


class Load:
    """Clients of the service, and what they saw of the collection ``c``."""

    def __init__(self, release: Installation, rest: Service, grpc_service: Service) -> None:
        self.again = Again()
        self._key = release.secret("api-key")
        self.http = httpx.AsyncClient(
            transport=self.again, base_url=rest.url, headers={"api-key": self._key}, timeout=30
        )
        self.recorder = Recorder(
            [rest.url], "c", seed=1, keys=KEYS, read_query={"consistency": "majority"}, http=self.http
        )
        self._grpc = grpc_service
        self.counted = 0

    @asynccontextmanager
    async def running(self, *, times: int = 2) -> AsyncIterator[None]:
        """No request fails while the block runs, nor a little before and after."""
        self.again.times = times
        counting = asyncio.create_task(self._count(times))
        async with self.recorder.running(CLIENTS):
            await asyncio.sleep(BEFORE_S)
            yield
            await asyncio.sleep(BEFORE_S)
        assert not counting.done(), counting.result()
        counting.cancel()
        history = self.recorder.history
        failed = [each for each in history if each.outcome is not Outcome.OK]
        assert not failed, f"{len(failed)} of {len(history)} failed: {failed[:5]}"

    async def _count(self, times: int) -> None:
        """Over gRPC, on one connection while it lasts. Raises: AioRpcError."""
        async with grpc.aio.insecure_channel(self._grpc.address) as channel:
            method = channel.unary_unary(
                "/qdrant.Points/Count",
                request_serializer=CountPoints.SerializeToString,
                response_deserializer=CountResponse.FromString,
            )
            while True:
                for left in reversed(range(times)):
                    if left < times - 2:
                        await asyncio.sleep(PAUSE_S)
                    try:
                        await method(CountPoints(collection_name="c"), metadata=(("api-key", self._key),))
                        break
                    except grpc.aio.AioRpcError as error:
                        if error.code() is not grpc.StatusCode.UNAVAILABLE or not left:
                            raise
                        self.again.why[f"gRPC: {error.details()}"] += 1
                self.counted += 1
                await asyncio.sleep(0.05)

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def peers(self) -> set[int]:
        return {peer["id"] for peer in await self.get("/cluster/peers")}

    async def replicas(self) -> dict[tuple[int, int], str]:
        """States by shard and peer."""
        found = await self.get("/collections/c/cluster")
        own = {(each["shard_id"], found["peer_id"]): each["state"] for each in found["local_shards"]}
        return own | {(each["shard_id"], each["peer_id"]): each["state"] for each in found["remote_shards"]}

    async def whole(self, *, seconds: float = 60.0) -> None:
        """Every shard has its replicas, active."""
        found: dict[tuple[int, int], str] = {}
        try:
            async with asyncio.timeout(seconds):
                while list(found.values()) != ["Active"] * SHARDS * REPLICAS:
                    await asyncio.sleep(0.2)
                    found = await self.replicas()
        except TimeoutError:
            raise AssertionError(f"not whole after {seconds} s: {found}") from None

    async def check(self) -> None:
        await self.recorder.read_all()
        print(
            f"{len(self.recorder.history)} operations and {self.counted} over gRPC; again: {self.again.why}"
        )
        self.recorder.assert_linearizable()


@asynccontextmanager
async def playing(directory: Path, machines: int) -> AsyncIterator[tuple[Installation, Load]]:
    """The chart installed, and a collection of its service that is under load when a test says so."""
    async with AsyncExitStack() as stack:
        network = stack.enter_context(Network(machines))
        release = stack.enter_context(installed(directory, network, VALUES))
        await asyncio.to_thread(release.wait_ready)
        rest = await stack.enter_async_context(Service(release.endpoints))
        load = Load(release, rest, await stack.enter_async_context(Service(release.endpoints, "grpc")))
        await stack.enter_async_context(load.http)
        await load.recorder.create_collection(
            shard_number=SHARDS, replication_factor=REPLICAS, write_consistency_factor=2
        )
        await load.whole()
        yield release, load
        await load.check()


async def test_pods_are_added_emptied_and_restarted_and_clients_notice_nothing(tmp_path: Path) -> None:
    async with playing(tmp_path, 8) as (release, load):
        three = await load.peers()
        async with load.running():
            await asyncio.to_thread(release.scale, 5)
            await asyncio.to_thread(release.wait_ready)
        assert len(await load.peers()) == 5
        async with load.running():
            await asyncio.to_thread(release.scale, 3)
            await asyncio.to_thread(release.wait_ready, seconds=120)
        assert await load.peers() == three
        await load.whole()
        async with load.running():
            await asyncio.to_thread(release.restart)
            await asyncio.to_thread(release.wait_ready, seconds=120)
        assert await load.peers() == three
        await asyncio.to_thread(release.assert_ended_well)


async def test_pods_are_evicted_one_at_a_time_and_one_that_was_scaled_away_comes_back(tmp_path: Path) -> None:
    async with playing(tmp_path, 7) as (release, load):
        await asyncio.to_thread(release.scale, 4)
        await asyncio.to_thread(release.wait_ready)
        async with load.running():
            assert release.evict(3)
            assert not release.evict(0)
            await asyncio.to_thread(release.wait_ready)
            assert release.evict(0)
            await asyncio.to_thread(release.wait_ready)
        four = await load.peers()
        async with load.running():
            await asyncio.to_thread(release.scale, 3)
            await asyncio.to_thread(release.wait_ready, seconds=120)
            assert len(await load.peers()) == 3
            await asyncio.to_thread(release.scale, 4)  # its claim is still there
            await asyncio.to_thread(release.wait_ready)
        assert len(await load.peers() & four) == 3
        await asyncio.to_thread(release.assert_ended_well)


async def test_the_first_pod_lost_its_disk_and_is_filled_anew_by_itself(tmp_path: Path) -> None:
    async with playing(tmp_path, 5) as (release, load):
        before = await load.peers()
        async with load.running(times=PATIENT):
            await asyncio.to_thread(release.lose, 0)
            await asyncio.to_thread(release.wait_ready)
            assert list((await load.replicas()).values()) == ["Active"] * SHARDS * REPLICAS, "ready too soon"
        after = await load.peers()
        assert (len(after), len(after & before)) == (3, 2)


async def test_all_pods_come_back_at_other_addresses_the_first_without_its_disk(tmp_path: Path) -> None:
    """It must wait for the others rather than begin a second cluster."""
    async with playing(tmp_path, 8) as (release, load):
        before = await load.peers()
        async with load.running():
            pass
        addresses = {pod.node.address for pod in release.pods.values()}
        await asyncio.to_thread(release.stop_all, lost=[0])
        await asyncio.to_thread(release.wait_ready)
        assert not addresses & {pod.node.address for pod in release.pods.values()}
        async with load.running():
            after = await load.peers()
        assert (len(after), len(after & before)) == (3, 2)
        await load.whole()


@pytest.mark.skipif(not ROUNDS, reason="`make play` plays it")
async def test_steps_at_random(tmp_path: Path) -> None:
    print(f"seed {SEED}: repeat with `make play ROUNDS={ROUNDS} SEED={SEED}`")
    rng = random.Random(SEED)
    async with playing(tmp_path, 12) as (release, load):
        for number in range(ROUNDS):
            step = rng.choice(("scale", "scale", "restart", "evict", "lose", "crash"))
            pods = len(release.pods)
            # Three replicas of each shard need three pods at least.
            argument = rng.randint(3, 6) if step == "scale" else rng.randrange(pods)
            print(f"round {number}: {step} {argument} of {pods}", flush=True)
            async with load.running(times=PATIENT if step in ("lose", "crash") else 2):
                call = release.restart if step == "restart" else partial(getattr(release, step), argument)
                await asyncio.to_thread(call)
                await asyncio.to_thread(release.wait_ready, seconds=180)
            await load.whole(seconds=120)
            assert len(await load.peers()) == len(release.pods)
