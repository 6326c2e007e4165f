"""Every member's telemetry as one picture."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from consensus.commands import StartTransfer, shard_ref
from consensus.state import TransferMethod
from router.cluster import ClusterOperations
from router.cluster.telemetry import collect
from router.monitoring.collecting import Collector
from router.monitoring.inventory import Inventory
from router.monitoring.metrics import Requests
from router.monitoring.telemetry import Process
from tests.router.cluster.fakes import ClusterLog, ClusterNode, FakeCluster, FakeShardKeys, json_of
from tests.router.virtual_time import run_virtually


class Members:
    """Peers that tell about the same state, each with the shards that it holds."""

    def __init__(self) -> None:
        self.log, self.cluster = ClusterLog(), FakeCluster()
        self.log.add_collection(shards=((1, 2), (2, 3)))

    async def told_by(self, peer_id: int, level: int) -> bytes:
        """What the program of that peer really tells."""
        log, cluster, node = ClusterLog(), FakeCluster(), ClusterNode()
        log.state, log.peer_id = self.log.state, peer_id
        cluster.peer_id, cluster.comments = peer_id, self.cluster.comments if peer_id == 1 else {}
        await node.reconcile(log.state)
        operations = ClusterOperations(log, cluster, FakeShardKeys())
        process = Process(
            id=str(peer_id), version=f"1.19.{peer_id}", started=datetime.now(UTC), search_threads=2
        )
        collector = Collector(process, Inventory(log, node), Requests(), cluster=operations.report)
        return await collector.for_peers(level)

    async def collect(self, level: int) -> Any:
        async def own(level: int) -> bytes:
            return await self.told_by(1, level)

        for peer_id in (2, 3):
            self.cluster.telemetries[peer_id] = await self.told_by(peer_id, max(level, 2))
        return json_of(await collect(self.cluster, self.log.state, own, level=level, timeout_s=5.0))


@pytest.fixture
async def members() -> Members:
    return Members()


async def test_each_member_adds_what_it_holds(members: Members) -> None:
    found = await members.collect(3)
    (collection,) = found["collections"].values()
    assert collection["id"] == "c"
    replicas = {shard["id"]: shard["replicas"] for shard in collection["shards"]}
    assert {
        shard: [(replica["peer_id"], replica["state"], replica["num_points"]) for replica in held]
        for shard, held in replicas.items()
    } == {0: [(1, "Active", 0), (2, "Active", 0)], 1: [(2, "Active", 0), (3, "Active", 0)]}
    assert replicas[0][0]["status"] == "green"
    assert found["cluster"]["number_of_peers"] == 3
    peer = found["cluster"]["peers"]["2"]
    assert (peer["uri"], peer["responsive"]) == ("http://node-2:6335/", True)
    assert peer["details"] == {
        "version": "1.19.2",
        "role": "Follower",
        "is_voter": True,
        "term": 4,
        "commit": 17,
        "num_pending_operations": 1,
        "consensus_thread_status": {
            "consensus_thread_status": "working",
            "last_update": "2023-11-14T22:13:20.250000Z",
        },
    }


@pytest.mark.parametrize(("asked", "level"), [(0, 2), (2, 2), (4, 4), (1000, 10)])
async def test_the_level_is_raised_to_two_and_bounded(members: Members, asked: int, level: int) -> None:
    await members.collect(asked)
    assert members.cluster.asked == [(f"telemetry {level}", 2), (f"telemetry {level}", 3)]


async def test_below_level_three_replicas_are_shown_with_their_states_only(members: Members) -> None:
    found = await members.collect(2)
    assert found["collections"]["c"]["shards"][0]["replicas"] == [
        {"peer_id": 1, "state": "Active"},
        {"peer_id": 2, "state": "Active"},
    ]


async def test_a_transfer_is_shown_with_the_word_of_its_sender(members: Members) -> None:
    ref = shard_ref(members.log.collection(), members.log.shard(0))
    members.log.apply(StartTransfer(ref, 1, 3, TransferMethod.SNAPSHOT))
    (transfer,) = members.log.collection().transfers
    members.cluster.comments = {transfer: "transferring (1.5s)"}
    found = await members.collect(3)
    assert found["collections"]["c"]["shard_transfers"] == [
        {
            "shard_id": 0,
            "from": 1,
            "to": 3,
            "sync": True,
            "method": "snapshot",
            "comment": "transferring (1.5s)",
        }
    ]


@pytest.mark.parametrize("told", [None, b"not JSON", b"{}", msgspec.json.encode({"app": {}})])
async def test_members_that_fail_or_talk_nonsense_are_missing(members: Members, told: bytes | None) -> None:
    async def own(level: int) -> bytes:
        return await members.told_by(1, level)

    members.cluster.telemetries = {2: await members.told_by(2, 3)}
    if told is not None:
        members.cluster.telemetries[3] = told
    found = json_of(await collect(members.cluster, members.log.state, own, level=3, timeout_s=5.0))
    assert found["cluster"]["peers"]["3"] == {"uri": "http://node-3:6335/", "responsive": False}
    assert found["cluster"]["peers"]["1"]["responsive"]
    lost = found["collections"]["c"]["shards"][1]["replicas"][1]
    assert lost == {"peer_id": 3, "state": "Active"}


def test_members_that_never_answer_do_not_hold_up_the_others() -> None:
    async def story() -> None:
        members = Members()

        async def never(peer_id: int, *, level: int, timeout_s: float) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError

        async def own(level: int) -> bytes:
            return await members.told_by(1, level)

        members.cluster.telemetry = never  # type: ignore[method-assign]
        found = await collect(members.cluster, members.log.state, own, level=2, timeout_s=3.0)
        assert [peer.responsive for peer in found.cluster.peers.values()] == [True, False, False]
        assert asyncio.get_running_loop().time() == pytest.approx(3.0, abs=0.1)

    run_virtually(story())
