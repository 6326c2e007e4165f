"""Several in-memory peers on one agreed state, whose failures a test commands.

A write goes to the primary's copy and at once to the copies of all replicas in sync; a repeated operation
id gets the first result, as in ``node``. ``fail`` puts failures in front of a peer's next answers; ``down``
peers answer nothing; a peer that is ``behind`` opens nothing new; one that is ``held`` applies nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np

from consensus.commands import PromotePrimary, shard_ref
from consensus.log import RaftStatus
from consensus.replica_sets import in_sync
from consensus.state import ClusterState, CollectionState, Peer, ReplicaState, ShardState, Transfer
from consensus.transitions.outcome import put_collection, put_shard
from node.client import QuotaReport, ReplicaClient, SearchLoad
from protos.collections import CollectionParams
from protos.errors import NotPrimary, ShardUnavailable, Timeout, VecraftError
from protos.filters import Filter
from protos.hardware import HardwareUsage
from protos.ids import PointId
from protos.operations import UpdateResult, UpdateStatus, Upsert, VectorBatch
from protos.quotas import QuotaConfig, QuotaUsage
from protos.shard import (
    Hits,
    Position,
    Projection,
    ReadSession,
    Record,
    ScrollRequest,
    SearchRequest,
    ShardInfo,
    UpdateRequest,
)
from protos.shard_client import ShardClient
from protos.stages import StagedRequest
from router.collections import CollectionOperations
from router.points import Draft, PointOperations
from router.queries.operations import SearchOperations
from tests.router.fakes import FakeLog, FakeShard

T = TypeVar("T")

LOST_ANSWER = Timeout("the answer is lost")  # the call itself is carried out
HANG = ShardUnavailable("never said")  # no answer, ever
DOWN = ShardUnavailable("the peer cannot be reached")


class FakeCluster:
    """``leads`` says who really leads a shard, where that is not who the state names."""

    def __init__(self, peers: int = 3) -> None:
        self.log = FakeLog(*(Peer(number) for number in range(1, peers + 1)))
        self.copies: dict[tuple[str, int, int], FakeShard] = {}
        self.leads: dict[tuple[str, int], int] = {}
        self.down: set[int] = set()
        self.behind: set[int] = set()
        self.held: set[int] = set()  # have what is written in their logs, and do not apply it
        self.asked: Counter[int] = Counter()
        self.sessions: list[tuple[int, ReadSession]] = []
        self.applied: Counter[bytes] = Counter()
        self.requests: list[UpdateRequest] = []
        self.settled: list[tuple[int, int, int]] = []  # peer, shard, config version
        self.changed = asyncio.Event()
        self.agreed = asyncio.Event()  # catching up ends
        self.agreed.set()
        self._faults: defaultdict[int, deque[VecraftError]] = defaultdict(deque)
        self._results: dict[tuple[str, int, bytes], UpdateResult] = {}
        self.log.subscribe(lambda *_: self.follow())

    # --- commands of the test --------------------------------------------------------------------------

    def fail(self, peer: int, *errors: VecraftError) -> None:
        self._faults[peer] += errors

    def catch_up(self) -> None:
        self.behind.clear()
        self.follow()

    def follow(self) -> None:
        """What peers do that apply the state: open and drop replicas."""
        for peer in self.log.state.peers:
            if peer not in self.behind:
                self.reconcile(peer)

    def reconcile(self, peer: int) -> None:
        wanted = {
            (collection.name, shard.id, peer): collection
            for collection in self.log.state.collections.values()
            for shard in collection.shards.values()
            if peer in shard.replicas
        }
        for key in [key for key in self.copies if key[2] == peer and key not in wanted]:
            del self.copies[key]
        for key, collection in wanted.items():
            self.copies.setdefault(key, FakeShard(collection.config)).config = collection.config

    async def promote(self, collection: str, shard_id: int, peer: int, *, lost: bool = False) -> None:
        shard = self.shard(collection, shard_id)
        await self.log.propose(
            PromotePrimary(shard_ref(self.log.state.collections[collection], shard), peer, lost)
        )

    def edit(self, collection: str, shard_id: int, **changes: Any) -> None:
        """Change the shard's state by hand, as if it had been agreed on."""
        edited = msgspec.structs.replace(self.shard(collection, shard_id), **changes)
        self.put(put_shard(self.log.state.collections[collection], edited))

    def put(self, collection: CollectionState) -> None:
        self.log.become(put_collection(self.log.state, collection))

    def set_states(self, collection: str, shard_id: int, *states: ReplicaState) -> None:
        """The states of the shard's replicas, in the order of their peers."""
        replicas = dict(zip(sorted(self.shard(collection, shard_id).replicas), states))
        self.edit(collection, shard_id, replicas=replicas)

    # --- looking at it -----------------------------------------------------------------------------------

    def shard(self, collection: str, shard_id: int) -> ShardState:
        return self.log.state.collections[collection].shards[shard_id]

    def primary(self, collection: str, shard_id: int) -> int:
        return self.leads.get((collection, shard_id), self.shard(collection, shard_id).primary)

    def points(self, collection: str, shard_id: int, peer: int) -> list[PointId]:
        return sorted(self.copies[collection, shard_id, peer].points)

    # --- what peers do -----------------------------------------------------------------------------------

    async def answer(self, peer: int, call: Callable[[], Awaitable[T]]) -> T:
        self.asked[peer] += 1
        if peer in self.down:
            raise DOWN
        fault = self._faults[peer].popleft() if self._faults[peer] else None
        if fault is HANG:
            await asyncio.Future()
        if fault is LOST_ANSWER:
            await call()
        if fault is not None:
            raise fault
        return await call()

    def copy(self, collection: str, shard_id: int, peer: int) -> FakeShard:
        held = self.copies.get((collection, shard_id, peer))
        if held is None:
            raise ShardUnavailable(f"shard {shard_id} of collection `{collection}` is not on peer {peer}")
        return held

    async def update(self, collection: str, shard_id: int, peer: int, request: UpdateRequest) -> UpdateResult:
        self.copy(collection, shard_id, peer)
        self.check_leads(collection, shard_id, peer)
        self.requests.append(request)
        key = (collection, shard_id, request.operation_id)
        if request.operation_id and key in self._results:
            return self._results[key]
        self.applied[request.operation_id] += 1
        results = {
            holder: await self.copy(collection, shard_id, holder).update(request)
            for holder in {peer, *in_sync(self.shard(collection, shard_id))} - self.held
        }
        self._results[key] = results[peer]
        return results[peer]

    def check_leads(self, collection: str, shard_id: int, peer: int) -> None:
        primary = self.primary(collection, shard_id)
        if primary != peer:
            raise NotPrimary(f"peer {peer} does not lead shard {shard_id}", primary=primary)


