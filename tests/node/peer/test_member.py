"""Members over real gRPC on loopback: found, join, fail over, come back, leave."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from consensus import identity as identities
from consensus.commands import AddCollection, PlacedShard, RemovePeer, SetClusterMetadata
from consensus.state import Peer, founding_state
from node.peer.joining import BootstrapRefused, CannotJoin
from node.peer.member import Member, MemberOptions
from protos.collections import CollectionConfig, CollectionParams, Distance, VectorParams
from tests.consensus.raft_group import until
from tests.ports import free_port

pytestmark = pytest.mark.slow


class Cluster:
    """Members by name, each with a directory; a stopped one keeps its port for the next start."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ports: dict[str, int] = {}
        self.members: dict[str, Member] = {}
        self.failures: list[str] = []

    async def start(self, name: str, **options: Any) -> Member:
        port = options.pop("port", self._ports.get(name, 0))
        told = {"on_fatal": self.failures.append, "on_removed": options.pop("on_removed", lambda: None)}
        given = {"directory": self.directory(name), "host": "127.0.0.1", "port": port, **options}
        member = await Member.open(MemberOptions(**given), **told)
        self._ports[name] = member.port
        self.members[name] = member
        return member

    async def found(self, name: str, **options: Any) -> Member:
        port = free_port()
        return await self.start(name, port=port, uri=f"http://127.0.0.1:{port}", **options)

    async def join(self, name: str, contact: str, **options: Any) -> Member:
        """Join, and wait for the vote. The URI is guessed by the contact."""
        member = await self.start(name, bootstrap=(self.members[contact].uri,), **options)
        await until(lambda: member.log.status().is_voter)
        return member

    async def three(self) -> None:
        await self.found("a")
        await self.join("b", "a")
        await self.join("c", "b")

    async def stop(self, name: str) -> None:
        await self.members.pop(name).close()

    def directory(self, name: str) -> Path:
        return self._directory / name

    async def leader(self) -> str:
        ids = {member.identity.peer_id: name for name, member in self.members.items()}
        believed: set[int | None] = set()

        def agreed() -> bool:
            nonlocal believed
            believed = {member.log.status().leader for member in self.members.values()}
            return len(believed) == 1 and believed <= set(ids)

        await until(agreed)
        return ids[int(believed.pop() or 0)]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path)
    yield cluster
    await asyncio.gather(*(member.close() for member in cluster.members.values()))
    assert not cluster.failures


async def test_a_founder_takes_proposals_and_comes_back_with_them(cluster: Cluster) -> None:
    first = await cluster.found("a")
    await first.log.propose(SetClusterMetadata("k", 1))
    await cluster.stop("a")
    again = await cluster.start("a", uri=first.uri)
    assert again.identity.peer_id == first.identity.peer_id
    assert again.identity.incarnation == first.identity.incarnation + 1
    assert again.log.state.metadata == {"k": 1}
    await again.log.propose(SetClusterMetadata("k", 2))
    await until(lambda: again.log.state.peers[again.identity.peer_id].incarnation == 2)


async def test_joined_members_agree_whoever_proposes(cluster: Cluster) -> None:
    await cluster.three()
    for name, member in cluster.members.items():
        await member.log.propose(SetClusterMetadata(name, 1))
    for member in cluster.members.values():
        state = await member.log.read()
        assert state.metadata == {"a": 1, "b": 1, "c": 1}
        assert {peer.uri for peer in state.peers.values()} == {
            other.uri for other in cluster.members.values()
        }


async def test_when_the_leader_dies_the_others_go_on_and_it_catches_up(cluster: Cluster) -> None:
    await cluster.three()
    leader = await cluster.leader()
    await cluster.stop(leader)
    began = asyncio.get_running_loop().time()
    survivor = next(iter(cluster.members.values()))
    await survivor.log.propose(SetClusterMetadata("after", 1))
    assert asyncio.get_running_loop().time() - began < 5
    back = await cluster.start(leader)
    await until(lambda: back.log.state.metadata.get("after") == 1)


async def test_a_whole_cluster_restarts(cluster: Cluster) -> None:
    await cluster.three()
    await cluster.members["b"].log.propose(SetClusterMetadata("k", 1))
    names = list(cluster.members)
    for name in names:
        await cluster.stop(name)
    for name in names:
        await cluster.start(name)
    for member in cluster.members.values():
        assert (await member.log.read()).metadata == {"k": 1}


async def test_a_member_comes_back_at_another_address(cluster: Cluster) -> None:
    await cluster.three()
    await cluster.stop("c")
    port = free_port()
    moved = await cluster.start("c", port=port, uri=f"http://127.0.0.1:{port}")
    peer_id = moved.identity.peer_id
    await until(lambda: cluster.members["a"].log.state.peers[peer_id].uri == moved.uri)
    await moved.log.propose(SetClusterMetadata("k", 1))


async def test_a_removed_peer_notices_and_the_rest_goes_on(cluster: Cluster) -> None:
    await cluster.three()
    removed = cluster.members["c"]
    await cluster.members["a"].log.propose(RemovePeer(removed.identity.peer_id))
    await until(lambda: removed.log.status().stopped)
    await until(lambda: len(cluster.members["a"].log.status().voters) == 2)
    await cluster.members["b"].log.propose(SetClusterMetadata("k", 1))


