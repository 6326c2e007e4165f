"""What a search costs on one node and on three, and what agreement of replicas adds."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import orjson

from vecraft.bench.cluster.nodes import Nodes, in_threads
from vecraft.bench.report import Measurement
from vecraft.bench.server import Server

CLIENTS = 6


def measure(nodes: Nodes, name: str, queries: npt.NDArray[np.float32], *, each: int) -> list[Measurement]:
    """Every node holds every shard, so that each can answer by itself."""
    one, three = nodes.servers[:1], nodes.servers
    found = []
    for label, servers, consistency in (
        ("one node asked", one, None),
        ("three nodes asked", three, None),
        ("three nodes, majority", three, "majority"),
        ("three nodes, all", three, "all"),
    ):
        before_s = nodes.cpu_s()
        latencies, took_s = _ask(servers, name, queries, each=each, consistency=consistency)
        spent_ms = (nodes.cpu_s() - before_s) * 1000 / len(latencies)
        found += [
            Measurement(f"{label}: {CLIENTS} clients", len(latencies) / took_s, "queries/s"),
            Measurement(f"{label}: p50", float(np.percentile(latencies, 50)), "ms"),
            Measurement(f"{label}: servers' processor time", spent_ms, "ms/query"),
        ]
    return found


def _ask(
    servers: Sequence[Server],
    name: str,
    queries: npt.NDArray[np.float32],
    *,
    each: int,
    consistency: str | None,
) -> tuple[list[float], float]:
    suffix = "" if consistency is None else f"?consistency={consistency}"
    path = f"/collections/{name}/points/query{suffix}"
    option = orjson.OPT_SERIALIZE_NUMPY
    bodies = [orjson.dumps({"query": query, "limit": 10}, option=option) for query in queries]

    def ask(number: int) -> list[float]:
        client = servers[number % len(servers)].client()
        latencies = []
        for turn in range(each):
            body = bodies[(number * each + turn) % len(bodies)]
            started = time.perf_counter()
            client.send("POST", path, body)
            latencies.append((time.perf_counter() - started) * 1000)
        return latencies

    return in_threads(CLIENTS, ask)
