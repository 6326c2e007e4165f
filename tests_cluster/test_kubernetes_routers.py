"""The chart's routers before three nodes, under load: killed, scaled, left by whom they follow.

As in ``test_kubernetes_pods``, clients go through the Service, which leads to routers here. They send a
request once more that was refused, cut off or answered 503, and no other. No node may remember a router.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests_cluster.kubelet import Pod
from tests_cluster.kubernetes import Installation, installed
from tests_cluster.network import Network
from tests_cluster.service import Service
from tests_cluster.test_kubernetes_pods import REPLICAS, SHARDS, VALUES, Load

pytestmark = pytest.mark.slow

ROUTED: dict[str, Any] = {**VALUES, "router": {"enabled": True, "replicas": 2}}
READY_S = 180.0  # at most; a busy machine starts processes slowly
MADE = 5  # collections that are made under load and used at once


@asynccontextmanager
async def playing(directory: Path, machines: int) -> AsyncIterator[tuple[Installation, Load]]:
    async with AsyncExitStack() as stack:
        network = stack.enter_context(Network(machines))
        release = stack.enter_context(installed(directory, network, ROUTED))
        await asyncio.to_thread(release.wait_ready, seconds=READY_S)
        rest = await stack.enter_async_context(Service(release.endpoints))
        load = Load(release, rest, await stack.enter_async_context(Service(release.endpoints, "grpc")))
        await stack.enter_async_context(load.http)
        # A busy machine has replicas evicted for being slow: that is not what is asked here.
        await load.recorder.create_collection(
            shard_number=SHARDS, replication_factor=REPLICAS, write_consistency_factor=1
        )
        await load.whole()
        yield release, load
        await load.check()
        assert set(rest.connections) <= {pod.name for pod in release.history if "router" in pod.name}


def followed(release: Installation) -> dict[int, int]:
    """How many routers follow each node, by its ordinal."""
    return {ordinal: _routers_following(pod) for ordinal, pod in release.pods.items() if pod.ready}


def _routers_following(pod: Pod) -> int:
    text = httpx.get(f"{pod.url('metrics')}/metrics", timeout=5).text
    found = re.search(r"^vecraft_routers_following ([0-9.]+)$", text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


async def use_new_collections(load: Load) -> None:
    """Whichever router is asked: it knows what was made through another one."""
    for number in range(MADE):
        path = f"/collections/made{number}"
        made = await load.http.put(path, json={"vectors": {"size": 2, "distance": "Dot"}})
        assert made.status_code == 200, made.text
        for _ in range(4):
            found = await load.http.post(f"{path}/points/query", json={"query": [1, 0]})
            assert found.status_code == 200, found.text
        assert (await load.http.delete(path)).status_code == 200


async def test_routers_come_and_go_and_lose_whom_they_follow_and_clients_notice_nothing(
    tmp_path: Path,
) -> None:
    async with playing(tmp_path, 10) as (release, load):
        three = await load.peers()
        async with load.running():
            await use_new_collections(load)
            await asyncio.to_thread(release.crash_router)
            await asyncio.to_thread(release.wait_ready, seconds=READY_S)
            await asyncio.to_thread(release.scale_routers, 4)
            await asyncio.to_thread(release.wait_ready, seconds=READY_S)
            await asyncio.to_thread(release.scale_routers, 2)
            await asyncio.to_thread(release.wait_ready, seconds=READY_S)
        assert await load.peers() == three
        async with load.running():
            counts = await asyncio.to_thread(followed, release)
            await asyncio.to_thread(release.crash, max(counts, key=lambda ordinal: counts[ordinal]))
            await asyncio.to_thread(release.wait_ready, seconds=READY_S)
        await load.whole()
        async with load.running():
            await asyncio.to_thread(release.restart)
            await asyncio.to_thread(release.wait_ready, seconds=READY_S)
        await load.whole()
        assert await load.peers() == three
        release.wait_for(lambda: sum(followed(release).values()) == 2, seconds=10, what="both to follow")
        for pod in release.history:
            if "router" in pod.name and pod.gone.is_set():
                assert pod.ends == [0] or pod.ends[-1] == 0, f"{pod.name}: {pod.ends}"
        await load.check()
        await asyncio.to_thread(release.scale_routers, 1)
        release.wait_for(
            lambda: sum(followed(release).values()) == 1, seconds=20, what="the other to be forgotten"
        )
