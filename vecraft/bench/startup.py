"""How soon a restarted server answers searches, after a clean stop and after being killed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from msgspec import Struct

from vecraft.bench.data import generate
from vecraft.bench.quality import upsert_body
from vecraft.bench.report import Bar, Measurement, Report
from vecraft.bench.server import Client, Server, wait_green

START_MAX_S = 3.0

_COLLECTION = "startup"
_BATCH = 2000
_GREEN_TIMEOUT_S = 7200.0
_TAIL_SEED = 1


class StartupPlan(Struct, frozen=True):
    """``tail``: points written right before the last kill, which only the log holds then."""

    points: int
    dim: int
    seed: int
    tail: int
    folder: Path


def measure(plan: StartupPlan) -> Report:
    query = next(generate(1, plan.dim, seed=plan.seed))[0]
    with Server(plan.folder) as server:
        first_start_s = server.start()
        filled_s = _fill(server.client(), plan)
        build_s = wait_green(
            server.client(), _COLLECTION, indexed_at_least=plan.points // 2, timeout_s=_GREEN_TIMEOUT_S
        )
        stop_s = server.terminate()
        measurements = [
            Measurement("start, empty", first_start_s, "s"),
            Measurement("ingest", plan.points / filled_s, "points/s"),
            Measurement("then until green", build_s, "s"),
            Measurement("clean stop", stop_s, "s"),
            *_start(server, "after SIGTERM", query, plan.points),
        ]
        server.kill()
        measurements += _start(server, "after kill -9", query, plan.points)
        _upsert(
            server.client(), plan.points, np.concatenate([*generate(plan.tail, plan.dim, seed=_TAIL_SEED)])
        )
        server.kill()
        measurements += _start(
            server, f"after kill -9 and {plan.tail:,} new points", query, plan.points + plan.tail
        )
        server.terminate()
    return Report(
        "startup: time to serve again",
        {"data": f"generated, seed {plan.seed}, {plan.points:,} x {plan.dim}"},
        measurements,
    )


def _start(server: Server, occasion: str, query: np.ndarray, points: int) -> list[Measurement]:
    """Start, search at once, then see that every point is there."""
    started = time.perf_counter()
    ready_s = server.start()
    client = server.client()
    body = {"query": query, "limit": 10}
    result = client.call("POST", f"/collections/{_COLLECTION}/points/query", body)
    answered_s = time.perf_counter() - started
    assert len(result["points"]) == 10, "a search right after the start found too few points"
    counted = client.call("POST", f"/collections/{_COLLECTION}/points/count", {"exact": True})["count"]
    bar = Bar("most", START_MAX_S)
    return [
        Measurement(f"ready {occasion}", ready_s, "s", bar),
        Measurement(f"first search {occasion}", answered_s, "s", bar),
        Measurement(f"points missing {occasion}", points - counted, "points", Bar("most", 0)),
    ]


def _fill(client: Client, plan: StartupPlan) -> float:
    vectors = {"size": plan.dim, "distance": "Cosine"}
    client.call("PUT", f"/collections/{_COLLECTION}", {"vectors": vectors})
    spent, first_id = 0.0, 0
    for block in generate(plan.points, plan.dim, seed=plan.seed):
        spent += _upsert(client, first_id, block)
        first_id += len(block)
    return spent


def _upsert(client: Client, first_id: int, rows: np.ndarray) -> float:
    """Upsert, ids counting up; returns the seconds it took."""
    started = time.perf_counter()
    for start in range(0, len(rows), _BATCH):
        body = upsert_body(first_id + start, rows[start : start + _BATCH])
        client.send("PUT", f"/collections/{_COLLECTION}/points?wait=true", body)
    return time.perf_counter() - started
