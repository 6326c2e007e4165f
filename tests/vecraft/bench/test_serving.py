"""What a search costs a server: callers, and a measurement of a small set on a real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from vecraft.bench import serving
from vecraft.bench.callers import call_all, rest_callers
from vecraft.bench.server import ServerFailed
from vecraft.bench.serving import ServingPlan
from vecraft.bench.sets import SetPlan


async def test_every_body_is_sent_once_and_answers_keep_their_order() -> None:
    sent: list[bytes] = []

    async def echo(request: web.Request) -> web.Response:
        sent.append(await request.read())
        return web.Response(body=b"<" + sent[-1] + b">", status=500 if sent[-1] == b"bad" else 200)

    application = web.Application()
    application.router.add_post("/echo", echo)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        bodies = [str(number).encode() for number in range(50)]
        async with rest_callers(port, "/echo", 3) as callers:
            assert await call_all(callers, bodies) == [b"<" + body + b">" for body in bodies]
        assert sorted(sent) == sorted(bodies)
        async with rest_callers(port, "/echo", 1) as callers:
            with pytest.raises(ServerFailed, match="500"):
                await call_all(callers, [b"bad"])
    finally:
        await runner.cleanup()


def test_all_ways_are_measured_at_the_recall_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "CONNECTIONS", (1, 2))
    monkeypatch.setattr(serving, "_SETTLE_S", 0.2)
    vectors = SetPlan("lowrank8", rows=1500, queries=200, cache=tmp_path)
    report = serving.measure(ServingPlan(vectors, tmp_path / "work", rounds=1))
    values = {each.name: each.value for each in report.measurements}
    assert values["recall@10"] >= serving.RECALL
    ratios = {name: value for name, value in values.items() if name.endswith("/ FAISS")}
    assert len(ratios) == 6
    assert all(ratio > 0 for ratio in ratios.values())
