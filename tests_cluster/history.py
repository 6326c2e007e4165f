"""Clients that write and read points at once and keep a record of it, for ``linearizability.check``.

Each point is a register: a put stores a number nobody stored before (payload and vector both carry it), a
read tells which number is there. Whether a write that was not answered took effect is unknown; one that was
refused, or never sent, did not.

::

    async with Recorder([node.url], COLLECTION, seed=1) as recorder:
        async with recorder.running(clients=10):
            ...  # kill, cut, heal
        await recorder.read_all()
    recorder.assert_linearizable()
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

from tests_cluster.linearizability import Kind, Operation, Outcome, Value, check

Json = dict[str, Any]

DIM = 4
REQUEST_S_MAX = 10.0
PAUSE_S = 0.1  # of a client whose node did not answer, lest it fills the history with failures
# Nothing was applied: the request was refused, or the node says so (503, 507).
_WITHOUT_EFFECT = frozenset({400, 401, 403, 404, 405, 409, 413, 422, 429, 503, 507})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def vector_of(value: int) -> list[float]:
    """Exactly representable in float32, so it must come back bit for bit."""
    return [float(value % 4096), float(value // 4096), 1.0, -1.0]


NOTE_MAX = 200  # of an answer that was no success


def outcome_of(status: int) -> Outcome:
    if status == 200:
        return Outcome.OK
    return Outcome.FAILED if status in _WITHOUT_EFFECT else Outcome.UNKNOWN


@dataclass(frozen=True)
class _Request:
    method: str
    path: str  # after that of the collection's points
    body: Json
    query: Json


class Recorder:
    """A history of operations on the points ``1..keys`` of a collection.

    Args:
        urls: nodes; each client keeps to one until it fails, then tries the next.
        read_query: parameters of reads, such as ``{"consistency": "all"}``.
        write_query: parameters of writes; the default waits until the write is visible.
        http: what sends the requests, and is the caller's; None: one of its own.
    """

    def __init__(
        self,
        urls: Sequence[str],
        collection: str,
        *,
        seed: int,
        keys: int = 20,
        read_query: Json | None = None,
        write_query: Json | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self.history: list[Operation] = []
        self._urls = list(urls)
        self._path = f"/collections/{collection}/points"
        self._rng = random.Random(seed)
        self._keys = range(1, keys + 1)
        self._read_query = read_query or {}
        self._write_query = {"wait": "true", **(write_query or {})}
        self._values = itertools.count(1)
        self._http = http or httpx.AsyncClient(
            timeout=REQUEST_S_MAX, limits=httpx.Limits(max_connections=None), trust_env=False
        )

    async def __aenter__(self) -> Recorder:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def create_collection(self, **parameters: Any) -> None:
        body = {"vectors": {"size": DIM, "distance": "Dot"}, **parameters}
        path = self._path.removesuffix("/points")
        answer = await self._http.put(self._urls[0] + path, json=body, timeout=60)
        assert answer.status_code == 200, answer.text

    @asynccontextmanager
    async def running(self, clients: int) -> AsyncIterator[None]:
        """Clients at work until the block ends. A client that fails fails the block."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for client in range(clients):
                group.create_task(self._work(client, stop, random.Random(self._rng.random())))
            try:
                yield
            finally:
                stop.set()

    async def read_all(self) -> None:
        """Read every point from every node; what is lost shows here at the latest."""
        for node, key in itertools.product(range(len(self._urls)), self._keys):
            await self._read(-1, node, key)

    def outcomes(self) -> dict[Outcome, int]:
        return Counter(operation.outcome for operation in self.history)

    def assert_linearizable(self) -> None:
        counterexamples = check(self.history)
        assert not counterexamples, "\n\n".join(map(str, counterexamples))

    # --- clients ---------------------------------------------------------------------------------------

    async def _work(self, client: int, stop: asyncio.Event, rng: random.Random) -> None:
        node = client % len(self._urls)
        while not stop.is_set():
            key = rng.choice(self._keys)
            act = rng.choice([self._put, self._put, self._delete, self._read, self._read, self._read])
            if await act(client, node, key) is not Outcome.OK:
                node = (node + 1) % len(self._urls)
                await asyncio.sleep(PAUSE_S)

    async def _put(self, client: int, node: int, key: int) -> Outcome:
        value = next(self._values)
        point = {"id": key, "vector": vector_of(value), "payload": {"value": value}}
        request = _Request("PUT", "", {"points": [point]}, self._write_query)
        return await self._recorded(Kind.PUT, client, node, key, request, value)

    async def _delete(self, client: int, node: int, key: int) -> Outcome:
        bodies: list[Json] = [{"points": [key]}, {"filter": _only(key)}]
        request = _Request("POST", "/delete", self._rng.choice(bodies), self._write_query)
        return await self._recorded(Kind.DELETE, client, node, key, request, None)

    async def _read(self, client: int, node: int, key: int) -> Outcome:
        """By one of the ways that lead to a point."""
        ways: list[tuple[str, Json]] = [
            ("", {"ids": [key]}),
            ("/scroll", {"filter": _only(key)}),
            ("/query", {"filter": _only(key), "query": [1.0] * DIM}),
        ]
        path, body = self._rng.choice(ways)
        whole = {**body, "with_payload": True, "with_vector": True}
        request = _Request("POST", path, whole, self._read_query)
        return await self._recorded(Kind.READ, client, node, key, request, None)

    async def _recorded(
        self,
        kind: Kind,
        client: int,
        node: int,
        key: int,
        request: _Request,
        value: Value,
    ) -> Outcome:
        status, text = 0, ""
        called_ns = time.monotonic_ns()
        try:
            answer = await self._http.request(
                request.method,
                self._urls[node] + self._path + request.path,
                json=request.body,
                params=request.query,
            )
            status, text = answer.status_code, answer.text[:NOTE_MAX]
            outcome = outcome_of(status)
            if kind is Kind.READ and outcome is Outcome.OK:
                value = _value_in(answer.json()["result"])
        except _NOT_SENT:
            outcome = Outcome.FAILED
        except httpx.TransportError:
            outcome = Outcome.UNKNOWN
        returned_ns = time.monotonic_ns()
        note = f"node {node}{request.path}" + (f", status {status}: {text}" if status not in (0, 200) else "")
        self.history.append(Operation(kind, key, value, called_ns, returned_ns, outcome, client, note))
        return outcome


def _only(key: int) -> Json:
    return {"must": [{"has_id": [key]}]}


def _value_in(result: Any) -> Value:
    """The number a read found. Fails on a point whose parts are of different writes."""
    records: list[Json] = result if isinstance(result, list) else result["points"]
    if not records:
        return None
    (record,) = records
    value: int = record["payload"]["value"]
    assert record["vector"] == vector_of(value), f"payload and vector are of different writes: {record}"
    return value
