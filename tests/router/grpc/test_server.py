"""What surrounds every method: services, codes and texts of errors, bytes that are no message, statistics."""

from __future__ import annotations

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from protos import errors
from protos.errors import VecraftError
from protos.qdrant import collections_pb2, points_service_pb2, service_pb2, snapshots_pb2
from protos.qdrant.pool import PUBLIC_POOL
from protos.qdrant.service_pb2 import HealthCheckReply
from router.auth.gate import OPEN
from router.auth.needs import Need
from router.grpc.errors import CODES, Unconvertible, code_of, metadata_of, text_of
from router.grpc.methods import Call, Served, service_methods
from router.grpc.service import REFLECTION
from router.grpc.transport.calls import Incoming, Unary
from tests.router.grpc.conftest import Grpc

INVALID = grpc.StatusCode.INVALID_ARGUMENT
LIST_RESPONSE = getattr(health_pb2, "HealthListResponse")  # noqa: B009 - which the stubs do not know yet
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def test_it_says_who_it_is(server: Grpc) -> None:
    reply = await server.call("Qdrant.HealthCheck")
    assert (reply.title, reply.version, reply.commit) == ("qdrant - vector search engine", "1.19.0", "c0ffee")


async def test_probes_are_told_that_it_serves(server: Grpc) -> None:
    check = server.channel.unary_unary(
        "/grpc.health.v1.Health/Check", response_deserializer=health_pb2.HealthCheckResponse.FromString
    )
    assert (await check(b"")).status == health_pb2.HealthCheckResponse.SERVING


async def test_every_service_is_listed_as_serving(server: Grpc) -> None:
    path = "/grpc.health.v1.Health/List"
    found = await server.channel.unary_unary(path, response_deserializer=LIST_RESPONSE.FromString)(b"")
    assert {name: each.status for name, each in found.statuses.items()} == {"": SERVING}


async def test_watchers_are_told_when_the_node_is_about_to_go_and_do_not_hold_it_up(server: Grpc) -> None:
    watch = server.channel.unary_stream(
        "/grpc.health.v1.Health/Watch", response_deserializer=health_pb2.HealthCheckResponse.FromString
    )(b"")
    assert (await watch.read()).status == SERVING
    server.departure.begin()
    assert (await watch.read()).status == NOT_SERVING
    late = server.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
    assert await late.read() == b"\x08\x02"
    await server.running.stop(60)
    assert await watch.read() is await late.read() is grpc.aio.EOF


async def test_watchers_are_told_of_an_end_that_nobody_announced(server: Grpc) -> None:
    watch = server.channel.unary_stream(
        "/grpc.health.v1.Health/Watch", response_deserializer=health_pb2.HealthCheckResponse.FromString
    )(b"")
    assert (await watch.read()).status == SERVING
    await server.running.stop(60)
    assert (await watch.read()).status == NOT_SERVING
    assert await watch.read() is grpc.aio.EOF


async def test_what_is_no_request_is_refused_by_the_standard_services_too(server: Grpc) -> None:
    for path in ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List"):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await server.channel.unary_unary(path)(b"\xff\xff\xff")
        assert failed.value.code() is INVALID
    for path in ("/grpc.health.v1.Health/Watch", f"/{REFLECTION[0]}/ServerReflectionInfo"):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await server.channel.stream_stream(path)(iter([b"\xff\xff\xff"])).read()
        assert failed.value.code() is INVALID


@pytest.mark.parametrize("version", REFLECTION)
async def test_reflection_lists_the_services_and_finds_their_files(server: Grpc, version: str) -> None:
    ask = server.channel.stream_stream(
        f"/{version}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="qdrant.Points"),
    ]
    listed, found = [answer async for answer in ask(iter(requests))]
    names = {service.name for service in listed.list_services_response.service}
    ours = {"qdrant.Qdrant", "qdrant.Collections", "qdrant.Points", "qdrant.Snapshots"}
    assert names == ours | {"grpc.health.v1.Health"}
    assert len(found.file_descriptor_response.file_descriptor_proto) > 3


