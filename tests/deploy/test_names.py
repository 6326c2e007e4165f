"""Peers take each other's certificate for the names that the chart asks for: one certificate for all pods."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc
import grpc.aio
import pytest
import trustme

from node.peer import service
from protos.peer.peer_pb2 import AddPeerRequest, AddPeerResponse, Refused
from tests.deploy.rendering import one, rendered

pytestmark = pytest.mark.slow


async def _answer(_request: AddPeerRequest, _context: object) -> AddPeerResponse:
    return AddPeerResponse(refused=Refused(text="reached"))


async def _nobody(*_: object) -> None:
    raise AssertionError("is not asked for here")


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("vecraft-0.vecraft-headless.default.svc.cluster.local", True),
        ("vecraft-11.vecraft-headless.default.svc.cluster.local", True),
        ("vecraft-0.vecraft-headless.other.svc.cluster.local", False),
        ("a.vecraft-0.vecraft-headless.default.svc.cluster.local", False),
    ],
)
async def test_a_peer_is_trusted_by_its_name_in_this_namespace_alone(host: str, trusted: bool) -> None:
    names = one(rendered({"tls": {"enabled": True}}), "Certificate", "vecraft-tls")["spec"]["dnsNames"]
    authority = trustme.CA()
    made = authority.issue_cert(*names)
    key, chain = made.private_key_pem.bytes(), made.cert_chain_pems[0].bytes()
    root = authority.cert_pem.bytes()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service.membership_handler(_answer, _nobody),))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)], root, True))
    await server.start()
    credentials = grpc.ssl_channel_credentials(root, key, chain)
    called = ("grpc.ssl_target_name_override", host)  # as if the name had led here
    try:
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=[called]) as channel:
            call = service.call_add_peer(channel, AddPeerRequest(), timeout_s=10, metadata=())
            if trusted:
                assert (await call).refused.text == "reached"
            else:
                with pytest.raises(grpc.aio.AioRpcError):
                    await call
    finally:
        await server.stop(None)


def test_clients_trust_the_service_by_each_of_its_names(tmp_path: Path) -> None:
    names = one(rendered({"tls": {"enabled": True}}), "Certificate", "vecraft-tls")["spec"]["dnsNames"]
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    for name in [*names[1:], "vecraft-0.vecraft-headless.default.svc.cluster.local"]:
        inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(server_context)
        client = context.wrap_bio(inside, outside, server_hostname=name)
        server = server_context.wrap_bio(outside, inside, server_side=True)
        for _ in range(3):
            for side in (client, server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        assert client.getpeercert()