class PeerLog:
    """The agreed log as one of its members has it, who is never behind the others."""

    def __init__(self, log: FakeLog, peer: int) -> None:
        self._log, self.peer_id = log, peer
        self.propose, self.subscribe = log.propose, log.subscribe

    @property
    def state(self) -> ClusterState:
        return self._log.state

    async def close(self) -> None: ...


class PeerNode:
    """The cluster as one of its peers sees it. Implements ``node.client.NodeClient``."""

    def __init__(self, cluster: FakeCluster, peer: int) -> None:
        self._cluster, self._peer = cluster, peer
        self.fail_to_reconcile = 0
        self.agreed_quotas = QuotaConfig()
        self.measured_hardware: dict[str, HardwareUsage] = {}

    def shard(self, collection: str, shard_id: int, *, answers_since: int | None = None) -> ShardClient:
        return self._cluster.copy(collection, shard_id, self._peer)

    def search_soon(self, collection: str, shard_id: int, request: SearchRequest) -> None: ...

    def replica(self, collection: CollectionState, shard_id: int, peer_id: int) -> ReplicaClient:
        if peer_id not in self._cluster.log.state.peers:
            raise ShardUnavailable(f"peer {peer_id} is not known")
        return _Replica(self._cluster, collection.name, shard_id, peer_id)

    async def reconcile(self, state: ClusterState) -> None:
        if self.fail_to_reconcile:
            self.fail_to_reconcile -= 1
            raise OSError("no space left on device")
        self._cluster.reconcile(self._peer)

    def touch(self, collection: str) -> None: ...

    def hardware(self) -> dict[str, HardwareUsage]:
        return self.measured_hardware

    def quotas(self) -> QuotaReport:
        return QuotaReport(self.agreed_quotas, QuotaUsage(1, 2), memory_exceeded=False, disk_exceeded=False)

    def set_quotas(self, agreed: QuotaConfig | None) -> None:
        self.agreed_quotas = agreed or QuotaConfig()

    def search_load(self) -> SearchLoad:
        return SearchLoad(threads=2, busy=0, waiting=0)

    async def close(self) -> None: ...


