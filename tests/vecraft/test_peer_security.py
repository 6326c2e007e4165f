"""Members that know each other by certificates or by a key, over real gRPC on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
from msgspec.structs import replace

from consensus.commands import SetClusterMetadata
from node.following.follower import NoCluster
from node.peer import service
from node.peer.joining import CannotJoin
from node.peer.security import PeerSecurity
from protos.peer.peer_pb2 import AddPeerRequest, Frame
from protos.request_ids import REQUEST_ID
from tests.certificates import Authority
from tests.node.following.test_follower import ready, router
from tests.node.peer.test_member import Cluster, until
from vecraft.settings import ClusterSettings, P2pSettings, ServiceSettings, Settings
from vecraft.tls import peer_security

pytestmark = pytest.mark.slow

KEY = "the key of this cluster, long enough"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    for name in list(made.members):
        await made.stop(name)
    assert not made.failures


def mutual(authority: Authority) -> PeerSecurity:
    p2p = ClusterSettings(enabled=True, p2p=P2pSettings(enable_tls=True))
    return peer_security(Settings(tls=authority.settings, cluster=p2p))


def keyed(key: str, *, enforce: bool = True, alt: str | None = None) -> PeerSecurity:
    service = ServiceSettings(api_key=key, alt_api_key=alt, enforce_internal_auth=enforce)
    return peer_security(Settings(service=service, cluster=ClusterSettings(enabled=True)))


async def three(cluster: Cluster, security: PeerSecurity) -> None:
    await cluster.found("a", security=security)
    await cluster.join("b", "a", security=security)
    await cluster.join("c", "a", security=security)


async def test_certificates_change_while_members_agree(cluster: Cluster, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    security = mutual(authority)
    await three(cluster, security)
    for number in range(6):
        authority.issue()
        for member in cluster.members.values():
            await member.log.propose(SetClusterMetadata("k", number), timeout_s=10)
    # A member that starts now, with the newest certificate, meets others that began with older ones.
    await cluster.stop("c")
    authority.issue()
    again = await cluster.start("c", security=security)
    await until(lambda: again.log.state.metadata.get("k") == 5)
    await again.log.propose(SetClusterMetadata("k", 6), timeout_s=10)


async def test_calls_go_on_while_certificates_change(cluster: Cluster, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    await three(cluster, mutual(authority))
    a, b = cluster.members["a"], cluster.members["b"]

    async def echo(caller: int, body: bytes) -> bytes:
        del caller
        return body

    b.calls.handle("test.echo", echo)
    done, over = 0, asyncio.Event()

    async def ask() -> None:
        nonlocal done
        while not over.is_set():
            assert await a.calls.call(b.identity.peer_id, "test.echo", b"x", timeout_s=10) == b"x"
            done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(ask())
        for _ in range(5):
            before = done
            await asyncio.to_thread(authority.issue)
            await until(lambda: done > before + 50)  # noqa: B023
        over.set()


async def test_a_router_shows_a_certificate_as_members_do(cluster: Cluster, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    member = await cluster.found("a", security=mutual(authority))
    async with router(member.uri, security=mutual(authority)) as follower:
        await ready(follower)
        await follower.log.propose(SetClusterMetadata("k", 1))
        assert member.log.state.metadata == {"k": 1}
    for security in (mutual(Authority(tmp_path / "strangers")), PeerSecurity()):
        with pytest.raises(NoCluster):
            async with router(member.uri, bootstrap_timeout_s=0.5, security=security):
                pass


async def test_strangers_neither_join_nor_speak(cluster: Cluster, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    founder = await cluster.found("a", security=mutual(authority))
    stranger = mutual(Authority(tmp_path / "strangers"))
    for security in (
        stranger,
        PeerSecurity(),
        replace(stranger, channel_credentials=_server_alone(authority)),
    ):
        with pytest.raises(CannotJoin):
            await cluster.start("b", bootstrap=(founder.uri,), bootstrap_timeout_s=0.5, security=security)
        with pytest.raises(grpc.aio.AioRpcError):
            await _hello(founder.port, security)


def _server_alone(authority: Authority):  # type: ignore[no-untyped-def]
    """Trusts the cluster's authority, and shows no certificate."""
    return lambda: grpc.ssl_channel_credentials(authority.certificate)


