"""``/quotas``: what is agreed on, and what every member uses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from msgspec.structs import replace

from consensus.commands import SetQuotas
from protos.errors import BadRequest
from protos.quotas import QuotaConfig
from router.auth.gate import OPEN
from router.quotas import QuotaOperations
from router.rest.app import Edge, RestApplication
from router.rest.quotas import quota_routes
from router.rest.routes import RouteTable
from tests.router.cluster.fakes import ClusterLog, ClusterNode, FakeCluster
from tests.router.fakes import FakeLog, FakeNode
from tests.router.rest.conftest import AppServer

Client = TestClient[web.Request, None]
DISK = QuotaConfig(enabled=True, max_disk_usage_percent=90)


def app_of(quotas: QuotaOperations) -> RestApplication:
    table = RouteTable(quota_routes(quotas))
    return RestApplication(Edge(table, OPEN, enable_cors=False, metrics_hook=None))


@pytest.fixture
async def alone() -> AsyncIterator[Client]:
    quotas = QuotaOperations(FakeLog(), FakeNode(), None)
    async with TestClient(AppServer(app_of(quotas))) as client:
        yield client
    await quotas.close()


async def test_a_node_alone_tells_its_quotas_and_what_is_used(alone: Client) -> None:
    shown = (await (await alone.get("/quotas")).json())["result"]
    assert shown["usage"] == {"resident_memory_percent": 1, "disk_usage_percent": 2}
    assert shown["config"]["enabled"] is False
    assert "peers" not in shown


async def test_quotas_are_replaced_as_a_whole(alone: Client) -> None:
    bodies: list[dict[str, Any]] = [
        {"enabled": True, "max_disk_usage_percent": 90, "release_margin_percent": 0},
        {"enabled": True, "max_resident_memory_percent": 80},
    ]
    for body in bodies:
        answer = await alone.put("/quotas?wait=true", json=body)
        assert (await answer.json())["result"] is True
    shown = (await (await alone.get("/quotas")).json())["result"]["config"]
    assert shown == {
        "enabled": True,
        "max_resident_memory_percent": 80,
        "max_disk_usage_percent": None,
        "release_margin_percent": 5,
    }


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (
            {"max_disk_usage_percent": 0},
            422,
            "max_disk_usage_percent: value 0 invalid, must be from 1 to 100",
        ),
        ({"max_resident_memory_percent": 101}, 422, "value 101 invalid, must be from 1 to 100"),
        ({"release_margin_percent": -1}, 422, "value -1 invalid, must be from 0 to 100"),
        ({"enabled": "yes"}, 400, "Format error in JSON body"),
    ],
)
async def test_a_quota_that_cannot_be_is_refused(
    alone: Client, body: dict[str, Any], status: int, text: str
) -> None:
    answer = await alone.put("/quotas", json=body)
    assert answer.status == status
    assert text in (await answer.json())["status"]["error"]


async def test_members_are_told_with_what_they_use_and_who_is_silent_is_missing() -> None:
    log, cluster, node = ClusterLog(), FakeCluster(), ClusterNode()
    told = {
        "quota": {"exceeded": {"resident_memory": None, "disk_usage": True}},
        "quota_usage": {"resident_memory_percent": 3, "disk_usage_percent": 95},
    }
    cluster.telemetries = {2: msgspec.json.encode(told)}
    quotas = QuotaOperations(log, node, cluster)
    assert await quotas.set(DISK, wait=True)
    assert log.state.quotas == DISK
    status = await quotas.status()
    assert status.config == DISK
    assert status.peers is not None
    assert {peer: usage.exceeded for peer, usage in status.peers.items()} == {"1": False, "2": True}
    log.apply(SetQuotas(QuotaConfig()))  # another member's change
    assert (await quotas.status()).config == QuotaConfig()
    await quotas.close()


async def test_quotas_wait_until_every_member_knows_of_them() -> None:
    log = ClusterLog()
    log.put(replace(log.state, feature_level=2))
    quotas = QuotaOperations(log, ClusterNode(), FakeCluster())
    with pytest.raises(BadRequest, match="upgrade them first"):
        await quotas.set(DISK)
    await quotas.close()
