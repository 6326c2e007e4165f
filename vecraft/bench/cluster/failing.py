"""How long writes pause when a node dies, and whether bulk load costs an election."""

from __future__ import annotations

import threading
import time
from itertools import count

import numpy as np
import numpy.typing as npt

from vecraft.bench.cluster.nodes import Nodes, in_threads, rss_mib
from vecraft.bench.cluster.writes import LOADERS
from vecraft.bench.quality import upsert_body
from vecraft.bench.report import Bar, Measurement
from vecraft.bench.server import Client, Server, ServerFailed

FAILOVER_S_MAX = 3.0
WRITERS = 24  # so many that each of six shards has some
STEADY_S, AFTER_S = 1.0, 6.0


def failover(nodes: Nodes, name: str, dim: int, *, rounds: int) -> list[Measurement]:
    """Kill the Raft leader, which leads shards as well, and others in turn; bring each back."""
    pauses = []
    for number in range(rounds):
        victim = nodes.leader() if number % 2 == 0 else nodes.servers[number % len(nodes.servers)]
        pauses.append(_pause(nodes, victim, name, dim))
        victim.launch()
        nodes.wait_leader()
        nodes.wait_active(name)
    return [
        Measurement("kill -9: longest pause of any writer, median", float(np.median(pauses)), "s"),
        Measurement("kill -9: longest pause, worst", max(pauses), "s", Bar("most", FAILOVER_S_MAX)),
    ]


def _pause(nodes: Nodes, victim: Server, name: str, dim: int) -> float:
    """The longest time, over all writers, from the kill to the next acknowledged write."""
    survivors = [server for server in nodes.servers if server is not victim]
    stop = threading.Event()
    acknowledged: list[list[float]] = [[] for _ in range(WRITERS)]

    def write(number: int) -> list[float]:
        client = Client(survivors[number % len(survivors)].port, timeout_s=30)
        body = upsert_body(number, np.ones((1, dim), dtype=np.float32))
        while not stop.is_set():
            try:
                client.send("PUT", f"/collections/{name}/points?wait=true", body)
                acknowledged[number].append(time.perf_counter())
            except (OSError, ServerFailed):
                client = Client(survivors[number % len(survivors)].port, timeout_s=30)
        return []

    killed: list[float] = []

    def kill() -> None:
        time.sleep(STEADY_S)
        killed.append(time.perf_counter())
        victim.kill()
        time.sleep(AFTER_S)
        stop.set()

    killer = threading.Thread(target=kill)
    killer.start()
    in_threads(WRITERS, write)
    killer.join()
    # One acknowledgement may have been on its way when the node died.
    firsts = [[at for at in times if at > killed[0] + 0.1] for times in acknowledged]
    if not all(firsts):
        raise ServerFailed(f"some writer had no write acknowledged within {AFTER_S} s of the kill")
    return max(times[0] for times in firsts) - killed[0]


def bulk_load(
    nodes: Nodes, name: str, rows: npt.NDArray[np.float32], *, batch: int, seconds: float
) -> list[Measurement]:
    """Load without a pause, from every node; no Raft term may end."""
    before, cpu_before_s = nodes.terms(), nodes.cpu_s()
    numbers = count()
    deadline = time.perf_counter() + seconds

    def load(number: int) -> list[float]:
        client = nodes.servers[number % len(nodes.servers)].client()
        sent = 0
        while time.perf_counter() < deadline:
            first = next(numbers) * batch
            at = first % (len(rows) - batch)
            body = upsert_body(first, rows[at : at + batch])
            client.send("PUT", f"/collections/{name}/points?wait=true", body)
            sent += batch
        return [float(sent)]

    sent, took_s = in_threads(LOADERS, load)
    elections = max(after - earlier for after, earlier in zip(nodes.terms(), before))
    memory = max(rss_mib(server.pid) for server in nodes.servers)
    return [
        Measurement("bulk load", sum(sent) / took_s, "points/s"),
        Measurement("bulk load: for", took_s, "s"),
        Measurement("bulk load: elections", elections, "", Bar("most", 0)),
        Measurement("bulk load: processors used by the nodes", (nodes.cpu_s() - cpu_before_s) / took_s, ""),
        Measurement("bulk load: memory of the largest node", memory, "MiB"),
    ]
