"""What a node does with its replicas as the cluster state changes; the other nodes are not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from consensus.commands import AddCollection, Command, DropCollection, PlacedShard, RegisterPeer, RemovePeer
from consensus.state import ClusterState, Peer, founding_state
from consensus.transitions import Events, apply, rejection
from node.cluster.node import ClusterNode
from protos.errors import NotPrimary, ShardUnavailable
from protos.shard import ReadSession, UpdateRequest
from tests.node.replica.points import config_of, upsert

ME, INCARNATION = 1, 3


class Metadata:
    """As of ``consensus.raft_log.RaftLog``, in memory."""

    def __init__(self) -> None:
        self.peer_id = ME
        self.state: ClusterState = founding_state(Peer(ME, incarnation=INCARNATION - 1))
        self._subscriber: Callable[[ClusterState, Events], None] | None = None

    def subscribe(self, subscriber: Callable[[ClusterState, Events], None]) -> Callable[[], None]:
        self._subscriber = subscriber
        return lambda: None

    async def propose(self, command: Command, *, timeout_s: float = 1.0) -> Events:
        del timeout_s
        return self.do(command)

    async def barrier(self, *, timeout_s: float = 1.0) -> int:
        del timeout_s
        return 0

    def do(self, command: Command) -> Events:
        self.state, events = apply(self.state, command)
        refused = rejection(events)
        if refused is not None:
            raise refused.error
        if self._subscriber is not None:
            self._subscriber(self.state, events)
        return events


class Nobody:
    """Calls and mail to peers that are not there."""

    def handle(self, method: str, handler: Any) -> None: ...

    def handle_stream(self, method: str, handler: Any) -> None: ...

    async def call(self, peer_id: int, method: str, request: bytes, *, timeout_s: float) -> bytes:
        raise ShardUnavailable("nobody is there")

    def stream(self, peer_id: int, method: str, request: bytes) -> Any:
        raise ShardUnavailable("nobody is there")

    def send(self, peer_id: int, collection_uuid: str, shard_id: int, message: bytes) -> None: ...

    def backlog(self, peer_id: int) -> int:
        return 0

    def receive(self, letter: Any) -> None: ...


class Scene:
    def __init__(self, storage: Path) -> None:
        self.metadata = Metadata()
        self.storage = storage
        nobody = Nobody()
        self.node = ClusterNode(
            storage,
            self.metadata,  # type: ignore[arg-type]
            nobody,
            nobody,
            incarnation=INCARNATION,
            search_threads=1,
        )

    def register(self) -> None:
        self.metadata.do(RegisterPeer(ME, incarnation=INCARNATION))

    async def create(self, name: str = "c", uuid: str = "u") -> None:
        shard = PlacedShard(0, (ME,))
        self.metadata.do(AddCollection(name, uuid, config_of(), (shard,), created_ms=0))
        await self.node.reconcile(self.metadata.state)

    async def write(self, *ids: int) -> None:
        collection = self.metadata.state.collections["c"]
        replica = self.node.replica(collection, 0, ME)
        async with asyncio.timeout(10):
            while True:
                try:
                    await replica.open(ReadSession()).update(UpdateRequest(upsert(ids), wait=True))
                except ShardUnavailable as error:
                    if isinstance(error, NotPrimary):
                        raise
                    await asyncio.sleep(0.01)
                else:
                    return

    async def count(self) -> int:
        return await self.node.shard("c", 0).count(None, exact=True)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path)
    await scene.node.start()
    yield scene
    await scene.node.close()


async def test_a_process_leads_nothing_before_it_is_registered(scene: Scene) -> None:
    await scene.create()
    with pytest.raises(NotPrimary):
        await scene.write(1)
    scene.register()
    await scene.write(1, 2)
    assert await scene.count() == 2


async def test_a_dropped_collection_goes_with_its_files_and_a_namesake_is_another_one(scene: Scene) -> None:
    scene.register()
    await scene.create()
    await scene.write(1, 2, 3)
    scene.metadata.do(DropCollection("c"))
    await scene.create(uuid="another")
    await scene.write(9)
    assert await scene.count() == 1
    scene.metadata.do(DropCollection("c"))
    with pytest.raises(ShardUnavailable):
        scene.node.shard("c", 0)
    await scene.node.close()
    assert not (scene.storage / "collections" / "c").exists()


async def test_a_removed_peer_keeps_its_files_and_joins_nothing_any_more(scene: Scene) -> None:
    scene.register()
    await scene.create()
    await scene.write(1)
    scene.metadata.do(RegisterPeer(2, "http://2:6335", incarnation=1))
    scene.metadata.do(RemovePeer(ME, force=True))
    assert ME not in scene.metadata.state.peers
    assert await scene.count() == 1
    assert (scene.storage / "collections" / "c" / "0").is_dir()


async def test_reports_name_each_replica_of_this_node(scene: Scene) -> None:
    scene.register()
    await scene.create()
    await scene.write(1)
    (key, report), *others = scene.node.reports().items()
    assert (key, others) == (("u", 0), [])
    assert report.healthy
    assert report.term == 1
