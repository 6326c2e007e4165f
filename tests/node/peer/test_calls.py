"""Calls over loopback gRPC: what comes back, who is refused, and what each kind of failure means."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from node.peer import call_frames, grpc_calls, lines, service
from protos import spans
from protos.errors import (
    BadInput,
    InvalidField,
    NotFound,
    NotPrimary,
    RateLimited,
    ServiceError,
    ShardUnavailable,
    Timeout,
    VecraftError,
)
from protos.peer.peer_pb2 import Refusal
from protos.request_ids import REQUEST_ID, begin
from tests.node.peer.callers import Caller
from tests.node.peer.proxy import Proxy
from tests.node.peer.test_member import until
from vecraft.otel import OtelTracer

Make = Callable[..., Awaitable[Caller]]


async def pair(caller: Make, **options: Any) -> tuple[Caller, Caller]:
    """The second one answers ``echo``."""
    one, other = await caller(1, **options), await caller(2)
    other.calls.handle("echo", echo)
    return one, other


async def echo(peer_id: int, request: bytes) -> bytes:
    return b"%d:%s" % (peer_id, request)


class Held:
    """A handler that waits, and tells what became of it."""

    def __init__(self) -> None:
        self.begun, self.release = asyncio.Event(), asyncio.Event()
        self.cancelled = 0

    async def __call__(self, peer_id: int, request: bytes) -> bytes:
        self.begun.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return b"done"


# --- what comes back ------------------------------------------------------------------------------


async def test_an_answer_comes_back_to_the_one_that_asked(caller: Make) -> None:
    one, _ = await pair(caller)
    assert await one.calls.call(2, "echo", b"x", timeout_s=5) == b"1:x"


async def test_what_is_done_for_a_call_is_done_for_the_request_it_was_made_for(caller: Make) -> None:
    one, other = await pair(caller)

    async def whose(_: int, __: bytes) -> bytes:
        return REQUEST_ID.get().encode()

    async def parts(_: int, __: bytes) -> AsyncIterator[bytes]:
        yield REQUEST_ID.get().encode()

    other.calls.handle("whose", whose)
    other.calls.handle_stream("parts", parts)

    async def request(number: int) -> list[bytes]:
        begin({"x-request-id": f"id-{number}"}.get)
        answer = await one.calls.call(2, "whose", b"", timeout_s=5)
        return [answer, *[part async for part in one.calls.stream(2, "parts", b"")]]

    found = await asyncio.gather(*(asyncio.create_task(request(number)) for number in range(5)))
    assert found == [[b"id-%d" % number] * 2 for number in range(5)]
    assert await one.calls.call(2, "whose", b"", timeout_s=5) == b""  # for no request


async def test_a_call_is_a_span_below_that_of_its_request(caller: Make) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    one, _ = await pair(caller)
    spans.install(OtelTracer(provider.get_tracer("test")))
    try:
        begin({}.get)
        with provider.get_tracer("test").start_as_current_span("request"):
            await one.calls.call(2, "echo", b"x", timeout_s=5)
    finally:
        spans.install(None)
    found = {span.name: span for span in exporter.get_finished_spans()}
    call, request = found["echo"], found["request"]
    assert call.parent is not None
    assert call.parent.span_id == request.context.span_id
    assert call.context.trace_id == request.context.trace_id


async def test_a_write_of_32_mib_goes_through(caller: Make) -> None:
    one, _ = await pair(caller)
    body = b"x" * ((32 << 20) + (1 << 20))
    assert await one.calls.call(2, "echo", body, timeout_s=60) == b"1:" + body


ERRORS = [
    NotPrimary("Another replica leads", primary=7),
    NotPrimary("Another replica leads"),
    InvalidField("a.b[0]", "too large", where="query"),
    RateLimited("Slow down", retry_after_s=3),
    NotFound("No point with id 1 found"),
    BadInput("Ungültig"),
    Timeout("took too long"),
    ShardUnavailable("x" * 20_000),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_an_error_is_raised_at_the_caller_as_it_was(caller: Make, error: VecraftError) -> None:
    one, other = await pair(caller)

    async def fail(peer_id: int, request: bytes) -> bytes:
        raise error

    other.calls.handle("fail", fail)
    with pytest.raises(VecraftError) as raised:
        await one.calls.call(2, "fail", b"", timeout_s=5)
    assert type(raised.value) is type(error)
    assert str(raised.value) == str(error)
    assert vars(raised.value) == vars(error)


class MuchTooSlow(RateLimited):
    """A class of a later release."""


def test_an_error_of_an_unknown_class_becomes_the_nearest_known_one() -> None:
    error = call_frames.decode_error(call_frames.encode_error(MuchTooSlow("x", retry_after_s=1)))
    assert type(error) is RateLimited
    assert error.retry_after_s == 1


def test_an_error_of_no_known_class_becomes_a_service_error() -> None:
    class Strange(VecraftError):
        pass

    error = call_frames.decode_error(call_frames.encode_error(Strange("odd")))
    assert type(error) is ServiceError
    assert error.message == "odd"


async def test_what_a_handler_did_not_mean_to_raise_is_a_service_error(caller: Make) -> None:
    one, other = await pair(caller)

    async def fail(peer_id: int, request: bytes) -> bytes:
        raise KeyError("k")

    other.calls.handle("fail", fail)
    one.calls.handle("fail", fail)
    for peer_id in (1, 2):
        with pytest.raises(ServiceError, match="fail failed: KeyError: 'k'"):
            await one.calls.call(peer_id, "fail", b"", timeout_s=5)


async def test_what_is_too_large_is_told_and_not_sent(caller: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = await pair(caller)
    monkeypatch.setattr(grpc_calls, "BODY_BYTES_MAX", 100)

    async def large(peer_id: int, request: bytes) -> bytes:
        return b"x" * 101

    other.calls.handle("large", large)
    with pytest.raises(ServiceError, match="a call may have 100 bytes"):
        await one.calls.call(2, "echo", b"x" * 101, timeout_s=5)
    with pytest.raises(ServiceError, match="answer of large has 101 bytes"):
        await one.calls.call(2, "large", b"", timeout_s=5)


# --- certainly not begun --------------------------------------------------------------------------


async def test_one_that_is_refused_gets_nothing_done(caller: Make) -> None:
    one, other = await pair(caller)
    done: list[bytes] = []

    async def note(peer_id: int, request: bytes) -> bytes:
        done.append(request)
        return b""

    other.calls.handle("note", note)
    await one.calls.call(2, "note", b"admitted", timeout_s=5)
    other.unwanted[1] = Refusal(reason=Refusal.REMOVED, text="peer 1 is not of the cluster")
    with pytest.raises(ShardUnavailable, match="peer 1 is not of the cluster"):
        await one.calls.call(2, "note", b"removed", timeout_s=5)
    one.calls.renew(2, 9)  # so that it has to connect
    with pytest.raises(ShardUnavailable, match="peer 1 is not of the cluster"):
        await one.calls.call(2, "note", b"removed", timeout_s=5)
    assert done == [b"admitted"]


async def test_an_address_that_passed_to_another_peer_is_noticed(caller: Make) -> None:
    one, _ = await pair(caller)
    one.uris[3] = one.uris[2]
    with pytest.raises(ShardUnavailable, match="this is peer 2"):
        await one.calls.call(3, "echo", b"", timeout_s=5)


async def test_a_method_without_a_handler_is_unavailable(caller: Make) -> None:
    one, _ = await pair(caller)
    for peer_id in (1, 2):
        with pytest.raises(ShardUnavailable, match="no calls of later yet"):
            await one.calls.call(peer_id, "later", b"", timeout_s=5)
        with pytest.raises(ShardUnavailable, match="no calls of later yet"):
            await anext(one.calls.stream(peer_id, "later", b""))


async def test_a_peer_without_an_address_is_unavailable(caller: Make) -> None:
    one, _ = await pair(caller)
    with pytest.raises(ShardUnavailable, match="address is not known"):
        await one.calls.call(9, "echo", b"", timeout_s=5)
    one.uris[9] = "nonsense"
    with pytest.raises(ShardUnavailable, match="not the URI of a peer"):
        await one.calls.call(9, "echo", b"", timeout_s=5)


async def test_a_peer_that_is_not_there_is_unavailable_at_once(caller: Make) -> None:
    one, other = await pair(caller)
    await one.calls.call(2, "echo", b"", timeout_s=5)
    await other.stop()
    await gone(one)
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(ShardUnavailable, match="cannot be reached"):
            await one.calls.call(2, "echo", b"", timeout_s=5)
    assert time.monotonic() - began < 1


async def gone(one: Caller) -> None:
    """Return when ``one`` knows that peer 2 is not there; a call that meets its end may be a Timeout."""
    async with asyncio.timeout(5):
        while True:
            try:
                with contextlib.suppress(Timeout):
                    await one.calls.call(2, "echo", b"", timeout_s=5)
            except ShardUnavailable:
                return


async def test_a_line_that_breaks_as_it_is_taken_has_sent_nothing(
    caller: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await pair(caller)
    await one.calls.call(2, "echo", b"", timeout_s=5)
    await other.stop()
    [line] = one.calls._lines._lines.values()
    await until(lambda: not line.is_ready)
    monkeypatch.setattr(lines.Line, "is_ready", True)
    with pytest.raises(ShardUnavailable, match="cannot be called: failed to connect"):
        await one.calls.call(2, "echo", b"", timeout_s=5)


async def test_a_name_that_is_not_resolved_is_unavailable(caller: Make) -> None:
    one, _ = await pair(caller)
    one.uris[2] = "http://no-such-host.invalid:6335"
    with pytest.raises(ShardUnavailable):
        await one.calls.call(2, "echo", b"", timeout_s=5)


async def test_waiting_for_a_connection_is_bounded(caller: Make) -> None:
    one, _ = await pair(caller, connect_s=0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        one.uris[2] = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(ShardUnavailable, match="did not answer"):
            await one.calls.call(2, "echo", b"", timeout_s=30)
        assert time.monotonic() - began < 1


async def test_a_member_without_the_service_is_unavailable(caller: Make) -> None:
    one, _ = await pair(caller)
    server = grpc.aio.server()
    one.uris[2] = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    with pytest.raises(ShardUnavailable, match="takes no calls"):
        await one.calls.call(2, "echo", b"", timeout_s=5)
    await server.stop(0)


async def test_calls_of_another_format_are_refused(caller: Make) -> None:
    _, other = await pair(caller)
    channel = service.channel(f"127.0.0.1:{other.port}")
    call, stream = service.call_methods(channel)
    with pytest.raises(call_frames.Refused, match="format 1 are expected, 9 was found"):
        call_frames.decode_answer(await call(b"\x09rest"))
    with pytest.raises(call_frames.Refused, match="head of a call cannot be read"):
        call_frames.decode_answer(await stream(b"\x01\x00\x02\xff\xff").read())
    await channel.close()


async def test_more_calls_than_a_line_takes_are_unavailable(
    caller: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await pair(caller)
    held = Held()
    other.calls.handle("held", held)
    monkeypatch.setattr(lines, "OPEN_CALLS_MAX", 1)
    first = asyncio.create_task(one.calls.call(2, "held", b"", timeout_s=5))
    await held.begun.wait()
    with pytest.raises(ShardUnavailable, match="1 calls"):
        await one.calls.call(2, "echo", b"", timeout_s=5)
    held.release.set()
    assert await first == b"done"
    assert await one.calls.call(2, "echo", b"", timeout_s=5)


# --- perhaps done ---------------------------------------------------------------------------------


async def test_a_peer_that_stops_midway_leaves_the_outcome_open(caller: Make) -> None:
    one, other = await pair(caller)
    held = Held()
    other.calls.handle("held", held)
    call = asyncio.create_task(one.calls.call(2, "held", b"", timeout_s=30))
    await held.begun.wait()
    await other.stop()
    with pytest.raises(Timeout, match="may have been done"):
        await call


async def test_a_connection_that_breaks_midway_leaves_the_outcome_open(
    caller: Make, proxied: Callable[[Caller, Caller], Awaitable[Proxy]]
) -> None:
    one, other = await pair(caller)
    proxy = await proxied(one, other)
    held = Held()
    other.calls.handle("held", held)
    call = asyncio.create_task(one.calls.call(2, "held", b"", timeout_s=30))
    await held.begun.wait()
    proxy.cut()
    with pytest.raises(Timeout, match="may have been done"):
        await call
    assert await one.calls.call(2, "echo", b"x", timeout_s=5) == b"1:x"


@pytest.mark.slow
async def test_a_connection_that_falls_silent_is_given_up(
    caller: Make, proxied: Callable[[Caller, Caller], Awaitable[Proxy]]
) -> None:
    one, other = await pair(caller)
    proxy = await proxied(one, other)
    held = Held()
    other.calls.handle("held", held)
    call = asyncio.create_task(one.calls.call(2, "held", b"", timeout_s=60))
    await held.begun.wait()
    proxy.freeze()
    began = time.monotonic()
    with pytest.raises(Timeout, match="may have been done"):
        await call
    assert time.monotonic() - began < 10
    with pytest.raises(ShardUnavailable):
        await one.calls.call(2, "echo", b"", timeout_s=5)
    await until(lambda: held.cancelled)  # the other side has noticed, too


async def test_a_handler_that_outlasts_the_deadline_is_cancelled(caller: Make) -> None:
    one, other = await pair(caller)
    there, here = Held(), Held()
    other.calls.handle("held", there)
    one.calls.handle("held", here)
    for peer_id, held in ((2, there), (1, here)):
        with pytest.raises(Timeout, match="may have been done"):
            await one.calls.call(peer_id, "held", b"", timeout_s=0.1)
        await until(lambda held=held: held.cancelled)  # type: ignore[misc]


async def test_a_caller_that_gives_up_cancels_the_handler(caller: Make) -> None:
    one, other = await pair(caller)
    there, here = Held(), Held()
    other.calls.handle("held", there)
    one.calls.handle("held", here)
    for peer_id, held in ((2, there), (1, here)):
        call = asyncio.create_task(one.calls.call(peer_id, "held", b"", timeout_s=30))
        await held.begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda held=held: held.cancelled)  # type: ignore[misc]


async def test_calls_end_when_the_caller_stops(caller: Make) -> None:
    one, other = await pair(caller)
    held = Held()
    other.calls.handle("held", held)
    call = asyncio.create_task(one.calls.call(2, "held", b"", timeout_s=30))
    await held.begun.wait()
    await one.calls.close()
    with pytest.raises(Timeout, match="may have been done, but this member stops"):
        await call
    with pytest.raises(ShardUnavailable, match="this member stops"):
        await one.calls.call(2, "echo", b"", timeout_s=5)
    with pytest.raises(ShardUnavailable, match="this member stops"):
        await other.calls.call(1, "anything", b"", timeout_s=5)


# --- connections ----------------------------------------------------------------------------------


@pytest.fixture
async def proxied() -> AsyncIterator[Callable[[Caller, Caller], Awaitable[Proxy]]]:
    """Have one caller reach the other through a proxy."""
    proxies: list[Proxy] = []

    async def make(one: Caller, other: Caller) -> Proxy:
        proxy = Proxy(other.port)
        await proxy.start()
        proxies.append(proxy)
        one.uris[other.peer_id] = f"http://127.0.0.1:{proxy.port}"
        return proxy

    yield make
    for proxy in proxies:
        await proxy.close()


async def test_all_calls_to_a_peer_share_a_connection(
    caller: Make, proxied: Callable[[Caller, Caller], Awaitable[Proxy]]
) -> None:
    one, other = await pair(caller)
    proxy = await proxied(one, other)
    calls = (one.calls.call(2, "echo", b"%d" % number, timeout_s=5) for number in range(50))
    assert await asyncio.gather(*calls) == [b"1:%d" % number for number in range(50)]
    assert await one.calls.call(2, "echo", b"later", timeout_s=5) == b"1:later"
    assert proxy.connections == 1


async def test_a_peer_that_comes_back_is_called_again(caller: Make) -> None:
    one, other = await pair(caller)
    await one.calls.call(2, "echo", b"", timeout_s=5)
    await other.stop()
    await gone(one)
    await other.serve(other.port)
    await answers_soon(one)


async def test_a_peer_that_comes_back_elsewhere_is_found(caller: Make) -> None:
    one, other = await pair(caller)
    await one.calls.call(2, "echo", b"", timeout_s=5)
    await other.stop()
    await other.serve()
    one.knows(other)
    assert await one.calls.call(2, "echo", b"x", timeout_s=5) == b"1:x"


async def test_a_call_that_runs_may_end_after_the_address_has_changed(caller: Make) -> None:
    one, other = await pair(caller)
    held = Held()
    other.calls.handle("held", held)
    call = asyncio.create_task(one.calls.call(2, "held", b"", timeout_s=5))
    await held.begun.wait()
    one.uris[2] = f"http://localhost:{other.port}"
    assert await one.calls.call(2, "echo", b"x", timeout_s=5) == b"1:x"
    held.release.set()
    assert await call == b"done"


async def test_what_was_asked_of_an_older_process_is_given_up(caller: Make) -> None:
    one, other = await pair(caller)
    held = Held()
    other.calls.handle("held", held)
    call = asyncio.create_task(one.calls.call(2, "held", b"", timeout_s=30))
    await held.begun.wait()
    one.calls.renew(2, other.incarnation)
    assert await one.calls.call(2, "echo", b"x", timeout_s=5) == b"1:x"
    assert not call.done()
    one.calls.renew(2, other.incarnation + 1)
    with pytest.raises(Timeout, match="another process runs under its id now"):
        await call


async def answers_soon(one: Caller) -> None:
    """Within a second and what a busy machine takes."""
    async with asyncio.timeout(5):
        while True:
            try:
                assert await one.calls.call(2, "echo", b"x", timeout_s=5) == b"1:x"
                return
            except ShardUnavailable:
                await asyncio.sleep(0.02)


# --- to oneself -----------------------------------------------------------------------------------


async def test_a_member_calls_itself_without_a_connection() -> None:
    alone = Caller(1)
    alone.calls.handle("echo", echo)
    assert await alone.calls.call(1, "echo", b"x", timeout_s=5) == b"1:x"

    async def fail(peer_id: int, request: bytes) -> bytes:
        raise NotPrimary("no", primary=3)

    alone.calls.handle("fail", fail)
    with pytest.raises(NotPrimary):
        await alone.calls.call(1, "fail", b"", timeout_s=5)
    await alone.close()
