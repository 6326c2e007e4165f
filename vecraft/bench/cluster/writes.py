"""What a write costs, alone and among many, by the number of replicas; each is synced before its answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from vecraft.bench.cluster.nodes import in_threads
from vecraft.bench.quality import upsert_body
from vecraft.bench.report import Measurement
from vecraft.bench.server import Client, Server

CLIENTS = 32
LOADERS = 4


class WriteLoad(Struct, frozen=True):
    """``alone`` writes one after another, ``each`` by all of ``CLIENTS``, ``batches`` of ``batch`` rows."""

    alone: int
    each: int
    batches: int
    batch: int


def create(client: Client, name: str, dim: int, *, shards: int, factor: int) -> None:
    """Without graphs: what is measured is the way to the disks."""
    body = {
        "vectors": {"size": dim, "distance": "Cosine"},
        "shard_number": shards,
        "replication_factor": factor,
        "optimizers_config": {"indexing_threshold": 0},
    }
    client.call("PUT", f"/collections/{name}", body)


def measure(
    label: str, servers: Sequence[Server], name: str, rows: npt.NDArray[np.float32], load: WriteLoad
) -> list[Measurement]:
    path = f"/collections/{name}/points?wait=true"
    ids = count()

    def single(client: Client) -> float:
        number = next(ids)
        body = upsert_body(number, rows[number % len(rows)][None])
        started = time.perf_counter()
        client.send("PUT", path, body)
        return (time.perf_counter() - started) * 1000

    alone = servers[0].client()
    latencies = [single(alone) for _ in range(load.alone)]

    def many(number: int) -> list[float]:
        client = servers[number % len(servers)].client()
        return [single(client) for _ in range(load.each)]

    together, together_s = in_threads(CLIENTS, many)
    bodies = [upsert_body(10_000_000 + i * load.batch, rows[: load.batch]) for i in range(load.batches)]

    def bulk(number: int) -> list[float]:
        client = servers[number % len(servers)].client()
        for body in bodies[number::LOADERS]:
            client.send("PUT", path, body)
        return []

    _, bulk_s = in_threads(LOADERS, bulk)
    return [
        Measurement(f"{label}: one client, p50", float(np.percentile(latencies, 50)), "ms"),
        Measurement(f"{label}: one client, p99", float(np.percentile(latencies, 99)), "ms"),
        Measurement(f"{label}: {CLIENTS} clients, p50", float(np.percentile(together, 50)), "ms"),
        Measurement(f"{label}: {CLIENTS} clients, p99", float(np.percentile(together, 99)), "ms"),
        Measurement(f"{label}: {CLIENTS} clients", len(together) / together_s, "writes/s"),
        Measurement(f"{label}: batches of {load.batch}", load.batches * load.batch / bulk_s, "points/s"),
    ]
