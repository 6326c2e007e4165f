"""What a search costs a server, over REST and over gRPC, beside a FAISS graph in process at the same recall.

Costs are processor time, of the whole server process, so other work on the machine matters little. FAISS is
measured before and after every protocol's turn, so that both meet the same machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
from msgspec import Struct

from node.index import set_threads
from protos.qdrant.queries_pb2 import QueryBatchPoints, QueryPoints
from vecraft.bench.callers import Caller, call_all, grpc_callers, rest_callers
from vecraft.bench.engines.plain import Flat
from vecraft.bench.engines.port import Effort, Settings
from vecraft.bench.quality import upsert_body
from vecraft.bench.report import Bar, Measurement, Report
from vecraft.bench.server import Client, Server, ServerFailed, wait_green
from vecraft.bench.sets import SetPlan, VectorSet, make, recall

RECALL = 0.99
REST_MAX, GRPC_MAX, BATCHED_MAX = 1.6, 2.0, 1.25  # processor time, ratios to FAISS
CONNECTIONS = (1, 8, 32)

_COLLECTION, _K = "serving", 10
_FILL_BATCH, _BATCH = 1000, 100
_EFS = (32, 48, 64, 80, 96, 112, 128, 160, 192, 256, 384, 512)
_GREEN_TIMEOUT_S, _SETTLE_S = 1800.0, 60.0

Callers = Callable[[int], AbstractAsyncContextManager[Sequence[Caller]]]


class ServingPlan(Struct, frozen=True):
    """``rounds``: times that every query is asked; the best counts."""

    vectors: SetPlan
    folder: Path
    rounds: int = 3


class Way(Struct, frozen=True):
    """A protocol and what is sent over it: ``bodies``, with ``size`` queries in each."""

    name: str
    callers: Callers
    bodies: list[bytes]
    size: int
    most: float


def measure(plan: ServingPlan) -> Report:
    vectors = make(plan.vectors)
    graph = _Graph(vectors, plan.folder / "faiss")
    with Server(plan.folder / "server") as server:
        server.start()
        client = server.client()
        _fill(client, vectors)
        ef, found = _least_effort(lambda ef: _answers(client, vectors, ef), vectors)
        info = client.call("GET", f"/collections/{_COLLECTION}")
        measurements = [Measurement("recall@10", found, "", Bar("least", RECALL))]
        for way in _ways(server, vectors.queries(), ef):
            measurements += _measure(way, server, graph, plan.rounds)
        client.close()
        server.terminate()
    facts: dict[str, str | int | float] = {
        "data": vectors.name,
        "segments": info["segments_count"],
        "hnsw_ef": ef,
        "FAISS": f"float32 graph, ef {graph.ef}, recall@10 {graph.recall:.4f}",
    }
    return Report("serving: processor time of a search, beside FAISS in process", facts, measurements)


class _Graph:
    """FAISS alone, in this thread."""

    def __init__(self, vectors: VectorSet, folder: Path) -> None:
        self._flat = Flat(folder, Settings(), vectors)
        self._flat.ingest()
        self._flat.index()
        set_threads(1)
        self.ef, self.recall = _least_effort(lambda ef: self._flat.singles(Effort(ef)).ids, vectors)

    def micros(self) -> float:
        """Processor time of a query."""
        started = time.thread_time()
        count = len(self._flat.singles(Effort(self.ef)).ids)
        return (time.thread_time() - started) / count * 1e6


def _least_effort(answers: Callable[[int], npt.NDArray[np.int64]], vectors: VectorSet) -> tuple[int, float]:
    """The narrowest walk that reaches the recall, or else the widest; and what it reaches."""
    truth, found = vectors.truth(), 0.0
    for ef in _EFS:
        found = recall(answers(ef), truth)
        if found >= RECALL:
            return ef, found
    return _EFS[-1], found


def _fill(client: Client, vectors: VectorSet) -> None:
    base, payloads = vectors.base(), vectors.payloads()
    client.call(
        "PUT", f"/collections/{_COLLECTION}", {"vectors": {"size": base.shape[1], "distance": "Cosine"}}
    )
    for at in range(0, len(base), _FILL_BATCH):
        rows = np.ascontiguousarray(base[at : at + _FILL_BATCH])
        body = upsert_body(at, rows, payloads[at : at + _FILL_BATCH] if payloads else None)
        client.send("PUT", f"/collections/{_COLLECTION}/points?wait=true", body)
    # Writes count as ceased only when some time has passed: then the rest is indexed. It may be too small.
    with contextlib.suppress(ServerFailed):
        wait_green(client, _COLLECTION, indexed_at_least=len(base), timeout_s=_SETTLE_S)
    wait_green(client, _COLLECTION, indexed_at_least=0, timeout_s=_GREEN_TIMEOUT_S)


def _answers(client: Client, vectors: VectorSet, ef: int) -> npt.NDArray[np.int64]:
    found = []
    for body in _rest_bodies(vectors.queries(), ef, _BATCH):
        for answer in client.send("POST", f"/collections/{_COLLECTION}/points/query/batch", body):
            found.append([int(point["id"]) for point in answer["points"]])  # noqa: PERF401 - two loops
    return np.array(found)


# --- requests ------------------------------------------------------------------------------------------


def _ways(server: Server, queries: npt.NDArray[np.float32], ef: int) -> list[Way]:
    ways = []
    for size, path, method in ((1, "query", "Query"), (_BATCH, "query/batch", "QueryBatch")):
        suffix = "" if size == 1 else f", batches of {size}"
        rest, grpc = _rest_bodies(queries, ef, size), _grpc_bodies(queries, ef, size)
        url = f"/collections/{_COLLECTION}/points/{path}"
        ways += [
            Way(
                f"REST{suffix}",
                lambda count, url=url: rest_callers(server.port, url, count),  # type: ignore[misc]
                rest,
                size,
                REST_MAX if size == 1 else BATCHED_MAX,
            ),
            Way(
                f"gRPC{suffix}",
                lambda count, method=method: grpc_callers(  # type: ignore[misc]
                    server.grpc_port, f"/qdrant.Points/{method}", count
                ),
                grpc,
                size,
                GRPC_MAX if size == 1 else BATCHED_MAX,
            ),
        ]
    return ways


def _rest_bodies(queries: npt.NDArray[np.float32], ef: int, size: int) -> list[bytes]:
    searches = [{"query": query, "limit": _K, "params": {"hnsw_ef": ef}} for query in queries]
    if size == 1:
        return [orjson.dumps(search, option=orjson.OPT_SERIALIZE_NUMPY) for search in searches]
    return [
        orjson.dumps({"searches": searches[at : at + size]}, option=orjson.OPT_SERIALIZE_NUMPY)
        for at in range(0, len(searches), size)
    ]


def _grpc_bodies(queries: npt.NDArray[np.float32], ef: int, size: int) -> list[bytes]:
    searches = []
    for query in queries:
        search = QueryPoints(collection_name=_COLLECTION, limit=_K)
        search.params.hnsw_ef = ef
        search.query.nearest.dense.data.extend(query.tolist())
        searches.append(search)
    if size == 1:
        return [search.SerializeToString() for search in searches]
    return [
        QueryBatchPoints(
            collection_name=_COLLECTION, query_points=searches[at : at + size]
        ).SerializeToString()
        for at in range(0, len(searches), size)
    ]


# --- measuring -----------------------------------------------------------------------------------------


def _measure(way: Way, server: Server, graph: _Graph, rounds: int) -> list[Measurement]:
    asyncio.run(_ask(way, 1))
    found = []
    for connections in CONNECTIONS if way.size == 1 else CONNECTIONS[:1]:
        best, rate = min(
            (_round(way, server, graph, connections) for _ in range(rounds)), key=lambda each: each[0]
        )
        name = f"{way.name}, {connections} connections" if way.size == 1 else way.name
        found += [
            Measurement(f"{name}: processor time / FAISS", best, "×", Bar("most", way.most)),
            Measurement(f"{name}: queries", rate, "/s"),
        ]
    return found


def _round(way: Way, server: Server, graph: _Graph, connections: int) -> tuple[float, float]:
    """Processor time of a query over FAISS's, and queries a second."""
    before = graph.micros()
    spent, started = _processor_s(server.pid), time.perf_counter()
    asyncio.run(_ask(way, connections))
    seconds, spent = time.perf_counter() - started, _processor_s(server.pid) - spent
    queries = len(way.bodies) * way.size
    return spent / queries * 1e6 / ((before + graph.micros()) / 2), queries / seconds


async def _ask(way: Way, connections: int) -> None:
    async with way.callers(connections) as callers:
        answers = await call_all(callers, way.bodies)
    if not all(answers):
        raise ServerFailed(f"{way.name}: an empty answer")


def _processor_s(pid: int) -> float:
    """Of the threads it has, to the nanosecond; not of those that ended, nor of its children."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
