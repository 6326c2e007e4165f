"""Who we are, whether we are well, and which services there are (reference 2.2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from google.protobuf.message import DecodeError, Message
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio as reflection

from protos.errors import VecraftError
from protos.qdrant.pool import PUBLIC_POOL
from protos.qdrant.service_pb2 import HealthCheckReply, HealthCheckRequest
from protos.request_ids import REQUEST_ID
from router.auth.gate import Asked, Gate
from router.auth.needs import Need
from router.departure import Departure
from router.grpc.errors import code_of, text_of
from router.grpc.methods import Call, Methods, MetricsHook, Served
from router.grpc.transport.calls import Incoming, Method, Reply, Requests, Streaming, Unary
from router.grpc.transport.messages import Refused
from router.monitoring.metrics import RequestStatistics
from router.monitoring.slow_requests import SlowRequest, SlowRequests

TITLE = "qdrant - vector search engine"
HEALTH = "grpc.health.v1.Health"
# By their names, because the package's stubs do not know them yet.
_LIST_REQUEST, _LIST_RESPONSE = (getattr(health_pb2, f"HealthList{kind}") for kind in ("Request", "Response"))
REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


def about_handlers(version: str, commit: str | None) -> Methods:
    """The service ``qdrant.Qdrant``."""

    async def check(_request: HealthCheckRequest, _call: Call) -> HealthCheckReply:
        return HealthCheckReply(title=TITLE, version=version, commit=commit)

    return {"HealthCheck": Served(Need.PUBLIC, check)}


def grpc_metrics_hook(
    requests: RequestStatistics,
    unix_s: Callable[[], float] = time.time,
    slow: SlowRequests | None = None,
) -> MetricsHook:
    """Counts every call, and keeps the slowest in ``slow``; give it to ``create_server``."""

    def count(method: str, collection: str | None, code: int, seconds: float) -> None:
        now_s = unix_s()
        requests.add(("", method, code), seconds, now_s, collection)
        if slow is not None and slow.would_keep(method, seconds):
            slow.add(SlowRequest(method, seconds, now_s, collection, code, REQUEST_ID.get()))

    return count


def health_methods(departure: Departure, stopping: asyncio.Event) -> dict[str, Method]:
    """A server that answers is serving, whichever service is asked for, unless it is about to stop."""

    def status() -> health_pb2.HealthCheckResponse:
        kind = health_pb2.HealthCheckResponse
        return kind(status=kind.NOT_SERVING if departure.begun or stopping.is_set() else kind.SERVING)

    async def check(data: bytes, _incoming: Incoming) -> Reply:
        _decoded(health_pb2.HealthCheckRequest, data)
        return Reply(status().SerializeToString())

    async def every(data: bytes, _incoming: Incoming) -> Reply:
        _decoded(_LIST_REQUEST, data)
        return Reply(_LIST_RESPONSE(statuses={"": status()}).SerializeToString())

    async def watch(requests: Requests, _incoming: Incoming) -> AsyncIterator[bytes]:
        """Until the end; ending any earlier would have watchers come again at once."""
        async for data in requests:
            _decoded(health_pb2.HealthCheckRequest, data)
            if not departure.begun:
                yield status().SerializeToString()
                await _first(departure.wait(), stopping.wait())
            yield status().SerializeToString()
            await stopping.wait()
            return

    return {
        f"/{HEALTH}/Check": Unary(check),
        f"/{HEALTH}/List": Unary(every),
        f"/{HEALTH}/Watch": Streaming(watch),
    }


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def reflection_methods(services: Sequence[str], gate: Gate) -> dict[str, Method]:
    """Both versions of reflection, for known callers: their messages differ by the package's name alone."""
    pool = PUBLIC_POOL
    pool.AddSerializedFile(health_pb2.DESCRIPTOR.serialized_pb)
    servicer = reflection.ReflectionServicer(services, pool=pool)

    async def answers(requests: Requests, incoming: Incoming) -> AsyncIterator[bytes]:
        asked = Asked(REFLECTION[0], REFLECTION[0], None, incoming.metadata, incoming.peer)
        try:
            await gate.admit(Need.KNOWN, asked)
        except VecraftError as error:
            raise Refused(code_of(error), text_of(error)) from error
        wanted: Any = (_decoded(reflection_pb2.ServerReflectionRequest, data) async for data in requests)
        replies: Any = servicer.ServerReflectionInfo(wanted, None)
        async for reply in replies:
            yield reply.SerializeToString()

    return {f"/{name}/ServerReflectionInfo": Streaming(answers) for name in REFLECTION}


def _decoded(kind: type[Message], data: bytes) -> Message:
    """Raises: Refused: bytes that are no message are the client's fault."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        text = f"failed to decode Protobuf message: {error}"
        raise Refused(StatusCode.INVALID_ARGUMENT, text) from error
