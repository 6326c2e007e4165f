"""Routers of members over real gRPC on loopback: found, followed, lost, followed elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from consensus.commands import ChangeAliases, RemovePeer, SetClusterMetadata
from consensus.state import FEATURE_LEVEL
from node.following import follower as followers
from node.following.follower import Follower, FollowerOptions, NoCluster
from node.peer.cluster_client import ask_known_index
from node.peer.security import PeerSecurity
from protos.collections import CreateAlias
from protos.errors import NotFound, ShardUnavailable
from tests.node.peer.test_member import Cluster, cluster, until
from tests.ports import free_port

__all__ = ["cluster"]  # the fixture

pytestmark = pytest.mark.slow


@asynccontextmanager
async def router(*uris: str, **options: Any) -> AsyncIterator[Follower]:
    failures: list[str] = []
    given = FollowerOptions(bootstrap=uris, **{"bootstrap_timeout_s": 10.0, **options})
    follower = await Follower.open(given, on_fatal=failures.append)
    try:
        yield follower
    finally:
        await follower.close()
    assert not failures


def followed(follower: Follower, cluster: Cluster) -> str:
    return next(name for name, member in cluster.members.items() if member.identity.peer_id == follower._peer)


async def ready(follower: Follower) -> None:
    async with asyncio.timeout(10):
        while not await follower.ready():  # noqa: ASYNC110 - there is nothing to be told by
            await asyncio.sleep(0.01)


async def test_a_router_knows_the_cluster_and_changes_it_and_is_none_of_its_peers(cluster: Cluster) -> None:
    await cluster.three()
    async with router(cluster.members["b"].uri) as follower:
        await ready(follower)
        await follower.log.propose(SetClusterMetadata("r", 1))
        assert follower.log.state.metadata == {"r": 1}
        for member in cluster.members.values():
            state = await member.log.read()
            assert state.metadata == {"r": 1}
            assert follower.log.peer_id not in state.peers
            assert follower.log.peer_id not in member.log.status().voters
        await cluster.members["a"].log.propose(SetClusterMetadata("k", 1))
        await follower.log.barrier()
        assert follower.log.state == (await cluster.members["a"].log.read())
        with pytest.raises(NotFound):
            await follower.log.propose(ChangeAliases((CreateAlias("x", "a"),)))


async def test_members_wait_for_the_routers_that_follow_them(cluster: Cluster) -> None:
    """So that a change that was waited for is known to whoever routes by it, be it a peer or not."""
    first = await cluster.found("a")
    other = await cluster.join("b", "a")
    async with router(first.uri) as follower:
        await ready(follower)
        await first.log.propose(SetClusterMetadata("k", 1))
        index = first.log.applied_index

        async def known() -> bool:
            peers = (first.identity.peer_id, other.identity.peer_id)
            found = [await ask_known_index(other.calls, peer, timeout_s=5) for peer in peers]
            return min(found) >= index

        async with asyncio.timeout(5):
            while not await known():  # noqa: ASYNC110 - there is nothing to be told by
                await asyncio.sleep(0.01)
        assert follower.log.applied_index >= index


async def test_a_router_that_loses_who_it_follows_follows_another_and_stays_ready(cluster: Cluster) -> None:
    await cluster.three()
    async with router(*(member.uri for member in cluster.members.values())) as follower:
        await ready(follower)
        lost = followed(follower, cluster)
        await cluster.stop(lost)
        assert await follower.ready()
        await follower.log.propose(SetClusterMetadata("k", 1))
        assert follower.log.state.metadata == {"k": 1}
        assert followed(follower, cluster) != lost


async def test_a_router_that_began_at_one_address_knows_all_the_others(cluster: Cluster) -> None:
    await cluster.three()
    async with router(cluster.members["a"].uri) as follower:
        for name in ("a", "b"):
            await ready(follower)
            if followed(follower, cluster) == name:
                await cluster.stop(name)
                break
        await until(lambda: follower._peer is not None and followed(follower, cluster) in cluster.members)
        await follower.log.propose(SetClusterMetadata("k", 1))


async def test_a_router_that_follows_nobody_for_long_is_not_ready_and_says_why(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "GRACE_S", 0.5)
    member = await cluster.found("a")
    uri = member.uri
    async with router(uri) as follower:
        await ready(follower)
        await follower.log.propose(SetClusterMetadata("k", 1))
        await cluster.stop("a")
        await until(lambda: follower.why_not() is not None)
        assert not await follower.ready()
        assert follower.log.status().error is not None
        assert uri in str(follower.log.status().error)
        assert follower.log.state.metadata == {"k": 1}, "what it knew it still knows"
        with pytest.raises(ShardUnavailable, match="follows nobody"):
            await follower.ask("any", b"", timeout_s=1)
        await cluster.start("a", uri=uri)
        await ready(follower)


async def test_a_router_leaves_a_peer_that_was_removed(cluster: Cluster) -> None:
    await cluster.three()
    async with router(cluster.members["a"].uri) as follower:
        await ready(follower)
        name = followed(follower, cluster)
        removed = cluster.members[name].identity.peer_id
        await follower.log.propose(RemovePeer(removed))
        await until(lambda: follower._peer not in (None, removed))
        await follower.log.propose(SetClusterMetadata("k", 1))
        assert removed not in follower.log.state.peers


async def test_a_cluster_that_does_not_know_routers_yet_is_followed_but_the_router_is_not_ready(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its older peers would refuse what the router asks of their replicas."""
    member = await cluster.found("a")
    async with router(member.uri) as follower:
        await ready(follower)
        monkeypatch.setattr(followers, "LEVEL_OF_ROUTERS", FEATURE_LEVEL + 1)
        assert not await follower.ready()


