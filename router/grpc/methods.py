"""What surrounds every method: decoding, errors, the time taken, compression, statistics.

A service's handlers are given by the names of its methods; their messages' classes come from the descriptors.
Messages are decoded here, not by gRPC, because bytes that are no message are the client's fault, not ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import grpc
import grpc.aio
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from msgspec import Struct

from protos import spans
from protos.errors import ServiceError, VecraftError
from protos.hardware import billed
from protos.request_ids import HEADER as REQUEST_ID_HEADER
from protos.request_ids import begin as begin_request
from router.auth.access import Access
from router.auth.gate import Asked, Gate
from router.auth.needs import Need
from router.grpc.errors import Unconvertible, code_of, metadata_of, text_of
from router.inference.calls import begin
from router.load import Load
from router.points import WriteOptions
from router.tokens import HEADER, encode_token

COMPRESSED_BYTES_MIN = 1024

_log = structlog.get_logger(__name__)


class Call(Struct):
    """One call, by one who has ``access``. ``compressible``: set by a handler whose answer is text, for
    clients that take gzip. ``write``: set by one that writes points."""

    metadata: Mapping[str, str | bytes]
    access: Access
    compressible: bool = False
    write: WriteOptions | None = None


Trailing = list[tuple[str, str]]
Handler = Callable[[Any, Call], Awaitable[Message]]


class Served(NamedTuple):
    """A method: what its callers must be allowed to, and its handler."""

    needs: Need
    handle: Handler


class Outcome(NamedTuple):
    body: bytes
    code: grpc.StatusCode
    collection: str | None


# What the server is to blame for.
FAULTS = frozenset((grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS))
Methods = Mapping[str, Served]  # by the methods' names
# (the method's full name, as "/qdrant.Points/Query"; the collection, if one is named; code; seconds)
MetricsHook = Callable[[str, str | None, int, float], None]


def service_handler(
    service: ServiceDescriptor,
    handlers: Methods,
    gate: Gate,
    hook: MetricsHook | None = None,
    load: Load | None = None,
    *,
    bills: bool = False,
) -> grpc.GenericRpcHandler:
    """A service of the public API, served by one handler for each of its methods. ``load`` counts those about
    a collection. ``bills``: tell what they cost the hardware."""
    load = load or Load()
    assert {method.name for method in service.methods} == handlers.keys(), service.full_name
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        method.name: grpc.unary_unary_rpc_method_handler(
            _Method(method, handlers[method.name], gate, hook, load, bills=bills).answer
        )
        for method in service.methods
    }
    return grpc.method_handlers_generic_handler(service.full_name, methods)


class _Method:
    def __init__(
        self,
        method: MethodDescriptor,
        served: Served,
        gate: Gate,
        hook: MetricsHook | None,
        load: Load,
        *,
        bills: bool,
    ) -> None:
        self._name, self._operation = f"/{method.containing_service.full_name}/{method.name}", method.name
        self._request_class = GetMessageClass(method.input_type)
        self._names_collection = "collection_name" in method.input_type.fields_by_name
        self._timed = "time" in method.output_type.fields_by_name
        self._bills = bills and "usage" in method.output_type.fields_by_name
        self._needs, self._handler = served
        self._gate, self._hook, self._load = gate, hook, load
        assert self._names_collection or not self._needs.of_collection, self._name

    async def answer(self, data: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        tracer = spans.tracer()
        if tracer is None:
            return (await self._serve(data, context)).body
        header = dict(context.invocation_metadata() or ()).get
        with tracer.serving(self._name, header) as span:
            outcome = await self._serve(data, context)
            status = outcome.code.value[0]
            failed = outcome.code in FAULTS
            span.answered(self._name, status=status, failed=failed, collection=outcome.collection)
            return outcome.body

    async def _serve(self, data: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> Outcome:
        started_s = time.perf_counter()
        collection, code, body = None, grpc.StatusCode.OK, b""
        metadata = dict(context.invocation_metadata() or ())
        trailing: Trailing = [(REQUEST_ID_HEADER, begin_request(metadata.get))]
        try:
            if self._names_collection:
                with self._load:
                    request = self._decode(data)
                    collection = request.collection_name  # type: ignore[attr-defined]  # just found out
                    body = await self._answer(request, collection, context, trailing, started_s)
            else:
                body = await self._answer(self._decode(data), None, context, trailing, started_s)
        except VecraftError as error:
            if isinstance(error, ServiceError):
                _log.error("request_failed", method=self._name, error=str(error))
            code = _fail(context, error, trailing)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: our fault, told once
            _log.exception("request_crashed", method=self._name)
            code = _fail(context, ServiceError(f"{type(error).__name__}: {error}"), trailing)
        context.set_trailing_metadata(tuple(trailing))
        if self._hook is not None:
            self._hook(self._name, collection, code.value[0], time.perf_counter() - started_s)
        return Outcome(body, code, collection)

    def _decode(self, data: bytes) -> Message:
        try:
            return self._request_class.FromString(data)
        except DecodeError as error:
            raise Unconvertible(f"failed to decode Protobuf message: {error}") from error

    async def _admitted(
        self, context: grpc.aio.ServicerContext[bytes, bytes], collection: str | None
    ) -> Call:
        """Raises: NotAuthenticated, TokenRefused, Forbidden."""
        metadata = dict(context.invocation_metadata() or ())
        asked = Asked(self._operation, self._name, collection, metadata, context.peer)
        return Call(metadata, await self._gate.admit(self._needs, asked))

    async def _answer(
        self,
        request: Message,
        collection: str | None,
        context: grpc.aio.ServicerContext[bytes, bytes],
        trailing: Trailing,
        started_s: float,
    ) -> bytes:
        call = await self._admitted(context, collection)
        tokens = begin(call.metadata, call.access.inference_token).tokens
        if self._bills:
            answer = await self._billed(request, call)
        else:
            answer = await self._handler(request, call)
        if self._timed:
            answer.time = time.perf_counter() - started_s  # type: ignore[attr-defined]  # just found out
        for model, count in tokens.items():
            answer.usage.inference.models[model].tokens = count  # type: ignore[attr-defined]
        body = answer.SerializeToString()
        token = None if call.write is None else encode_token(call.write.written, call.write.known)
        if token is not None:
            trailing.append((HEADER, token))
        if call.compressible and len(body) >= COMPRESSED_BYTES_MIN:
            context.set_compression(grpc.Compression.Gzip)
        return body

    async def _billed(self, request: Message, call: Call) -> Message:
        with billed() as bill:
            answer = await self._handler(request, call)
        if bill.usage is not None:
            for name in bill.usage.__struct_fields__:
                setattr(answer.usage.hardware, name, getattr(bill.usage, name))  # type: ignore[attr-defined]
        return answer


def _fail(
    context: grpc.aio.ServicerContext[bytes, bytes], error: VecraftError, trailing: Trailing
) -> grpc.StatusCode:
    code = code_of(error)
    context.set_code(code)
    context.set_details(text_of(error))
    trailing += metadata_of(error)
    return code
