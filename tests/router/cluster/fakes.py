"""A cluster in memory for tests of what stands behind its endpoints: three peers, one of them this one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from consensus.commands import AddCollection, Command, PlacedShard, RegisterPeer
from consensus.log import RaftStatus
from consensus.state import (
    FEATURE_LEVEL,
    ClusterState,
    CollectionState,
    Peer,
    ReplicaState,
    ShardKey,
    ShardState,
    Transfer,
    founding_state,
)
from consensus.transitions import Events, apply, rejection
from node.client.cluster import SendFailures
from protos.collections import CollectionConfig, CollectionParams, Distance, VectorParams
from protos.errors import ShardUnavailable, VecraftError
from protos.shard import ReadSession
from protos.shard_client import ShardClient
from tests.router.fakes import FakeNode

STATUS = RaftStatus(
    term=4,
    commit=17,
    applied=16,
    pending_operations=1,
    leader=2,
    role="Follower",
    is_voter=True,
    voters=(1, 2, 3),
    has_quorum=True,
    stopped=False,
    error=None,
    last_update_unix_s=1_700_000_000.25,
)


def peer(peer_id: int) -> Peer:
    return Peer(peer_id, uri=f"http://node-{peer_id}:6335", version="1.19.0", feature_level=FEATURE_LEVEL)


class ClusterLog:
    """A metadata log that applies at once. ``before``: called with each command before it is applied."""

    def __init__(self, peers: int = 3) -> None:
        self.peer_id = 1
        self.state: ClusterState = founding_state(peer(1))
        for peer_id in range(2, peers + 1):
            found = peer(peer_id)
            command = RegisterPeer(peer_id, found.uri, version=found.version)
            self.state, _ = apply(self.state, command)
        self.commands: list[Command] = []
        self.before: Callable[[Command], None] = lambda _: None
        self.failure: VecraftError | None = None
        self._subscribers: list[Callable[[ClusterState, Events], None]] = []

    async def propose(self, command: Command) -> Events:
        self.before(command)
        self.commands.append(command)
        events = self.apply(command)
        if self.failure is not None:
            raise self.failure
        return events

    def apply(self, command: Command) -> Events:
        """Apply a command, as if it came from another member. Raises: what the command is refused with."""
        self.state, events = apply(self.state, command)
        refused = rejection(events)
        if refused is not None:
            raise refused.error
        self._tell(events)
        return events

    def put(self, state: ClusterState) -> None:
        self.state = state
        self._tell(())

    def _tell(self, events: Events) -> None:
        for subscriber in list(self._subscribers):
            subscriber(self.state, events)

    def subscribe(self, subscriber: Callable[[ClusterState, Events], None]) -> Callable[[], None]:
        self._subscribers.append(subscriber)

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self._subscribers.remove(subscriber)

        return stop

    @property
    def subscribers(self) -> int:
        return len(self._subscribers)

    async def close(self) -> None: ...

    # --- what is in the state ----------------------------------------------------------------------

    def add_collection(
        self,
        name: str = "c",
        shards: tuple[tuple[int, ...], ...] = ((1, 2), (2, 3)),
        *,
        custom: bool = False,
        factor: int = 1,
    ) -> None:
        """``shards``: the peers of each shard, its primary first; a custom one begins without shards."""
        params = CollectionParams(
            vectors={"": VectorParams(size=2, distance=Distance.DOT)},
            replication_factor=factor,
            sharding_method="custom" if custom else None,
        )
        placed = tuple(PlacedShard(index, peers) for index, peers in enumerate(shards))
        command = AddCollection(name, f"uuid-{name}", CollectionConfig(params), () if custom else placed, 0)
        self.apply(command)

    def collection(self, name: str = "c") -> CollectionState:
        return self.state.collections[name]

    def shard(self, shard_id: int, name: str = "c") -> ShardState:
        return self.collection(name).shards[shard_id]

    def set_replica(self, shard_id: int, peer_id: int, state: ReplicaState, name: str = "c") -> None:
        shard = self.shard(shard_id, name)
        shard = replace(shard, replicas={**shard.replicas, peer_id: state})
        collection = self.collection(name)
        collection = replace(collection, shards={**collection.shards, shard_id: shard})
        self.put(replace(self.state, collections={**self.state.collections, name: collection}))


class FakeCluster:
    """``commits`` and ``telemetries``: what other members answer; one that is missing cannot be reached."""

    def __init__(self) -> None:
        self.peer_id = 1
        self.raft = STATUS
        self.failures: dict[str, SendFailures] = {}
        self.commits: dict[int, int] = {}
        self.telemetries: dict[int, bytes] = {}
        self.audits: dict[int, bytes] = {}
        self.comments: dict[Transfer, str] = {}
        self.asked: list[tuple[str, int]] = []
        self.caught_up = 0
        self.catch_up_failure: VecraftError | None = None

    def status(self) -> RaftStatus:
        return self.raft

    def send_failures(self) -> Mapping[str, SendFailures]:
        return self.failures

    async def known_index(self, peer_id: int, *, timeout_s: float) -> int:
        return await self.commit_index(peer_id, timeout_s=timeout_s)

    async def commit_index(self, peer_id: int, *, timeout_s: float) -> int:
        self.asked.append(("commit", peer_id))
        if peer_id not in self.commits:
            raise ShardUnavailable(f"peer {peer_id} cannot be reached")
        return self.commits[peer_id]

    async def telemetry(self, peer_id: int, *, level: int, timeout_s: float) -> bytes:
        self.asked.append((f"telemetry {level}", peer_id))
        if peer_id not in self.telemetries:
            raise ShardUnavailable(f"peer {peer_id} cannot be reached")
        return self.telemetries[peer_id]

    async def audit_entries(self, peer_id: int, request: bytes, *, timeout_s: float) -> bytes:
        self.asked.append(("audit", peer_id))
        if peer_id not in self.audits:
            raise ShardUnavailable(f"peer {peer_id} cannot be reached")
        return self.audits[peer_id]

    async def catch_up(self) -> None:
        self.caught_up += 1
        if self.catch_up_failure is not None:
            raise self.catch_up_failure

    def transfer_comment(self, collection_uuid: str, transfer: Transfer) -> str | None:
        return self.comments.get(transfer)


class FakeShardKeys:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.created: list[tuple[str, ShardKey, dict[str, Any]]] = []
        self.deleted: list[tuple[str, ShardKey, int | None]] = []

    async def create_shard_key(self, name: str, key: ShardKey, **options: Any) -> bool:
        self.created.append((name, key, options))
        return True

    async def delete_shard_key(self, name: str, key: ShardKey, *, timeout_ms: int | None = None) -> bool:
        self.deleted.append((name, key, timeout_ms))
        return True


class FakeReplica:
    def __init__(self, shard: ShardClient) -> None:
        self.shard = shard

    def open(self, session: ReadSession) -> ShardClient:
        return self.shard


class ClusterNode(FakeNode):
    """This node's shards, and those of other peers; ``led``: which peers' replicas were opened to write."""

    def __init__(self) -> None:
        super().__init__()
        self.led: list[int] = []

    def replica(self, collection: CollectionState, shard_id: int, peer_id: int) -> Any:
        self.led.append(peer_id)
        return FakeReplica(self.shards[collection.name, shard_id])


def json_of(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