async def test_a_leader_can_be_removed(cluster: Cluster) -> None:
    await cluster.three()
    leader = await cluster.leader()
    others = [member for name, member in cluster.members.items() if name != leader]
    removed = cluster.members[leader]
    await others[0].log.propose(RemovePeer(removed.identity.peer_id))
    await until(lambda: removed.log.status().stopped)
    await until(lambda: all(len(member.log.status().voters) == 2 for member in others))
    await others[1].log.propose(SetClusterMetadata("k", 1))


async def test_a_peer_removed_while_it_was_away_notices_when_it_is_back(cluster: Cluster) -> None:
    await cluster.three()
    gone = cluster.members["c"].identity.peer_id
    await cluster.stop("c")
    await cluster.members["a"].log.propose(RemovePeer(gone))
    await until(lambda: len(cluster.members["a"].log.status().voters) == 2)
    back = await cluster.start("c")
    await until(lambda: back.log.status().stopped)


async def test_a_fourth_joins_and_a_wiped_one_comes_back_as_another(cluster: Cluster) -> None:
    await cluster.three()
    await cluster.join("d", "c")
    wiped = cluster.members["b"].identity.peer_id
    await cluster.stop("b")
    shutil.rmtree(cluster.directory("b"))
    await cluster.members["a"].log.propose(RemovePeer(wiped))
    again = await cluster.join("b", "d")
    assert again.identity.peer_id != wiped
    await until(lambda: len(again.log.status().voters) == 4)


async def test_a_removed_member_may_join_again_as_a_new_one(cluster: Cluster) -> None:
    await cluster.three()
    left = cluster.members["c"].identity
    await cluster.members["a"].log.propose(RemovePeer(left.peer_id))
    await until(lambda: cluster.members["c"].log.status().stopped)
    await cluster.stop("c")
    assert identities.load(cluster.directory("c")).removed
    again = await cluster.join("c", "a", rejoin=True)
    assert again.identity.peer_id != left.peer_id
    assert (again.identity.cluster_id, again.identity.removed) == (left.cluster_id, False)


async def test_a_member_that_was_removed_while_it_was_down_hears_of_it(cluster: Cluster) -> None:
    await cluster.three()
    left, heard = cluster.members["c"].identity, asyncio.Event()
    await cluster.stop("c")
    await cluster.members["a"].log.propose(RemovePeer(left.peer_id))
    await cluster.start("c", rejoin=True, on_removed=heard.set)
    async with asyncio.timeout(15):
        await heard.wait()
    assert identities.load(cluster.directory("c")).removed


async def lose_disk(cluster: Cluster, name: str) -> tuple[str, int]:
    """The peer is gone with all it had. Returns: its URI and id."""
    lost = cluster.members[name]
    await cluster.stop(name)
    shutil.rmtree(cluster.directory(name))
    return lost.uri, lost.identity.peer_id


def collection_on(*peers: int) -> AddCollection:
    config = CollectionConfig(
        CollectionParams({"": VectorParams(2, Distance.DOT)}, replication_factor=len(peers))
    )
    return AddCollection("c", "u", config, (PlacedShard(0, peers),), created_ms=0)


async def test_a_peer_that_comes_back_without_its_disk_takes_its_own_place(cluster: Cluster) -> None:
    await cluster.three()
    ids = [cluster.members[name].identity.peer_id for name in "abc"]
    await cluster.members["b"].log.propose(collection_on(*ids))
    uri, lost = await lose_disk(cluster, "a")
    again = await cluster.start("a", uri=uri, bootstrap=(uri, *(cluster.members[n].uri for n in "bc")))
    await until(lambda: again.log.status().is_voter)
    state = cluster.members["b"].log.state
    assert again.identity.peer_id != lost
    assert sorted(state.peers) == sorted([again.identity.peer_id, *ids[1:]])
    shard = state.collections["c"].shards[0]
    assert (sorted(shard.replicas), shard.wanted) == (sorted(ids[1:]), None)


async def test_the_last_complete_replica_of_a_shard_is_not_given_up_unasked(cluster: Cluster) -> None:
    await cluster.three()
    ids = [cluster.members[name].identity.peer_id for name in "abc"]
    await cluster.members["b"].log.propose(collection_on(ids[0]))
    uri, lost = await lose_disk(cluster, "a")
    survivor = cluster.members["b"]
    joining = asyncio.create_task(cluster.start("a", uri=uri, bootstrap=(survivor.uri,)))
    with capture_logs() as logs:
        await until(lambda: "only complete replica of 1 shards" in str(logs))
    assert lost in survivor.log.state.peers
    assert not survivor.log.state.peers[lost].draining
    await survivor.log.propose(RemovePeer(lost, force=True))
    assert (await joining).identity.peer_id != lost


