"""From each earlier release to this one: on its storage, and node by node in a cluster that serves meanwhile.

An operator takes a node out of the service before it is stopped and puts it back when it is ready, as
Kubernetes does. Between the first node and the last the cluster is mixed; each kind leads and follows then.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import THIS, LiveNode
from tests_cluster.cluster import Cluster, ClusterNode, clustered
from tests_cluster.history import DIM, Recorder, vector_of
from tests_cluster.ledger import DIM as LEDGER_DIM
from tests_cluster.ledger import Writer
from tests_cluster.linearizability import Outcome
from tests_cluster.releases import released, releases
from tests_cluster.service import CUT_OFF
from tests_cluster.view import View

pytestmark = pytest.mark.slow

CLUSTERED = [version for version in releases() if version != "0.1.0"]  # whose nodes can form a cluster
NODES, SHARDS, REPLICAS = 3, 3, 3
CLIENTS, KEYS = 6, 20
PATIENCE_S = 20.0
UNDER_LOAD_S = 0.5  # before and after each step
SMALL = {
    "STORAGE__WAL__WAL_CAPACITY_MB": "1",
    "STORAGE__OPTIMIZERS__FLUSH_INTERVAL_SEC": "1",
    "STORAGE__OPTIMIZERS__INDEXING_THRESHOLD": "8",  # KiB: segments are sealed while we write
}


class InService(httpx.AsyncBaseTransport):
    """Sends each request to one of ``nodes``, and again if it was cut off or answered 503: once by a node of
    today, as often as it takes by one of an earlier release, whose reads wait less long than a lead takes to
    be handed over. ``why``: how often, by whom and for what.
    """

    def __init__(self, nodes: Iterable[ClusterNode]) -> None:
        self.nodes = list(nodes)
        self.why: Counter[tuple[str, str]] = Counter()
        self._rng = random.Random(0)
        self._inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        request.headers["Idempotency-Key"] = uuid.uuid4().hex
        refused_today = 0
        async with asyncio.timeout(PATIENCE_S):
            while True:
                node = self._rng.choice(self.nodes)
                today = node.program is THIS
                url = httpx.URL(node.url)
                request.url = request.url.copy_with(host=url.host, port=url.port)
                try:
                    response = await self._inner.handle_async_request(request)
                    if response.status_code != 503 or refused_today:
                        return response
                    found = (await response.aread()).decode()[:120]
                except CUT_OFF as error:
                    if refused_today:
                        raise
                    found = type(error).__name__
                refused_today += today
                self.why["today" if today else "before", found] += 1

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize("version", releases())
def test_a_node_takes_over_the_storage_of_an_earlier_release(tmp_path: Path, version: str) -> None:
    """Half of it closed well, half of it killed."""
    environment = {f"VECRAFT__{name}": value for name, value in SMALL.items()}
    with LiveNode(tmp_path, environment=environment, program=released(version)) as node:
        body = {"vectors": {"size": LEDGER_DIM, "distance": "Dot"}}
        httpx.put(f"{node.url}/collections/c", json=body).raise_for_status()
        schema = {"field_name": "version", "field_schema": "integer"}
        httpx.put(f"{node.url}/collections/c/index", json=schema, params={"wait": "true"}).raise_for_status()
        writer = Writer(0, 0, 300, random.Random(1), node.url, "c")
        writer.write(150)
        node.stop()
        node.start()
        writer.write(150)
        node.kill()
        node.program = THIS
        node.start()
        writer.settle(_contents(node))
        writer.write(100)
        node.restart()
        writer.settle(_contents(node))


def _contents(node: LiveNode) -> dict[int, Any]:
    body = {"limit": 1000, "with_payload": True, "with_vector": True}
    answer = httpx.post(f"{node.url}/collections/c/points/scroll", json=body).raise_for_status()
    return {record["id"]: record for record in answer.json()["result"]["points"]}


@pytest.mark.parametrize("version", CLUSTERED)
async def test_a_cluster_is_upgraded_node_by_node_under_load(tmp_path: Path, version: str) -> None:
    old = released(version)
    with clustered(tmp_path, NODES, environment=SMALL, program=old) as cluster, View(cluster) as view:
        await asyncio.to_thread(view.wait_joined, NODES)
        balancer = InService(cluster)
        async with httpx.AsyncClient(transport=balancer, timeout=30) as http:
            recorder = Recorder(
                ["http://service"],
                "c",
                seed=1,
                keys=KEYS,
                read_query={"consistency": "majority"},
                http=http,
            )
            await recorder.create_collection(
                shard_number=SHARDS, replication_factor=REPLICAS, write_consistency_factor=2
            )
            await asyncio.to_thread(view.wait_active, "c", replicas=SHARDS * REPLICAS)
            await asyncio.to_thread(view.put, cluster[0], "c", range(1000, 1400), 7)
            async with recorder.running(CLIENTS):
                for node in cluster:
                    await asyncio.sleep(UNDER_LOAD_S)
                    await _replace(cluster, view, balancer, node)
                    await asyncio.to_thread(_use, view, f"mixed-{node.member.index}")
                    if node is cluster[0]:
                        await asyncio.to_thread(_move_around, view, "moved")
                await asyncio.sleep(UNDER_LOAD_S)
            await recorder.read_all()
        print(f"{len(recorder.history)} operations; again: {balancer.why}")
        failed = [each for each in recorder.history if each.outcome is not Outcome.OK]
        assert not failed, f"{len(failed)} of {len(recorder.history)} failed: {failed[:5]}"
        recorder.assert_linearizable()
        await asyncio.to_thread(view.wait_active, "c", replicas=SHARDS * REPLICAS)
        points = await asyncio.to_thread(view.assert_replicas_equal, "c")
        assert {point for point in points if point >= 1000} == set(range(1000, 1400))


async def _replace(cluster: Cluster, view: View, balancer: InService, node: ClusterNode) -> None:
    """The node's old program by this one, on its storage."""
    balancer.nodes.remove(node)
    await asyncio.sleep(UNDER_LOAD_S)  # what it was sent before is answered
    await asyncio.to_thread(node.stop)
    node.program = THIS
    await asyncio.to_thread(node.start)
    await asyncio.to_thread(view.wait_joined, len(cluster))
    await asyncio.to_thread(view.wait_active, "c", replicas=SHARDS * REPLICAS)
    balancer.nodes.append(node)


def _use(view: View, name: str) -> None:
    """A collection is made, written through one node, read through the others, and dropped."""
    view.create(name, replicas=NODES * 2, shard_number=2, replication_factor=NODES)
    first, *others = view.running()
    view.put(first, name, range(20), 1)
    for node in others:
        found = view.call(
            node,
            "POST",
            f"/collections/{name}/points/search",
            {"vector": vector_of(21), "limit": 20, "with_vector": True},
            consistency="majority",
        )
        assert len(found) == 20
        assert len(found[0]["vector"]) == DIM
    view.drop(name)


def _move_around(view: View, name: str) -> None:
    """A replica goes from node to node, with all it has."""
    view.create(name, replicas=1, shard_number=1, replication_factor=1)
    view.put(view.running()[0], name, range(1000), 1)
    ((_, source),) = view.states(view.running()[0], name)
    for target in [*(peer for peer in map(view.peer_id, view.running()) if peer != source), source]:
        ((_, held),) = view.states(view.running()[0], name)
        move = {"shard_id": 0, "from_peer_id": held, "to_peer_id": target}
        view.change(view.running()[0], name, move_shard=move)
        view.wait_states(name, {(0, target): "Active"})
        assert len(view.values(view.running()[-1], name)) == 1000
    view.drop(name)
