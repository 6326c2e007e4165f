"""Members of a real cluster: calls and mail in step with its state, and how a leader leaves."""

from __future__ import annotations

import time

import pytest

from consensus.commands import RemovePeer, SetClusterMetadata
from consensus.state import Transfer, TransferMethod
from node.peer.cluster_client import MemberCluster, serve_telemetry
from node.peer.member import Member
from protos.errors import ShardUnavailable
from tests.node.peer.test_member import Cluster, cluster, until
from tests.ports import free_port

__all__ = ["cluster"]  # the fixture

pytestmark = pytest.mark.slow

UUID = "0b5a7e5e-6c1b-4f0e-9a53-0d2a4f8f0a11"


def client(member: Member) -> MemberCluster:
    return MemberCluster(
        member.log,
        member.calls,
        failures=lambda: member.send_failures,
        comment=lambda uuid, transfer: f"{uuid}: {transfer.shard_id}",
    )


def id_of(member: Member) -> int:
    return member.identity.peer_id


async def test_members_tell_each_other_how_far_they_are(cluster: Cluster) -> None:
    await cluster.three()
    a, b = client(cluster.members["a"]), client(cluster.members["b"])
    await cluster.members["a"].log.propose(SetClusterMetadata("k", 1))
    await b.catch_up()
    assert cluster.members["b"].log.state.metadata == {"k": 1}
    for peer_id in (a.peer_id, b.peer_id):
        assert await a.commit_index(peer_id, timeout_s=5) > 0
    assert a.status().voters == b.status().voters


async def test_members_ask_each_other_for_telemetry(cluster: Cluster) -> None:
    a = await cluster.found("a")
    b = await cluster.join("b", "a")
    with pytest.raises(ShardUnavailable, match=r"no calls of cluster\.telemetry yet"):
        await client(a).telemetry(id_of(b), level=3, timeout_s=5)

    async def telemetry(level: int) -> bytes:
        return b'{"level":%d}' % level

    serve_telemetry(b.calls, telemetry)
    assert await client(a).telemetry(id_of(b), level=3, timeout_s=5) == b'{"level":3}'


async def test_failures_to_send_are_shown_by_uri(cluster: Cluster) -> None:
    await cluster.three()
    uri = cluster.members["c"].uri
    await cluster.stop("c")
    survivor = client(cluster.members["a"])
    await until(lambda: uri in survivor.send_failures())
    assert survivor.send_failures()[uri].latest_error


async def test_letters_go_between_members(cluster: Cluster) -> None:
    await cluster.three()
    a, c = cluster.members["a"], cluster.members["c"]
    letters: list[tuple[int, str, int, bytes]] = []
    c.mail.receive(lambda *letter: letters.append(letter))
    await until(lambda: a.mail.is_connected(id_of(c)))
    a.mail.send(id_of(c), UUID, 1, b"x")
    await until(lambda: letters)
    assert letters == [(id_of(a), UUID, 1, b"x")]


async def test_a_member_that_moves_is_found(cluster: Cluster) -> None:
    await cluster.three()
    a = cluster.members["a"]
    await client(a).commit_index(id_of(cluster.members["c"]), timeout_s=5)
    await cluster.stop("c")
    port = free_port()
    c = await cluster.start("c", port=port, uri=f"http://127.0.0.1:{port}")
    await until(lambda: a.log.state.peers[id_of(c)].uri == c.uri)
    assert await client(a).commit_index(id_of(c), timeout_s=5)
    await until(lambda: a.mail.is_connected(id_of(c)))


async def test_a_removed_member_is_neither_heard_nor_called(cluster: Cluster) -> None:
    await cluster.three()
    a, c = cluster.members["a"], cluster.members["c"]
    await until(lambda: a.mail.is_connected(id_of(c)))
    await a.log.propose(RemovePeer(id_of(c)))
    await until(lambda: len(a.log.status().voters) == 2)
    await until(lambda: not a.mail.is_connected(id_of(c)))
    with pytest.raises(ShardUnavailable, match="not of the cluster"):
        await client(c).commit_index(id_of(a), timeout_s=5)


async def test_a_leader_that_stops_hands_over(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.peer.member.HAND_OVER_S", 10.0)
    await cluster.three()
    name = await cluster.leader()
    leader = cluster.members[name]
    await cluster.stop(name)
    assert leader.log.status().role == "Follower"  # when it stopped
    others = list(cluster.members.values())
    await until(lambda: all(member.log.status().leader != id_of(leader) for member in others))
    await others[0].log.propose(SetClusterMetadata("k", 1), timeout_s=5)


async def test_the_last_member_stops_at_once(cluster: Cluster) -> None:
    await cluster.found("a")
    began = time.monotonic()
    await cluster.stop("a")
    assert time.monotonic() - began < 1


async def test_a_transfers_comment_is_asked_of_who_makes_it(cluster: Cluster) -> None:
    a = await cluster.found("a")
    transfer = Transfer(shard_id=4, source=1, target=2, epoch=1, method=TransferMethod.SNAPSHOT)
    assert client(a).transfer_comment("u", transfer) == "u: 4"
