"""Who we are, whether we are well, and which services there are (reference 2.2)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
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
from router.monitoring.metrics import RequestStatistics
from router.monitoring.slow_requests import SlowRequest, SlowRequests

TITLE = "qdrant - vector search engine"
HEALTH = "grpc.health.v1.Health"
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


def health_handler(departure: Departure) -> grpc.GenericRpcHandler:
    """``Check`` alone: a server that answers is serving, unless it is about to stop."""
    status = health_pb2.HealthCheckResponse

    async def check(_request: object, _context: object) -> health_pb2.HealthCheckResponse:
        return status(status=status.NOT_SERVING if departure.begun else status.SERVING)

    method = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=health_pb2.HealthCheckRequest.FromString,
        response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(HEALTH, {"Check": method})


def reflection_handlers(services: Sequence[str], gate: Gate) -> list[grpc.GenericRpcHandler]:
    """Both versions of reflection, for known callers: their messages differ by the package's name alone."""
    pool = PUBLIC_POOL
    pool.AddSerializedFile(health_pb2.DESCRIPTOR.serialized_pb)
    servicer = reflection.ReflectionServicer(services, pool=pool)

    async def answer(requests: Any, context: Any) -> AsyncIterator[Any]:
        metadata = dict(context.invocation_metadata() or ())
        try:
            await gate.admit(Need.KNOWN, Asked(REFLECTION[0], REFLECTION[0], None, metadata, context.peer))
        except VecraftError as error:
            await context.abort(code_of(error), text_of(error))
        replies: Any = servicer.ServerReflectionInfo(requests, context)
        async for reply in replies:
            yield reply

    method = grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    methods = {"ServerReflectionInfo": method}
    return [grpc.method_handlers_generic_handler(name, methods) for name in REFLECTION]
