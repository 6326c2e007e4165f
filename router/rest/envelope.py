"""The response envelope of reference section 1.1: ``{"result", "status", "time"}``."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from protos.errors import AlreadyInProgress, NothingChanged, RateLimited, VecraftError
from protos.hardware import HardwareUsage
from router.auth.errors import NotAuthenticated
from router.auth.needs import Need
from router.inference.calls import begin
from router.rest.admission import access_of
from router.rest.errors import BEFORE_WORK, status_of
from router.rest.routes import Route
from router.rest.state import STATE
from router.tokens import HEADER, encode_token

JSON = "application/json"

# Makes the result of one request; ``enveloped`` wraps it.
Operation = Callable[[web.Request], Awaitable[object]]

_encoder = msgspec.json.Encoder()


class _Success(Struct, omit_defaults=True):
    result: object
    status: str
    time: float
    usage: dict[str, object] | UnsetType = UNSET


class _Told(Struct):
    """Without a result."""

    status: str
    time: float


class _Failure(Struct):
    status: dict[str, str]
    time: float


def json_response(body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type=JSON)


def success(
    result: object,
    started_s: float,
    tokens: Mapping[str, int] | None = None,
    hardware: HardwareUsage | None = None,
) -> web.Response:
    """Wrap ``result`` (anything msgspec encodes); ``started_s`` is a ``perf_counter`` reading; ``tokens``
    that remote models took, by model; ``hardware``: what it cost, if that is reported."""
    usage: dict[str, object] | UnsetType = UNSET
    if tokens or hardware is not None:
        usage = _usage(tokens, hardware)
    body = _Success(result, "ok", time.perf_counter() - started_s, usage)
    return json_response(_encoder.encode(body))


def _usage(tokens: Mapping[str, int] | None, hardware: HardwareUsage | None) -> dict[str, object]:
    usage: dict[str, object] = {} if hardware is None else {"hardware": hardware, "inference": None}
    if tokens:
        usage["inference"] = {"models": {model: {"tokens": count} for model, count in tokens.items()}}
    return usage


def accepted(started_s: float) -> web.Response:
    """202: it is being done; there is no result."""
    body = _encoder.encode(_Told("accepted", time.perf_counter() - started_s))
    return json_response(body, status=202)


def enveloped(operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler that answers with what ``operation`` returns."""

    async def handle(request: web.Request) -> web.StreamResponse:
        started_s, tokens = (
            time.perf_counter(),
            begin(request.headers, access_of(request).inference_token).tokens,
        )
        result, state = await operation(request), request[STATE]
        response = success(result, started_s, tokens, None if state.bill is None else state.bill.usage)
        write = state.write
        token = None if write is None else encode_token(write.written, write.known)
        if token is not None:
            response.headers[HEADER] = token
        return response

    return handle


def enveloped_route(
    method: str,
    path: str,
    operation: Operation,
    needs: Need,
    summary: str,
    query: tuple[str, ...] = (),
    *,
    tag: str = "Service",
    body: Any = None,
    result: Any = None,
) -> Route:
    """See ``Route``."""
    handler = enveloped(operation)
    return Route(method, path, handler, needs, summary, tag, query, body, result, enveloped=True)


def failure(error: VecraftError, started_s: float) -> web.Response:
    """What went wrong, in the envelope; bare text for a caller who is not known (reference 1.1, 1.3)."""
    if isinstance(error, NotAuthenticated):
        return web.Response(status=status_of(error), text=str(error))
    if isinstance(error, NothingChanged):
        return web.Response(status=status_of(error))
    if isinstance(error, AlreadyInProgress):
        return json_response(_encoder.encode(_Told("already_in_progress", 0.0)), status=status_of(error))
    elapsed_s = 0.0 if isinstance(error, BEFORE_WORK) else time.perf_counter() - started_s
    body = _encoder.encode(_Failure({"error": str(error)}, elapsed_s))
    response = json_response(body, status=status_of(error))
    if isinstance(error, RateLimited) and error.retry_after_s is not None:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    return response
