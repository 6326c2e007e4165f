"""A collection gets a shard more, and one less, while clients write, read and look at everything.

Whatever dies meanwhile: what the clients saw has an order (reads ask for a majority); of the points that
nobody changes every look, by whatever way and at whatever node, sees each exactly once; and in the end each
point is in its shard alone, in all of its replicas.

``make reshard ROUNDS=n`` plays random sequences of reshardings, kills and aborts, ``SEED=n`` repeats one.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests_cluster.cluster import Cluster, ClusterNode, clustered
from tests_cluster.faults import restore
from tests_cluster.history import DIM, Recorder
from tests_cluster.linearizability import Outcome
from tests_cluster.view import View
from vecraft.cli import main

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("RESHARD_ROUNDS") or 0)
SEED = int(os.environ.get("RESHARD_SEED") or random.SystemRandom().randint(1, 10**6))
NODES, CLIENTS = 3, 4
STEADY = range(1000, 3000)  # points that nobody changes
PATIENCE_S = 90.0
ENVIRONMENT = {
    "CLUSTER__RESHARDING_ENABLED": "true",
    "STORAGE__WAL__WAL_CAPACITY_MB": "1",
    "STORAGE__OPTIMIZERS__FLUSH_INTERVAL_SEC": "1",
    "STORAGE__OPTIMIZERS__INDEXING_THRESHOLD": "64",  # KiB: segments are sealed and indexed meanwhile
}
ONLY_STEADY = {"must": [{"key": "steady", "match": {"value": True}}]}

Json = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("resharding"), NODES, environment=ENVIRONMENT) as made:
        yield made


class Trial:
    """A collection of two shards under load, and what must hold for it."""

    def __init__(self, cluster: Cluster, view: View, name: str, *, seed: int) -> None:
        self.cluster, self.view, self.name = cluster, view, name
        reads = {"consistency": "majority"}
        self.recorder = Recorder(cluster.urls, name, seed=seed, read_query=reads)
        self.looks = 0

    async def __aenter__(self) -> Trial:
        await self.recorder.create_collection(
            shard_number=2, replication_factor=3, write_consistency_factor=1
        )
        await self.in_thread(self.view.wait_active, self.name, replicas=6)
        await self.in_thread(self._fill)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.recorder.__aexit__(None, None, None)

    async def in_thread(self, call: Callable[..., Any], *args: Any, **parameters: Any) -> Any:
        return await asyncio.to_thread(call, *args, **parameters)

    def _fill(self) -> None:
        node, path = self.cluster[0], f"/collections/{self.name}"
        for field, schema in (("steady", "bool"), ("group", "keyword")):
            body = {"field_name": field, "field_schema": schema}
            self.view.call(node, "PUT", f"{path}/index", body, wait="true")
        points = [
            {"id": each, "vector": [1.0 * each] * DIM, "payload": {"steady": True, "group": f"g{each % 4}"}}
            for each in STEADY
        ]
        for start in range(0, len(points), 500):
            self.view.call(
                node, "PUT", f"{path}/points", {"points": points[start : start + 500]}, wait="true"
            )

    # --- load -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def load(self) -> Any:
        stop = asyncio.Event()
        async with self.recorder.running(CLIENTS), asyncio.TaskGroup() as group:
            group.create_task(self._looking(stop))
            try:
                yield
            finally:
                stop.set()

    async def _looking(self, stop: asyncio.Event) -> None:
        ways = [self._count, self._scroll, self._search, self._facet]
        async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
            while not stop.is_set():
                for way in ways:
                    node = random.choice(self.view.running() or list(self.cluster))
                    try:
                        await way(http, node)
                    except (httpx.TransportError, _NotAnsweredError):
                        await asyncio.sleep(0.1)
                    else:
                        self.looks += 1

    async def _ask(self, http: httpx.AsyncClient, node: ClusterNode, path: str, body: Json) -> Any:
        answer = await http.post(f"{node.url}/collections/{self.name}{path}", json=body)
        if answer.status_code in (408, 500, 503):
            raise _NotAnsweredError
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def _count(self, http: httpx.AsyncClient, node: ClusterNode) -> None:
        found = await self._ask(http, node, "/points/count", {"exact": True, "filter": ONLY_STEADY})
        assert found["count"] == len(STEADY), f"counted {found['count']}"

    async def _scroll(self, http: httpx.AsyncClient, node: ClusterNode) -> None:
        body = {"limit": len(STEADY) + 1000, "filter": ONLY_STEADY, "with_payload": False}
        found = await self._ask(http, node, "/points/scroll", body)
        _check_once([point["id"] for point in found["points"]], "scrolled")

    async def _search(self, http: httpx.AsyncClient, node: ClusterNode) -> None:
        limit = len(STEADY) + 1000
        body = {"query": [1.0] * DIM, "limit": limit, "filter": ONLY_STEADY, "params": {"exact": True}}
        found = await self._ask(http, node, "/points/query", body)
        _check_once([point["id"] for point in found["points"]], "searched")

    async def _facet(self, http: httpx.AsyncClient, node: ClusterNode) -> None:
        body = {"key": "group", "filter": ONLY_STEADY, "exact": True}
        found = await self._ask(http, node, "/facet", body)
        counts = {hit["value"]: hit["count"] for hit in found["hits"]}
        assert counts == {f"g{number}": len(STEADY) // 4 for number in range(4)}, counts

    # --- reshardings ------------------------------------------------------------------------------------

    def start(self, direction: str, **options: Any) -> Json:
        """Returns: the collection as it is shown then."""
        self.view.change(self._node(), self.name, start_resharding={"direction": direction, **options})
        return self.shown()

    def shown(self) -> Json:
        return self.view.collection(self._node(), self.name)

    def _node(self) -> ClusterNode:
        return next(node for node in self.view.running() if self.view.answers(node))

    def wait_for(self, condition: Callable[[Json], bool], what: str) -> None:
        def met() -> bool:
            try:
                return condition(self.shown())
            except (httpx.TransportError, AssertionError, StopIteration):
                return False

        self.cluster.wait_for(met, seconds=PATIENCE_S, what=what)

    def wait_done(self, shards: int) -> None:
        self.wait_for(
            lambda shown: not shown.get("resharding_operations") and shown["shard_count"] == shards,
            f"{shards} shards, and no resharding",
        )

    async def check(self, shards: int) -> None:
        await self.in_thread(restore, self.cluster)
        await self.in_thread(self.view.wait_joined, NODES)
        await self.in_thread(self.view.wait_active, self.name, replicas=3 * shards, seconds=PATIENCE_S)
        await self.recorder.read_all()
        print(f"{self.looks} looks, {dict(self.recorder.outcomes())}")
        assert self.looks > 0
        assert self.recorder.outcomes()[Outcome.OK] > 100
        self.recorder.assert_linearizable()
        points = await self.in_thread(self.view.assert_replicas_equal, self.name, seconds=30)
        assert set(STEADY) <= points.keys()
        await self.in_thread(self.view.drop, self.name)


class _NotAnsweredError(Exception):
    pass


def _check_once(ids: list[int], how: str) -> None:
    assert len(ids) == len(set(ids)), f"{how} a point twice"
    missed = set(STEADY) - set(ids)
    assert not missed, f"{how} without {len(missed)} points, such as {sorted(missed)[:5]}"


async def test_a_collection_grows_and_shrinks_under_load(cluster: Cluster, view: View) -> None:
    async with Trial(cluster, view, "grows", seed=1) as trial:
        async with trial.load():
            shown = await trial.in_thread(trial.start, "up")
            (operation,) = shown["resharding_operations"]
            assert (operation["direction"], operation["shard_id"]) == ("up", 2)
            await trial.in_thread(trial.wait_done, 3)
            await trial.in_thread(trial.start, "down")
            await trial.in_thread(trial.wait_done, 2)
        await trial.check(2)


def test_the_command_line_reshards(cluster: Cluster, view: View, capsys: pytest.CaptureFixture[str]) -> None:
    view.create("told", shard_number=1, replication_factor=1)
    view.put(cluster[0], "told", range(200), 1)
    server = ["--url", cluster[1].url]
    assert main(["cluster", "reshard", "told", "abort", *server]) == 1
    assert "resharding is not in progress for collection told" in capsys.readouterr().err
    for step, shards in (("up", 2), ("down", 1)):
        assert main(["cluster", "reshard", "told", step, *server]) == 0
        assert f"is done: {shards} shards" in capsys.readouterr().err
        assert view.assert_replicas_equal("told").keys() == set(range(200))
    view.drop("told")


async def test_an_abort_leaves_everything_as_it_was(cluster: Cluster, view: View) -> None:
    async with Trial(cluster, view, "aborted", seed=2) as trial:
        async with trial.load():
            await trial.in_thread(trial.start, "up")
            await trial.in_thread(view.change, cluster[1], trial.name, abort_resharding={})
            await trial.in_thread(trial.wait_done, 2)
            await trial.in_thread(trial.start, "up")
            await trial.in_thread(trial.wait_done, 3)
            await trial.in_thread(trial.start, "down")
            await trial.in_thread(view.change, cluster[2], trial.name, abort_resharding={})
            await trial.in_thread(trial.wait_done, 3)
            refused = view.request(
                cluster[0], "POST", f"/collections/{trial.name}/cluster", {"abort_resharding": {}}
            )
            assert "resharding is not in progress for collection aborted" in refused.text
        await trial.check(3)


@pytest.mark.parametrize("victim", ["source", "target", "leader"])
async def test_whoever_dies_it_goes_on(cluster: Cluster, view: View, victim: str) -> None:
    """Killed while points are copied; once more, on the way back, at some moment."""
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    async with Trial(cluster, view, f"killed-{victim}", seed=SEED) as trial:
        async with trial.load():
            for direction, shards, delay_s in (
                ("up", 3, rng.uniform(0, 0.3)),
                ("down", 2, rng.uniform(0, 3)),
            ):
                shown = await trial.in_thread(trial.start, direction)
                node = await trial.in_thread(_victim, view, shown, victim)
                await asyncio.sleep(delay_s)  # the moment of death is the point
                await trial.in_thread(node.kill)
                await asyncio.sleep(rng.uniform(0.5, 2))
                await trial.in_thread(node.launch)
                await trial.in_thread(node.wait_ready)
                await trial.in_thread(trial.wait_done, shards)
        await trial.check(2)


def _victim(view: View, shown: Json, who: str) -> ClusterNode:
    if who == "leader":
        return view.leader()
    transfers = shown["shard_transfers"]
    end = "from" if who == "source" else "to"
    return view.node_of(transfers[0][end]) if transfers else view.running()[0]


@pytest.mark.skipif(not ROUNDS, reason="make reshard")
async def test_any_sequence_of_reshardings_kills_and_aborts(cluster: Cluster, view: View) -> None:
    for number in range(ROUNDS):
        seed = SEED + number
        rng = random.Random(seed)
        print(f"round {number}, seed {seed}, {time.strftime('%X')}")
        async with Trial(cluster, view, f"round-{number}", seed=seed) as trial:
            shards = 2
            async with trial.load():
                for _ in range(rng.randint(1, 4)):
                    shards = await _some_resharding(trial, rng, shards)
            await trial.check(shards)


async def _some_resharding(trial: Trial, rng: random.Random, shards: int) -> int:
    """Returns: how many shards there are then."""
    direction = "up" if shards == 1 or (shards < 4 and rng.random() < 0.5) else "down"
    await trial.in_thread(trial.start, direction)
    await asyncio.sleep(rng.uniform(0, 3))
    killed = rng.choice([None, *trial.cluster])
    if killed is not None:
        await trial.in_thread(killed.kill)
    await asyncio.sleep(rng.uniform(0, 3))
    if rng.random() < 0.3:
        body = {"abort_resharding": {}}
        path = f"/collections/{trial.name}/cluster"
        await trial.in_thread(trial.view.request, trial._node(), "POST", path, body)
    if killed is not None:
        await trial.in_thread(killed.launch)
        await trial.in_thread(killed.wait_ready)
    await trial.in_thread(
        trial.wait_for, lambda shown: not shown.get("resharding_operations"), "the resharding to end"
    )
    after = await trial.in_thread(trial.shown)
    print(
        f"  {direction}, {'nobody' if killed is None else killed.member.index} killed: {after['shard_count']}"
    )
    found: int = after["shard_count"]
    return found
