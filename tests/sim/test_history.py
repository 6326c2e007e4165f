"""The clients that record histories, against a store whose faults are known: each must be told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests_cluster.history import Recorder, outcome_of
from tests_cluster.linearizability import Outcome, check

OPERATIONS = 150


class Store:
    """Answers as a node does. ``fault`` names what every fourth write or read does wrong."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.points: dict[int, Any] = {}
        self.before: dict[int, Any] = {}
        self.requests = 0
        self.enough = asyncio.Event()

    @property
    def _faulty(self) -> bool:
        return self.requests % 4 == 0

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.requests += 1
        if self.requests == OPERATIONS:
            self.enough.set()
        if request.path.endswith("/points") and request.method == "PUT":
            return self._write(body["points"][0]["id"], body["points"][0])
        if request.path.endswith("/delete"):
            return self._write(_key_of(body), None)
        return self._read(_key_of(body), as_page="ids" not in body)

    def _write(self, key: int, point: Any) -> web.Response:
        faulty = self._faulty and self.fault
        if faulty == "refused":
            return web.json_response({}, status=503)
        if faulty != "lost":
            self.before[key] = self.points.get(key)
            self.points[key] = point
        return web.json_response({}, status=500 if faulty == "applied but failed" else 200)

    def _read(self, key: int, *, as_page: bool) -> web.Response:
        point = (self.before if self._faulty and self.fault == "stale" else self.points).get(key)
        if point is not None and self._faulty and self.fault == "torn":
            point = {**point, "vector": [0.0, 0.0, 1.0, -1.0]}
        found = [] if point is None else [point]
        return web.json_response({"result": {"points": found} if as_page else found})


def _key_of(body: Any) -> int:
    ids = body.get("ids") or body.get("points") or body["filter"]["must"][0]["has_id"]
    key: int = ids[0]
    return key


@asynccontextmanager
async def recorded(fault: str = "") -> AsyncIterator[Recorder]:
    """A history of some operations of three clients on twelve points."""
    store = Store(fault)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", store.handle)
    async with TestServer(application) as server:
        url = str(server.make_url("")).rstrip("/")
        async with Recorder([url], "c", seed=3, keys=12) as recorder:
            async with recorder.running(clients=3):
                await store.enough.wait()
            await recorder.read_all()
            yield recorder


async def test_a_sound_store_gives_a_linearizable_history() -> None:
    async with recorded() as recorder:
        assert recorder.outcomes()[Outcome.OK] >= OPERATIONS
        recorder.assert_linearizable()


@pytest.mark.parametrize("fault", ["lost", "stale"])
async def test_lost_writes_and_stale_reads_are_found(fault: str) -> None:
    async with recorded(fault) as recorder:
        assert check(recorder.history)
        with pytest.raises(AssertionError, match="no order explains these operations"):
            recorder.assert_linearizable()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "outcome"), [("applied but failed", Outcome.UNKNOWN), ("refused", Outcome.FAILED)]
)
async def test_errors_that_tell_the_truth_are_no_fault(fault: str, outcome: Outcome) -> None:
    async with recorded(fault) as recorder:
        assert recorder.outcomes()[outcome] > 5
        recorder.assert_linearizable()


async def test_a_point_of_two_writes_stops_the_recording() -> None:
    with pytest.raises(ExceptionGroup) as group:
        async with recorded("torn"):
            pass
    assert "of different writes" in str(group.value.exceptions[0])


async def test_a_node_that_is_not_there_leaves_writes_without_effect(unused_tcp_port: int) -> None:
    recorder = Recorder([f"http://127.0.0.1:{unused_tcp_port}"], "c", seed=1)
    async with recorder, recorder.running(clients=2):
        await asyncio.sleep(0.01)
    assert set(recorder.outcomes()) == {Outcome.FAILED}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.OK),
        (404, Outcome.FAILED),
        (503, Outcome.FAILED),
        (408, Outcome.UNKNOWN),
        (500, Outcome.UNKNOWN),
    ],
)
def test_a_status_tells_whether_a_write_took_effect(status: int, outcome: Outcome) -> None:
    assert outcome_of(status) is outcome