async def _hello(port: int, security: PeerSecurity) -> None:
    """Say something on Raft's stream. Raises: AioRpcError if nobody listens."""
    channel = service.channel(f"127.0.0.1:{port}", security)
    try:
        call = service.open_stream(channel, service.RAFT, security.metadata)
        await call.write(Frame(format=1))
        answer = await call.read()
        if answer is grpc.aio.EOF:
            raise await _error(call)
    except asyncio.InvalidStateError:
        raise await _error(call) from None
    finally:
        await channel.close()


async def _error(call) -> grpc.aio.AioRpcError:  # type: ignore[no-untyped-def]
    metadata = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(await call.code(), metadata, metadata, await call.details())


async def test_a_key_is_asked_for_where_that_is_enforced(cluster: Cluster) -> None:
    founder = await cluster.found("a", security=keyed(KEY))
    with pytest.raises(CannotJoin, match="have to show"):
        await cluster.start("b", bootstrap=(founder.uri,), bootstrap_timeout_s=0.5, security=keyed("wrong"))
    for security in (PeerSecurity(), PeerSecurity(api_key="wrong")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _hello(founder.port, security)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        channel = service.channel(f"127.0.0.1:{founder.port}", security)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.call_add_peer(channel, AddPeerRequest(), timeout_s=5, metadata=security.metadata)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        one, many = service.call_methods(channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await one(b"", timeout=5, metadata=security.metadata)
        with pytest.raises(grpc.aio.AioRpcError):
            await many(b"", timeout=5, metadata=security.metadata).read()
        await channel.close()
    await cluster.join("b", "a", security=keyed(KEY))
    await cluster.members["b"].log.propose(SetClusterMetadata("k", 1), timeout_s=10)


@pytest.mark.parametrize("request_id", ["", "of-a-client"])
async def test_the_key_is_shown_with_every_call(cluster: Cluster, request_id: str) -> None:
    """Whether or not it is made for a request whose id goes along."""

    async def echo(_: int, request: bytes) -> bytes:
        return request + REQUEST_ID.get().encode()

    async def parts(_: int, request: bytes) -> AsyncIterator[bytes]:
        yield request + REQUEST_ID.get().encode()

    founder = await cluster.found("a", security=keyed(KEY))
    joined = await cluster.join("b", "a", security=keyed(KEY))
    founder.calls.handle("echo", echo)
    founder.calls.handle_stream("parts", parts)
    peer = founder.identity.peer_id
    token = REQUEST_ID.set(request_id)
    try:
        assert await joined.calls.call(peer, "echo", b"x", timeout_s=5) == b"x" + request_id.encode()
        assert [part async for part in joined.calls.stream(peer, "parts", b"y")] == [
            b"y" + request_id.encode()
        ]
    finally:
        REQUEST_ID.reset(token)


async def test_a_key_is_changed_one_member_after_the_other(cluster: Cluster) -> None:
    """Each step is a restart of every member; at no time are two of them strangers to each other."""
    new = "the next key of this cluster, as long"
    await three(cluster, keyed(KEY))
    for security in (keyed(KEY, alt=new), keyed(new, alt=KEY), keyed(new)):
        for name in ("a", "b", "c"):
            await cluster.stop(name)
            member = await cluster.start(name, security=security)
            await member.log.propose(SetClusterMetadata(name, 1), timeout_s=10)


async def test_without_enforcement_members_need_no_key(cluster: Cluster) -> None:
    await cluster.found("a", security=keyed(KEY, enforce=False))
    await cluster.join("b", "a", security=PeerSecurity())
    await cluster.members["b"].log.propose(SetClusterMetadata("k", 1), timeout_s=10)


def test_keys_do_not_show_themselves() -> None:
    assert KEY not in repr(keyed(KEY))