async def test_nobody_at_the_addresses_ends_with_a_reason(cluster: Cluster) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(NoCluster, match=nobody):
        async with router(nobody, bootstrap_timeout_s=0.5):
            pass
    del cluster


async def test_a_router_without_the_clusters_key_is_let_nowhere(cluster: Cluster) -> None:
    security = PeerSecurity(api_key="right", accepted=("right",))
    member = await cluster.found("a", security=security)
    with pytest.raises(NoCluster, match="API key"):
        async with router(member.uri, bootstrap_timeout_s=1.0, security=PeerSecurity(api_key="wrong")):
            pass
    async with router(member.uri, security=security) as follower:
        await ready(follower)


async def test_another_cluster_at_the_addresses_is_never_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state would be a foreign one; the process ends, and may begin anew with it."""
    monkeypatch.setattr(followers, "GRACE_S", 0.3)
    monkeypatch.setattr(followers, "ELSEWHERE_S", 0.3)
    one, other = Cluster(tmp_path / "one"), Cluster(tmp_path / "other")
    first = await one.found("a")
    port = first.port
    failures: list[str] = []
    given = FollowerOptions(bootstrap=(first.uri,), bootstrap_timeout_s=10.0)
    follower = await Follower.open(given, on_fatal=failures.append)
    before = follower.log.state
    await one.stop("a")
    second = await other.start("a", port=port, uri=f"http://127.0.0.1:{port}")
    await until(lambda: failures)
    assert "is of cluster" in failures[0]
    assert follower.log.state is before
    await follower.close()
    await second.close()


async def test_a_cluster_that_goes_beyond_what_a_router_knows_ends_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its nodes were upgraded; it must not go on with a state that it does not understand."""
    failures: list[str] = []
    member = await cluster.found("a")
    follower = await Follower.open(FollowerOptions(bootstrap=(member.uri,)), on_fatal=failures.append)
    monkeypatch.setattr("node.following.copy.FEATURE_LEVEL", FEATURE_LEVEL - 1)
    await member.log.propose(SetClusterMetadata("k", 1))
    await until(lambda: failures)
    assert "must be of the nodes' version" in failures[0]
    assert follower.log.state.metadata == {}
    await follower.close()
