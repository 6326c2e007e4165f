"""What surrounds every method: decoding, errors, the time taken, compression, statistics.

A service's handlers are given by the names of its methods; their messages' classes come from the descriptors.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode
from msgspec import Struct

from protos import spans
from protos.errors import ServiceError, VecraftError
from protos.hardware import billed
from protos.logger import get_logger
from protos.request_ids import HEADER as REQUEST_ID_HEADER
from protos.request_ids import begin as begin_request
from router.auth.access import Access
from router.auth.gate import Asked, Gate
from router.auth.needs import Need
from router.grpc.errors import Unconvertible, code_of, metadata_of, text_of
from router.grpc.transport.calls import Incoming, Method, Reply, Unary
from router.inference.calls import begin
from router.load import Load
from router.points import WriteOptions
from router.tokens import HEADER, encode_token

COMPRESSED_BYTES_MIN = 1024

_log = get_logger(__name__)


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
    reply: Reply
    collection: str | None


# What the server is to blame for.
FAULTS = frozenset((StatusCode.INTERNAL, StatusCode.UNAVAILABLE, StatusCode.DATA_LOSS))
Methods = Mapping[str, Served]  # by the methods' names
# (the method's full name, as "/qdrant.Points/Query"; the collection, if one is named; code; seconds)
MetricsHook = Callable[[str, str | None, int, float], None]


def service_methods(
    service: ServiceDescriptor,
    handlers: Methods,
    gate: Gate,
    hook: MetricsHook | None = None,
    load: Load | None = None,
    *,
    bills: bool = False,
) -> dict[str, Method]:
    """A service of the public API by the paths of its methods, with one handler for each. ``load`` counts
    those about a collection. ``bills``: tell what they cost the hardware."""
    load = load or Load()
    assert {method.name for method in service.methods} == handlers.keys(), service.full_name
    found = [
        _Method(method, handlers[method.name], gate, hook, load, bills=bills) for method in service.methods
    ]
    return {each.path: Unary(each.answer) for each in found}


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
        self.path, self._operation = f"/{method.containing_service.full_name}/{method.name}", method.name
        self._request_class = GetMessageClass(method.input_type)
        self._names_collection = "collection_name" in method.input_type.fields_by_name
        self._timed = "time" in method.output_type.fields_by_name
        self._bills = bills and "usage" in method.output_type.fields_by_name
        self._needs, self._handler = served
        self._gate, self._hook, self._load = gate, hook, load
        assert self._names_collection or not self._needs.of_collection, self.path

    async def answer(self, data: bytes, incoming: Incoming) -> Reply:
        tracer = spans.tracer()
        if tracer is None:
            return (await self._serve(data, incoming)).reply
        with tracer.serving(self.path, incoming.metadata.get) as span:
            reply, collection = await self._serve(data, incoming)
            status, failed = reply.code.value[0], reply.code in FAULTS
            span.answered(self.path, status=status, failed=failed, collection=collection)
            return reply

    async def _serve(self, data: bytes, incoming: Incoming) -> Outcome:
        started_s = time.perf_counter()
        collection = None
        trailing: Trailing = [(REQUEST_ID_HEADER, begin_request(incoming.metadata.get))]
        try:
            if self._names_collection:
                with self._load:
                    request = self._decode(data)
                    collection = request.collection_name  # type: ignore[attr-defined]  # just found out
                    reply = await self._answer(request, collection, incoming, trailing, started_s)
            else:
                reply = await self._answer(self._decode(data), None, incoming, trailing, started_s)
        except VecraftError as error:
            if isinstance(error, ServiceError):
                _log.error("request_failed", method=self.path, error=str(error))
            reply = _failure(error, trailing)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: our fault, told once
            _log.exception("request_crashed", method=self.path)
            reply = _failure(ServiceError(f"{type(error).__name__}: {error}"), trailing)
        if self._hook is not None:
            self._hook(self.path, collection, reply.code.value[0], time.perf_counter() - started_s)
        return Outcome(reply, collection)

    def _decode(self, data: bytes) -> Message:
        try:
            return self._request_class.FromString(data)
        except DecodeError as error:
            raise Unconvertible(f"failed to decode Protobuf message: {error}") from error

    async def _admitted(self, incoming: Incoming, collection: str | None) -> Call:
        """Raises: NotAuthenticated, TokenRefused, Forbidden."""
        asked = Asked(self._operation, self.path, collection, incoming.metadata, incoming.peer)
        return Call(incoming.metadata, await self._gate.admit(self._needs, asked))

    async def _answer(
        self,
        request: Message,
        collection: str | None,
        incoming: Incoming,
        trailing: Trailing,
        started_s: float,
    ) -> Reply:
        call = await self._admitted(incoming, collection)
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
        compress = call.compressible and len(body) >= COMPRESSED_BYTES_MIN
        return Reply(body, trailing=trailing, compress=compress)

    async def _billed(self, request: Message, call: Call) -> Message:
        with billed() as bill:
            answer = await self._handler(request, call)
        if bill.usage is not None:
            for name in bill.usage.__struct_fields__:
                setattr(answer.usage.hardware, name, getattr(bill.usage, name))  # type: ignore[attr-defined]
        return answer


def _failure(error: VecraftError, trailing: Trailing) -> Reply:
    return Reply(code=code_of(error), text=text_of(error), trailing=[*trailing, *metadata_of(error)])