class _Replica:
    def __init__(self, cluster: FakeCluster, collection: str, shard_id: int, peer: int) -> None:
        self._cluster, self._collection, self._shard_id = cluster, collection, shard_id
        self._peer = peer

    def open(self, session: ReadSession) -> ShardClient:
        self._cluster.sessions.append((self._peer, session))
        return _Opened(self._cluster, self._collection, self._shard_id, self._peer, session)

    async def settle_schema(self, config_version: int) -> UpdateResult:
        async def settle() -> UpdateResult:
            self._cluster.check_leads(self._collection, self._shard_id, self._peer)
            self._cluster.settled.append((self._peer, self._shard_id, config_version))
            return UpdateResult(UpdateStatus.COMPLETED, 20 + self._shard_id)

        return await self._cluster.answer(self._peer, settle)


class _Opened:
    def __init__(
        self, cluster: FakeCluster, collection: str, shard_id: int, peer: int, session: ReadSession
    ) -> None:
        self._cluster, self._at, self._session = cluster, (collection, shard_id, peer), session

    async def update(self, request: UpdateRequest) -> UpdateResult:
        result = await self._cluster.answer(self._at[2], lambda: self._cluster.update(*self._at, request))
        self._session.position = Position(1, self._cluster.copy(*self._at).operations)
        return result

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        return await self._read(lambda copy: copy.search(requests))

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        return await self._read(lambda copy: copy.query_staged(requests))

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self._read(lambda copy: copy.scroll(request))

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        return await self._read(lambda copy: copy.retrieve(ids, projection))

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._read(lambda copy: copy.count(filter, exact=exact))

    async def info(self) -> ShardInfo:
        return await self._read(lambda copy: copy.info())

    async def _read(self, call: Callable[[FakeShard], Awaitable[T]]) -> T:
        async def read() -> T:
            copy = self._cluster.copy(*self._at)
            self._session.position = Position(1, copy.operations)
            wanted = self._session.at_least
            if wanted is not None and self._session.position < wanted:
                raise ShardUnavailable("this replica is still applying operations")
            return await call(copy)

        return await self._cluster.answer(self._at[2], read)


class FakeClusterClient:
    """Implements ``node.client.cluster.ClusterClient`` as far as collections ask it."""

    def __init__(self, cluster: FakeCluster, peer: int = 1) -> None:
        self._cluster, self.peer_id = cluster, peer
        self.comments: dict[int, str] = {}  # by shard

    def status(self) -> RaftStatus:
        version = self._cluster.log.state.version
        return RaftStatus(1, version, version, 0, 1, "Leader", True, (1,), True, False, None, 0.0)

    async def catch_up(self) -> None:
        await self._cluster.agreed.wait()

    async def known_index(self, peer_id: int, *, timeout_s: float) -> int:
        return await self.commit_index(peer_id, timeout_s=timeout_s)

    async def commit_index(self, peer_id: int, *, timeout_s: float) -> int:
        if peer_id in self._cluster.down:
            raise DOWN
        behind = peer_id in self._cluster.behind
        return 0 if behind else self._cluster.log.state.version

    def transfer_comment(self, collection_uuid: str, transfer: Transfer) -> str | None:
        return self.comments.get(transfer.shard_id)


class Front:
    """The router of one peer."""

    def __init__(self, cluster: FakeCluster, peer: int = 1, **options: Any) -> None:
        options.setdefault("rng", random.Random(0))
        self.cluster, self.node = cluster, PeerNode(cluster, peer)
        self.client = FakeClusterClient(cluster, peer)
        self.collections = CollectionOperations(
            PeerLog(cluster.log, peer), self.node, cluster=self.client, **options
        )
        self.points = PointOperations(self.collections, self.node)
        self.searches = SearchOperations(self.collections, self.node)

    def started(self) -> Front:
        """Following what others change; ends with the loop."""
        self.collections.start()
        return self


def upsert(*ids: PointId, shard_keys: Any = None) -> Draft:
    """Points with vectors of two numbers, the first of which is the id if that is a number."""

    def build(_vectors: CollectionParams) -> Upsert:
        rows = [[float(point) if isinstance(point, int) else 0.0, 1.0] for point in ids]
        matrix = np.array(rows, dtype="<f4")
        return Upsert(list(ids), (VectorBatch("", 2, matrix.tobytes()),), [b'{"n":1}'] * len(ids))

    return Draft(build, shard_keys)


def ids_of(records: Sequence[Record]) -> list[PointId]:
    return [record.id for record in records]
