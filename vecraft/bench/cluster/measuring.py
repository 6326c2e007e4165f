"""All benchmarks of a cluster, in one run: start, writes, reads, deaths, bulk load."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from msgspec import Struct

from vecraft.bench.cluster import failing, reads, writes
from vecraft.bench.cluster.nodes import Nodes
from vecraft.bench.cluster.writes import WriteLoad
from vecraft.bench.data import FloatMatrix, load_folder
from vecraft.bench.quality import upsert_body
from vecraft.bench.report import Bar, Measurement, Report
from vecraft.bench.server import Server, wait_green

NODES = 3
LEADER_S_MAX = 3.0


class ClusterPlan(Struct, frozen=True):
    """``effort`` scales how often things are done; ``seconds`` of bulk load; ``rounds`` of deaths."""

    data: Path | None
    folder: Path
    effort: int = 4
    seconds: float = 30.0
    rounds: int = 4


def measure(plan: ClusterPlan) -> Report:
    found = load_folder(plan.data, queries_max=500)
    load = WriteLoad(alone=50 * plan.effort, each=10 * plan.effort, batches=8 * plan.effort, batch=250)
    results = _alone(plan, found.base, load)
    with Nodes(plan.folder / "cluster", NODES) as nodes:
        results += _starts(nodes)
        dim = found.base.shape[1]
        for factor in range(1, NODES + 1):
            name = f"writes{factor}"
            writes.create(nodes.client(), name, dim, shards=NODES, factor=factor)
            nodes.wait_active(name)
            label = f"{NODES} nodes, {factor} replicas"
            results += writes.measure(label, nodes.servers, name, found.base, load)
            nodes.client().call("DELETE", f"/collections/{name}")
        results += _reads(nodes, found.base, found.queries, each=100 * plan.effort)
        writes.create(nodes.client(), "deaths", dim, shards=2 * NODES, factor=2)
        nodes.wait_active("deaths")
        results += failing.failover(nodes, "deaths", dim, rounds=plan.rounds)
        writes.create(nodes.client(), "bulk", dim, shards=2 * NODES, factor=2)
        nodes.wait_active("bulk")
        results += failing.bulk_load(nodes, "bulk", found.base, batch=load.batch, seconds=plan.seconds)
    facts: dict[str, str | int | float] = {
        "vectors": f"{len(found.base)} × {found.base.shape[1]}",
        "cores": os.cpu_count() or 1,
        "load before": round(os.getloadavg()[0], 1),
    }
    return Report("A cluster of three nodes that share this machine", facts, results)


def _alone(plan: ClusterPlan, rows: FloatMatrix, load: WriteLoad) -> list[Measurement]:
    with Server(plan.folder / "alone") as server:
        server.start()
        writes.create(server.client(), "alone", rows.shape[1], shards=1, factor=1)
        return writes.measure("a node alone", [server], "alone", rows, load)


def _starts(nodes: Nodes) -> list[Measurement]:
    first_s = nodes.start()
    for server in nodes.servers:
        server.terminate()
    again_s = nodes.start()
    bar = Bar("most", LEADER_S_MAX)
    return [
        Measurement("start: processes to a leader known to all", first_s, "s", bar),
        Measurement("restart of all: to a leader known to all", again_s, "s", bar),
    ]


def _reads(nodes: Nodes, rows: FloatMatrix, queries: FloatMatrix, *, each: int) -> list[Measurement]:
    client = nodes.client()
    body = {
        "vectors": {"size": rows.shape[1], "distance": "Cosine"},
        "shard_number": NODES,
        "replication_factor": NODES,
        "optimizers_config": {"indexing_threshold": 1},
    }
    client.call("PUT", "/collections/reads", body)
    nodes.wait_active("reads")
    for first in range(0, len(rows), 500):
        data = upsert_body(first, rows[first : first + 500])
        client.send("PUT", "/collections/reads/points?wait=true", data)
    for server in nodes.servers:
        wait_green(server.client(), "reads", indexed_at_least=len(rows) // 2, timeout_s=600)
    results = reads.measure(nodes, "reads", np.asarray(queries), each=each)
    nodes.client().call("DELETE", "/collections/reads")
    return results
