"""Searching a real server while points are written and segments are built, beside searching it idle.

Searches leave at a fixed rate whether or not the last one was answered in time, and their latency counts
from when they should have left: a stall is charged to every search that it delays. Writes come from a
process of its own.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
from msgspec import Struct

from vecraft.bench.quality import upsert_body
from vecraft.bench.report import Bar, Measurement, Report
from vecraft.bench.server import Client, Server, ServerFailed, wait_green
from vecraft.bench.sets import SetPlan, VectorSet, make

P99_RATIO_MAX = 3.0

_COLLECTION = "mixed"
_FILL_BATCH, _WRITE_BATCH = 1000, 50
_GREEN_TIMEOUT_S = 1800.0
_SPAWN = multiprocessing.get_context("spawn")


class MixedPlan(Struct, frozen=True):
    """``writes`` and ``searches`` per second; ``seconds`` of load, between two idle spells of half as long.

    ``indexing_kb``: small, so that segments are built all the while.
    """

    vectors: SetPlan
    folder: Path
    seconds: float = 40.0
    writes: int = 500
    searches: int = 100
    indexing_kb: int = 2000


def measure(plan: MixedPlan) -> Report:
    vectors = make(plan.vectors)
    spare = int(plan.writes * plan.seconds)
    filled = len(vectors.base()) - spare
    if filled <= 0:
        raise ValueError(
            f"{plan.writes} points a second for {plan.seconds:.0f} s need more than {spare} rows"
        )
    with Server(plan.folder) as server:
        server.start()
        client = server.client()
        _fill(client, vectors, filled, plan.indexing_kb)
        bodies = [orjson.dumps({"query": query.tolist(), "limit": 10}) for query in vectors.queries()]
        _search(client, bodies, plan.searches, 1.0)
        before = _search(client, bodies, plan.searches, plan.seconds / 2)
        indexed = _info(client)["indexed_vectors_count"]
        with _writing(server.port, vectors, filled, plan) as written:
            loaded = _search(client, bodies, plan.searches, plan.seconds)
            sent = written.value
        built = _info(client)["indexed_vectors_count"] - indexed
        wait_green(client, _COLLECTION, indexed_at_least=0, timeout_s=_GREEN_TIMEOUT_S)
        after = _search(client, bodies, plan.searches, plan.seconds / 2)
        server.terminate()
    idle = np.concatenate([before, after])
    facts: dict[str, str | int | float] = {
        "data": vectors.name,
        "searches": f"{plan.searches}/s",
        "indexing threshold": plan.indexing_kb,
    }
    return Report(
        "mixed: searching beside writes and builds", facts, _verdicts(plan, idle, loaded, sent, built)
    )


def _verdicts(
    plan: MixedPlan, idle: npt.NDArray[np.float64], loaded: npt.NDArray[np.float64], sent: int, built: int
) -> list[Measurement]:
    shares = (50, 95, 99, 100)
    quiet, busy = (
        dict(zip(shares, (np.percentile(each, shares) * 1000).tolist(), strict=True))
        for each in (idle, loaded)
    )
    return [
        Measurement("written meanwhile", sent / plan.seconds, "points/s", Bar("least", 0.95 * plan.writes)),
        Measurement("put into graphs meanwhile", built, "vectors", Bar("least", 1)),
        *(Measurement(f"idle p{share}", quiet[share], "ms") for share in shares),
        *(Measurement(f"under load p{share}", busy[share], "ms") for share in shares),
        Measurement("p99 under load / idle", busy[99] / quiet[99], "×", Bar("most", P99_RATIO_MAX)),
    ]


def _fill(client: Client, vectors: VectorSet, count: int, indexing_kb: int) -> None:
    base = vectors.base()
    body = {
        "vectors": {"size": base.shape[1], "distance": "Cosine"},
        "optimizers_config": {"indexing_threshold": indexing_kb},
    }
    client.call("PUT", f"/collections/{_COLLECTION}", body)
    for at in range(0, count, _FILL_BATCH):
        rows = np.ascontiguousarray(base[at : min(at + _FILL_BATCH, count)])
        client.send("PUT", f"/collections/{_COLLECTION}/points?wait=true", upsert_body(at, rows))
    wait_green(client, _COLLECTION, indexed_at_least=1, timeout_s=_GREEN_TIMEOUT_S)


def _info(client: Client) -> dict[str, int]:
    info: dict[str, int] = client.call("GET", f"/collections/{_COLLECTION}")
    return info


def _search(client: Client, bodies: list[bytes], rate: int, seconds: float) -> npt.NDArray[np.float64]:
    """Seconds from when each search was due until its answer."""
    found = np.empty(int(rate * seconds))
    started = time.perf_counter()
    for i in range(len(found)):
        due = started + i / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        client.send("POST", f"/collections/{_COLLECTION}/points/query", bodies[i % len(bodies)])
        found[i] = time.perf_counter() - due
    return found


@contextmanager
def _writing(
    port: int, vectors: VectorSet, first: int, plan: MixedPlan
) -> Iterator[multiprocessing.sharedctypes.Synchronized[int]]:
    """Writes go on until the body ends; yields how many points have been acknowledged."""
    ready, written = _SPAWN.Event(), _SPAWN.Value("q", 0)
    writer = _SPAWN.Process(target=_write, args=(port, vectors, first, plan.writes, ready, written))
    writer.start()
    try:
        if not ready.wait(60):
            raise ServerFailed("the writer did not start")
        yield written
    finally:
        writer.terminate()
        writer.join()


def _write(
    port: int,
    vectors: VectorSet,
    first: int,
    rate: int,
    ready: multiprocessing.synchronize.Event,
    written: multiprocessing.sharedctypes.Synchronized[int],
) -> None:
    base, client = vectors.base(), Client(port)
    ready.set()
    started = time.perf_counter()
    for at in range(first, len(base), _WRITE_BATCH):
        body = upsert_body(at, np.ascontiguousarray(base[at : at + _WRITE_BATCH]))
        time.sleep(max(0.0, started + (at - first) / rate - time.perf_counter()))
        client.send("PUT", f"/collections/{_COLLECTION}/points?wait=true", body)
        written.value += len(base[at : at + _WRITE_BATCH])