async def test_a_peer_that_is_away_keeps_its_uri_from_one_that_is_elsewhere(cluster: Cluster) -> None:
    """As when a flag is mistyped while the machine that it names is down."""
    await cluster.three()
    away = cluster.members["c"]
    await cluster.stop("c")
    port = free_port()
    with pytest.raises(BootstrapRefused, match="already belongs to peer"):
        await cluster.start("d", port=port, uri=away.uri, bootstrap=(cluster.members["a"].uri,))
    assert away.identity.peer_id in cluster.members["a"].log.state.peers


async def test_a_peer_that_still_runs_elsewhere_is_not_replaced(cluster: Cluster) -> None:
    """As when the machine of a pod is cut off from those who start another in its place."""
    await cluster.three()
    named = free_port()  # a name that leads to whoever listens there
    moved = cluster.members["c"].identity.peer_id
    await cluster.stop("c")
    await cluster.start("c", port=free_port(), uri=f"http://127.0.0.1:{named}")
    await until(lambda: cluster.members["a"].log.state.peers[moved].uri.endswith(f":{named}/"))
    with pytest.raises(CannotJoin, match="was heard of a moment ago"):
        await cluster.start(
            "d",
            port=named,
            uri=f"http://127.0.0.1:{named}",
            bootstrap=(cluster.members["a"].uri,),
            bootstrap_timeout_s=5,
        )
    assert moved in cluster.members["a"].log.state.peers


async def test_a_uri_of_another_peer_is_refused(cluster: Cluster) -> None:
    first = await cluster.found("a")
    with pytest.raises(BootstrapRefused, match="already belongs to peer"):
        await cluster.start("b", uri=first.uri, bootstrap=(f"http://localhost:{first.port}",))


async def test_without_an_answer_joining_ends_in_time(cluster: Cluster) -> None:
    with pytest.raises(CannotJoin, match="did not let this peer join"):
        await cluster.start("a", bootstrap=(f"http://127.0.0.1:{free_port()}",), bootstrap_timeout_s=0.5)


async def test_peers_that_know_each_other_by_name_become_one_cluster_in_whatever_order_they_start(
    cluster: Cluster,
) -> None:
    ports = {name: free_port() for name in "abc"}
    uris = tuple(f"http://127.0.0.1:{port}" for port in ports.values())

    async def start(name: str) -> Member:
        uri = f"http://127.0.0.1:{ports[name]}"
        return await cluster.start(name, port=ports[name], uri=uri, bootstrap=uris)

    early = [asyncio.create_task(start(name)) for name in "cb"]
    await asyncio.sleep(0)
    members = await asyncio.gather(start("a"), *early)
    assert {member.identity.cluster_id for member in members} == {members[0].identity.cluster_id}
    assert [member.joined for member in members] == [False, True, True]
    for member in members:
        await until(lambda member=member: len(member.log.status().voters) == 3)


async def test_a_first_peer_that_lost_its_disk_founds_nothing_while_another_is_silent(
    cluster: Cluster,
) -> None:
    """Who is silent may be what is left of the cluster; who is of none tells nothing of the others."""
    own, homeless, silent = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    port = int(homeless.rpartition(":")[2])
    waiting = asyncio.create_task(
        cluster.start("b", port=port, uri=homeless, bootstrap=(own,), bootstrap_timeout_s=30)
    )
    with pytest.raises(CannotJoin, match="it is of no cluster itself"):
        await cluster.start(
            "a",
            port=int(own.rpartition(":")[2]),
            uri=own,
            bootstrap=(own, homeless, silent),
            bootstrap_timeout_s=2,
        )
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not identities.load(cluster.directory("a")).cluster_id


async def test_a_first_peer_that_lost_its_disk_does_not_found_a_second_cluster(cluster: Cluster) -> None:
    await cluster.three()
    uris = tuple(cluster.members[name].uri for name in "abc")
    wiped = cluster.members["a"].identity.peer_id
    await cluster.stop("a")
    shutil.rmtree(cluster.directory("a"))
    await cluster.members["b"].log.propose(RemovePeer(wiped))
    again = await cluster.start("a", uri=uris[0], bootstrap=uris)
    assert again.joined
    assert again.identity.cluster_id == cluster.members["b"].identity.cluster_id


async def test_the_first_peer_needs_a_uri(cluster: Cluster) -> None:
    with pytest.raises(CannotJoin, match="--uri"):
        await cluster.start("a")


async def test_the_state_of_a_node_that_ran_alone_is_kept(cluster: Cluster) -> None:
    state = founding_state(Peer(77))
    first = await cluster.found("a", peer_id=77, founding=state)
    assert set(first.log.state.peers) == {77}
    assert first.log.state.peers[77].uri == first.uri


async def test_a_survivor_is_started_anew_alone(cluster: Cluster) -> None:
    await cluster.three()
    await cluster.members["a"].log.propose(SetClusterMetadata("k", 1))
    await cluster.stop("c")
    survivor = cluster.members["b"]
    await survivor.log.barrier()
    await cluster.stop("b")
    alone = await cluster.start("b", reinit=True)
    await alone.log.barrier()
    assert alone.log.state.metadata == {"k": 1}
    assert set(alone.log.state.peers) == {survivor.identity.peer_id}
    assert alone.identity.cluster_id != survivor.identity.cluster_id
