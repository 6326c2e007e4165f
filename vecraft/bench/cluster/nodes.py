"""Several server processes that are one cluster, and clients of them in threads."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from vecraft.bench.server import Client, Server, ServerFailed, free_port

LEADER_TIMEOUT_S = 30.0
ACTIVE_TIMEOUT_S = 120.0
_POLL_S = 0.02
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Nodes:
    """Use as a context manager: the processes end with it."""

    def __init__(self, folder: Path, count: int) -> None:
        ports = [free_port() for _ in range(count)]
        uris = [f"http://127.0.0.1:{port}" for port in ports]
        self.servers = [
            Server(
                folder / f"node{number}",
                arguments=("--uri", uri, *(("--bootstrap", uris[0]) if number else ())),
                environment={
                    "QDRANT__CLUSTER__ENABLED": "true",
                    "QDRANT__CLUSTER__P2P__PORT": str(port),
                    "QDRANT__SERVICE__HOST": "127.0.0.1",
                },
            )
            for number, (port, uri) in enumerate(zip(ports, uris))
        ]

    def __enter__(self) -> Nodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.__exit__(kind, error, trace)

    def start(self) -> float:
        """Launch all at once; returns the seconds until every node knows all others and a leader."""
        started = time.perf_counter()
        for server in self.servers:
            server.launch()
        self.wait_leader()
        return time.perf_counter() - started

    def wait_leader(self) -> None:
        until(lambda: all(self._knows_all(server) for server in self.servers), LEADER_TIMEOUT_S, "a leader")

    def _knows_all(self, server: Server) -> bool:
        status = asked(server, "/cluster")
        return (
            status is not None
            and len(status["peers"]) == len(self.servers)
            and status["raft_info"]["leader"] is not None
            and status["raft_info"]["is_voter"]
        )

    def wait_active(self, collection: str) -> None:
        """Until every replica is active, as every node sees it."""

        def active(server: Server) -> bool:
            found = asked(server, f"/collections/{collection}/cluster")
            shards = [] if found is None else found["local_shards"] + found["remote_shards"]
            return bool(shards) and {shard["state"] for shard in shards} == {"Active"}

        until(lambda: all(active(server) for server in self.servers), ACTIVE_TIMEOUT_S, "all replicas active")

    def client(self) -> Client:
        """Of the first node; the server closes a connection that is idle for some seconds."""
        return self.servers[0].client()

    def leader(self) -> Server:
        for server in self.servers:
            status = asked(server, "/cluster")
            if status is not None and status["raft_info"]["role"] == "Leader":
                return server
        raise ServerFailed("no node leads")

    def terms(self) -> list[int]:
        """The Raft term, as each node knows it."""
        found = [asked(server, "/cluster") for server in self.servers]
        return [-1 if status is None else status["raft_info"]["term"] for status in found]

    def cpu_s(self) -> float:
        return sum(cpu_s(server.pid) for server in self.servers)


def until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Raises: ServerFailed when it does not come true in time."""
    deadline = time.perf_counter() + timeout_s
    while not condition():
        if time.perf_counter() > deadline:
            raise ServerFailed(f"waited {timeout_s:.0f} s for {what}")
        time.sleep(_POLL_S)


def asked(server: Server, path: str) -> Any:
    """The result of a GET; None if the node does not answer (so)."""
    client = Client(server.port, timeout_s=5)
    try:
        return client.call("GET", path)
    except (OSError, ServerFailed):
        return None
    finally:
        client.close()


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, its children included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / _TICKS_PER_S


def rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def in_threads(count: int, work: Callable[[int], list[float]]) -> tuple[list[float], float]:
    """``work(number)`` in so many threads that begin together.

    Returns: what they returned, and the seconds that all of it took.
    """
    barrier = threading.Barrier(count + 1)

    def run(number: int) -> list[float]:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(run, number) for number in range(count)]
        barrier.wait()
        started = time.perf_counter()
        found = [value for future in futures for value in future.result()]
        return found, time.perf_counter() - started