async def test_no_method_is_left_to_a_later_version(server: Grpc) -> None:
    for service in ("Points", "Collections", "Snapshots", "Qdrant"):
        for name in PUBLIC_POOL.FindServiceByName(f"qdrant.{service}").methods_by_name:
            code, text = await server.outcome(f"{service}.{name}")
            assert code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED) or (
                text == "Qdrant is running in standalone mode"
            ), f"{service}.{name}: {text}"


def every(cls: type[VecraftError]) -> list[type[VecraftError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in every(child))]


def test_every_error_has_a_code() -> None:
    modules = ("protos.errors", "router.auth.errors")
    ours = [cls for cls in every(VecraftError) if cls.__module__ in modules and cls is not VecraftError]
    assert set(ours) | {Unconvertible} == set(CODES)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.BadInput("x"), INVALID, "Wrong input: x"),
        (errors.NotFound("x"), grpc.StatusCode.NOT_FOUND, "Not found: x"),
        (errors.MalformedBody("Invalid json path: 'x'"), INVALID, "Invalid json path: 'x'"),
        (errors.InvalidField("a.b", "wrong"), INVALID, "Validation error in body: [a.b: wrong]"),
        (
            errors.InvalidField("a", "wrong", where="path parameters"),
            INVALID,
            "Validation error in body: [a: wrong]",
        ),
        (
            errors.StandaloneMode(),
            grpc.StatusCode.UNIMPLEMENTED,
            "Qdrant is running in standalone mode",
        ),
    ],
)
def test_texts_are_those_of_rest_without_json(error: VecraftError, code: grpc.StatusCode, text: str) -> None:
    assert (code_of(error), text_of(error)) == (code, text)


def test_limits_tell_clients_when_to_come_again() -> None:
    assert metadata_of(errors.RateLimited("x", retry_after_s=3)) == (("retry-after", "3"),)
    assert metadata_of(errors.InsufficientStorage("x")) == (("qdrant-insufficient-storage", "1"),)
    assert metadata_of(errors.NotFound("x")) == ()


async def test_bytes_that_are_no_message_are_the_clients_fault(server: Grpc) -> None:
    for service in (points_service_pb2.DESCRIPTOR, snapshots_pb2.DESCRIPTOR, collections_pb2.DESCRIPTOR):
        for found in service.services_by_name.values():
            for method in found.methods:
                code, text = await server.refused(f"{found.name}.{method.name}", b"\xff\xff\xff")
                assert (code, text[:33]) == (INVALID, "failed to decode Protobuf message")


async def test_messages_that_nest_without_end_are_refused(server: Grpc) -> None:
    value = b""
    for _ in range(2000):
        value = b"\x3a" + _length(value := b"\x0a" + _length(value) + value) + value
    entry = b"\x0a\x01k\x12" + _length(value) + value
    code, _ = await server.refused("Points.SetPayload", b"\x0a\x01c\x1a" + _length(entry) + entry)
    assert code is INVALID


def _length(data: bytes) -> bytes:
    found, size = bytearray(), len(data)
    while size > 0x7F:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*found, size])


async def test_calls_are_counted_by_method_code_and_collection(server: Grpc) -> None:
    missing = collections_pb2.GetCollectionInfoRequest(collection_name="missing")
    await server.refused("Collections.Get", missing)
    await server.call("Collections.List")
    counted = {key: found.count for key, found in server.statistics.by_request.items()}
    assert counted == {("", "/qdrant.Collections/Get", 5): 1, ("", "/qdrant.Collections/List", 0): 1}


@pytest.mark.parametrize(
    ("compressible", "size", "compressed"), [(True, 2000, True), (True, 10, False), (False, 2000, False)]
)
async def test_only_long_answers_of_text_are_compressed(
    compressible: bool, size: int, compressed: bool
) -> None:
    async def answer(_request: object, call: Call) -> HealthCheckReply:
        call.compressible = compressible
        return HealthCheckReply(title="x" * size)

    served = {"HealthCheck": Served(Need.PUBLIC, answer)}
    methods = service_methods(service_pb2.DESCRIPTOR.services_by_name["Qdrant"], served, OPEN)
    method = methods["/qdrant.Qdrant/HealthCheck"]
    assert isinstance(method, Unary)
    reply = await method.answer(b"", Incoming({}, lambda: "ipv4:127.0.0.1:1"))
    assert reply.compress is compressed
