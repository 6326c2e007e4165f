"""Addresses that it listens on, and what its methods are told of those who call."""

from __future__ import annotations

import socket

import grpc.aio
import pytest

from router.grpc.transport.calls import Unary
from router.grpc.transport.server import GrpcServer
from tests.router.grpc.transport.served import HOST, METADATA_BYTES_MAX, Methods, Served


def server() -> tuple[GrpcServer, Methods]:
    methods = Methods()
    found = GrpcServer(metadata_bytes_max=METADATA_BYTES_MAX)
    found.add(methods.all)
    return found, methods


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


async def called(address: str) -> bool:
    async with grpc.aio.insecure_channel(address) as channel:
        return bool(await channel.unary_unary("/test/Echo")(b"x"))


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_the_wildcard_of_ipv6_is_that_of_both_families() -> None:
    running, methods = server()
    port = await running.listen("::", 0)
    assert await called(f"[::1]:{port}")
    assert await called(f"127.0.0.1:{port}")
    peers = [seen.peer().rpartition(":")[0] for seen in methods.seen]
    assert peers == ["ipv6:%5B::1%5D", "ipv4:127.0.0.1"]
    await running.stop(0)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
async def test_one_address_of_ipv6(host: str) -> None:
    running, _ = server()
    port = await running.listen(host, 0)
    assert await called(f"[::1]:{port}")
    await running.stop(0)


async def test_a_port_that_is_taken_is_an_error(served: Served) -> None:
    second, _ = server()
    with pytest.raises(OSError, match="in use"):
        await second.listen(HOST, served.port)


async def test_a_path_has_one_method(served: Served) -> None:
    with pytest.raises(AssertionError):
        served.server.add({"/test/Echo": Unary(served.methods.echo)})
