"""Three nodes, six shards with two or three replicas, ten clients, and a node that fails under load.

Whatever happens to one node: what the clients saw has an order (reads ask for a majority), nothing that was
acknowledged is lost, the others serve every shard again within five seconds, and afterwards all replicas are
active and equal. More than half of two replicas is both, so with two such reads fail while one is down;
writes, and reads of any one replica, are served.

``make faults ROUNDS=n`` plays random sequences of faults, ``SEED=n`` repeats one.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator

import pytest

from tests_cluster.cluster import Cluster, ClusterNode, clustered
from tests_cluster.faults import ALL, CUT, DEAF, KILL, MUTE, PAUSE, STOP, Fault
from tests_cluster.history import Recorder
from tests_cluster.linearizability import Outcome
from tests_cluster.network import Network
from tests_cluster.view import View

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("FAULTS_ROUNDS") or 1)
SEED = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randint(1, 10**6))
NODES, SHARDS = 3, 6
REPLICAS = {"leader": 2, "follower": 3}  # of the shards, when that one fails
CLIENTS, KEYS = 10, 20
BEFORE_S, HELD_S, AFTER_S = 0.7, 1.0, 0.7  # under load: before the fault, once the others serve, after it
RANDOM_HELD_S = (0.1, 6.0)  # some of it longer than it takes to be evicted
ENVIRONMENT = {
    "STORAGE__WAL__WAL_CAPACITY_MB": "1",
    "STORAGE__OPTIMIZERS__FLUSH_INTERVAL_SEC": "1",
    "STORAGE__OPTIMIZERS__INDEXING_THRESHOLD": "8",  # KiB: segments are sealed while we write
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("faults")
    with (
        Network(NODES) as network,
        clustered(directory, NODES, network=network, environment=ENVIRONMENT) as made,
    ):
        yield made


class Trial:
    """A collection under load, and what must hold for it."""

    def __init__(self, cluster: Cluster, view: View, name: str, *, seed: int, replicas: int = 2) -> None:
        self.cluster, self.view, self.name, self.replicas = cluster, view, name, replicas
        self.recorder = Recorder(
            cluster.urls, name, seed=seed, keys=KEYS, read_query={"consistency": "majority"}
        )

    async def __aenter__(self) -> Trial:
        await self.recorder.create_collection(
            shard_number=SHARDS, replication_factor=self.replicas, write_consistency_factor=1
        )
        await self.in_thread(self.view.wait_active, self.name, replicas=SHARDS * self.replicas)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.recorder.__aexit__(None, None, None)

    async def suffer(self, fault: Fault, victim: ClusterNode) -> None:
        """The fault under load, from a cluster that is whole to one that is whole again."""
        survivor = next(node for node in self.view.running() if node is not victim)
        async with self.recorder.running(CLIENTS):
            await asyncio.sleep(BEFORE_S)
            await self.in_thread(fault.begin, self.cluster, victim)
            began_s = time.monotonic()  # a node that is told to end serves until it has ended
            served_s = await self.in_thread(self.view.wait_served, self.name, survivor, since_s=began_s)
            print(f"{fault} of node {victim.member.index}: served again after {served_s:.1f} s")
            await asyncio.sleep(HELD_S)
            await self.in_thread(fault.end, self.cluster, victim)
            await self.in_thread(self.view.wait_joined, NODES)
            await asyncio.sleep(AFTER_S)

    async def check(self) -> None:
        """Nothing is lost, and no replica differs. The collection is dropped then."""
        await self.in_thread(self.view.wait_active, self.name, replicas=SHARDS * self.replicas)
        await self.recorder.read_all()
        outcomes = self.recorder.outcomes()
        print(f"{len(self.recorder.history)} operations, {dict(outcomes)}")
        assert outcomes[Outcome.OK] > 10 * CLIENTS
        self.recorder.assert_linearizable()
        await self.in_thread(self.view.assert_replicas_equal, self.name)
        await self.in_thread(self.view.drop, self.name)

    @staticmethod
    async def in_thread(call: object, *arguments: object, **keywords: object) -> float:
        return await asyncio.to_thread(call, *arguments, **keywords)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("role", ["leader", "follower"])
@pytest.mark.parametrize("fault", [KILL, PAUSE, CUT], ids=str)
async def test_a_node_fails_under_load(cluster: Cluster, view: View, fault: Fault, role: str) -> None:
    """The leader of the metadata log is primary of some shards, and replica of others, as any node is."""
    name = f"{fault.name}-{role}".replace(" ", "")
    async with Trial(cluster, view, name, seed=SEED, replicas=REPLICAS[role]) as trial:
        victim = view.leader() if role == "leader" else view.follower()
        await trial.suffer(fault, victim)
        await trial.check()


@pytest.mark.parametrize("fault", [STOP, MUTE, DEAF], ids=str)
async def test_a_node_is_ended_or_half_cut_off_under_load(cluster: Cluster, view: View, fault: Fault) -> None:
    async with Trial(cluster, view, fault.name, seed=SEED) as trial:
        await trial.suffer(fault, view.leader())
        await trial.check()


async def test_all_nodes_are_killed_at_once_under_load(cluster: Cluster, view: View) -> None:
    async with Trial(cluster, view, "all", seed=SEED) as trial:
        async with trial.recorder.running(CLIENTS):
            await asyncio.sleep(BEFORE_S)
            for node in cluster:
                node.kill()
            for node in cluster:
                node.launch()
            await trial.in_thread(view.wait_joined, NODES)
            await trial.in_thread(view.wait_served, "all", cluster[0])
            await asyncio.sleep(AFTER_S)
        await trial.check()


async def test_random_faults_one_after_another(cluster: Cluster, view: View) -> None:
    """Also several at a time: then nothing need be served, and still nothing may be lost."""
    print(f"seed {SEED}: repeat with `make faults ROUNDS={ROUNDS} SEED={SEED}`")
    rng = random.Random(SEED)
    for number in range(ROUNDS):
        seed, replicas = rng.randrange(10**9), rng.choice([2, 3])
        async with Trial(cluster, view, f"random{number}", seed=seed, replicas=replicas) as trial:
            async with trial.recorder.running(CLIENTS):
                await _some_faults(cluster, rng)
                await trial.in_thread(view.wait_joined, NODES)
                await trial.in_thread(view.wait_served, trial.name, cluster[0], within_s=10.0)
            await trial.check()
        print(f"round {number} is well", flush=True)


async def _some_faults(cluster: Cluster, rng: random.Random) -> None:
    """One or two nodes fail, each for a while of its own, so that the times may overlap."""
    victims = rng.sample(list(cluster), rng.choice([1, 1, 2]))
    # Healing undoes every cut, so there is one fault of the network at a time.
    faults = [rng.choice(ALL if number == 0 else (KILL, STOP, PAUSE)) for number in range(len(victims))]

    async def one(fault: Fault, victim: ClusterNode) -> None:
        await asyncio.sleep(rng.uniform(0.2, 2.0))
        print(f"{fault} of node {victim.member.index}", flush=True)
        await asyncio.to_thread(fault.begin, cluster, victim)
        await asyncio.sleep(rng.uniform(*RANDOM_HELD_S))
        await asyncio.to_thread(fault.end, cluster, victim)

    await asyncio.gather(*(one(fault, victim) for fault, victim in zip(faults, victims)))
