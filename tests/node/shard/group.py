"""Replicas of one shard with real files, on one event loop: the agreement and the mail are in memory.

Commands go through the real transitions and reach every peer at once, unless it is held back; letters arrive
on the next turn of the loop, unless they are cut.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from consensus.commands import Command
from consensus.state import ClusterState, CollectionState, ReplicaState, ShardState, Transfer
from consensus.transitions import rejection
from node.directories import ShardDirectories
from node.engine import Engine
from node.replica.opened import Machinery
from node.replication.tuning import Tuning
from node.shard.host import Base
from node.shard.shard import ReplicatedShard
from node.transfer.between_peers import form_of
from node.transfer.progress import Progress
from node.transfer.receiving import receive_base
from node.transfer.sending import BaseSender
from node.transfer.workshop import Workshop
from protos.errors import ShardUnavailable, Timeout, VecraftError
from protos.ids import PointId
from protos.operations import PointChange, UpdateResult
from protos.shard import Position, Projection, ReadSession, ScrollRequest, UpdateRequest
from tests.consensus.material import cluster, step

TUNING = Tuning(read_lease_ms=300, heartbeat_ms=50, retry_ms=30, evict_after_ms=400, propose_retry_ms=100)
TICK_S = 0.01
NAME, UUID = "c", "u"


class Place:
    """One peer: its storage, threads and replica. Implements ``node.shard.shard.Node``."""

    def __init__(self, group: Group, peer: int, storage: Path) -> None:
        self._group, self._peer = group, peer
        self.storage = storage
        self.engine = Engine(search_threads=1)
        self.directories = ShardDirectories(storage)
        self.workshop = Workshop(storage, self.engine.background)
        self.tuning = group.tuning
        self.recovery_mode: str | None = None
        self.shard: ReplicatedShard | None = None
        self.held_back = self.killed = False
        self.reported = 0

    @property
    def me(self) -> int:
        return self._peer

    @property
    def machinery(self) -> Machinery:
        return self.engine.machinery

    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def next_incarnation(self) -> int:
        return self._group.next_number()

    def send(self, peer: int, collection_uuid: str, shard_id: int, message: bytes) -> None:
        assert (collection_uuid, shard_id) == (UUID, 0)
        if not self.killed:
            self._group.post(self._peer, peer, message)

    async def propose(self, command: Command) -> None:
        if self.held_back or self.killed:
            raise ShardUnavailable("no majority")
        self._group.propose(command)

    async def barrier(self) -> None:
        if self.held_back or self.killed:
            raise ShardUnavailable("no majority")

    async def fetch_base(self, collection_uuid: str, transfer: Transfer) -> Base:
        source = self._group.places[transfer.source]
        assert source.shard is not None
        parts = BaseSender(source.workshop).parts(
            source.shard.files, form_of(transfer.method), Progress.of_nobody()
        )
        received = await receive_base(parts, self.workshop.place(), self.workshop)
        self._group.bases.append((transfer.source, transfer.target))
        return Base(received.directory, received.term)

    def report_soon(self) -> None:
        self.reported += 1

    @property
    def replica(self) -> ReplicatedShard:
        assert self.shard is not None
        return self.shard


class Group:
    def __init__(self, root: Path, state: ClusterState, tuning: Tuning = TUNING) -> None:
        self._root = root
        self.tuning = tuning
        self.state = state
        self.cut: set[tuple[int, int]] = set()
        self.unreachable: frozenset[int] = frozenset()
        self.bases: list[tuple[int, int]] = []
        self.commands: list[Command] = []
        self._number = 0
        self._copies = 0
        self.places = {peer: Place(self, peer, root / str(peer)) for peer in state.peers}
        self._abandoned: list[ReplicatedShard] = []
        self._engines: list[Engine] = []
        self._ticker = asyncio.create_task(self._tick())
        self.deliver()

    # --- the agreement ----------------------------------------------------------------------------------

    @property
    def collection(self) -> CollectionState:
        return self.state.collections[NAME]

    @property
    def agreed(self) -> ShardState:
        return self.collection.shards[0]

    def propose(self, command: Command) -> None:
        """Raises: the error of a refused command."""
        self.state, events = step(self.state, command)
        refused = rejection(events)
        if refused is not None:
            raise refused.error
        self.commands.append(command)
        self.deliver()

    def deliver(self) -> None:
        for place in self.places.values():
            if place.me not in self.agreed.replicas or place.held_back:
                continue
            if place.shard is None:
                place.shard = ReplicatedShard(place, self.collection, self.agreed, self.state.version)
            place.shard.agreed(self.collection, self.agreed, self.state.version)

    def next_number(self) -> int:
        self._number += 1
        return self._number

    # --- the network ------------------------------------------------------------------------------------

    def post(self, source: int, target: int, message: bytes) -> None:
        if (source, target) not in self.cut:
            asyncio.get_running_loop().call_soon(self._arrive, source, target, message)

    def _arrive(self, source: int, target: int, message: bytes) -> None:
        shard = self.places[target].shard
        if shard is not None and (source, target) not in self.cut:
            shard.letter(source, message)

    def isolate(self, peer: int) -> None:
        self.cut |= {pair for other in self.places for pair in ((peer, other), (other, peer))}

    def heal(self) -> None:
        self.cut.clear()
        for place in self.places.values():
            place.held_back = False
        self.deliver()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for place in self.places.values():
                if place.shard is not None:
                    place.shard.tick(self.unreachable)

    # --- processes --------------------------------------------------------------------------------------

    def kill(self, peer: int) -> None:
        """The next start finds what the disk holds now; the former process goes on where nobody sees it."""
        place = self.places[peer]
        place.killed = True
        self._copies += 1
        copy = self._root / f"{peer}-{self._copies}"
        shutil.copytree(place.storage, copy)
        if place.shard is not None:
            self._abandoned.append(place.shard)
        self._engines.append(place.engine)
        self.places[peer] = Place(self, peer, copy)
        self.places[peer].held_back = True

    def start(self, peer: int) -> None:
        self.places[peer].held_back = False
        self.deliver()

    async def close(self) -> None:
        self._ticker.cancel()
        await asyncio.gather(self._ticker, return_exceptions=True)
        shards = [place.shard for place in self.places.values() if place.shard is not None]
        await asyncio.gather(*(shard.close(checkpoint=False) for shard in [*shards, *self._abandoned]))
        for engine in [*self._engines, *(place.engine for place in self.places.values())]:
            await engine.close()

    # --- clients ----------------------------------------------------------------------------------------

    @property
    def primary(self) -> Place:
        return self.places[self.agreed.primary]

    async def write(self, change: PointChange, at: int | None = None, **more: Any) -> UpdateResult:
        place = self.primary if at is None else self.places[at]
        request = UpdateRequest(change, **({"wait": True} | more))
        result = await place.replica.open(ReadSession()).update(request)
        if place.killed:
            raise Timeout("the process died before it could answer")
        return result

    async def write_in_the_end(self, change: PointChange, **more: Any) -> UpdateResult:
        """As a router does: tried again, also at another primary, until it is taken."""
        async with asyncio.timeout(10):
            while True:
                try:
                    return await self.write(change, **more)
                except VecraftError as error:
                    if not error.transient:
                        raise
                    await asyncio.sleep(0.02)

    async def read(
        self, peer: int, *, strong: bool = True, at_least: Position | None = None
    ) -> dict[PointId, bytes]:
        """{id: payload} of every point."""
        request = ScrollRequest(limit=100_000, projection=Projection(payload=True))
        session = ReadSession(strong=strong, at_least=at_least)
        records = await self.places[peer].replica.open(session).scroll(request)
        return {record.id: record.payload or b"" for record in records}

    async def held(self, peer: int) -> dict[PointId, tuple[int, bytes]]:
        """{id: (version, payload)} of what is there, whatever the replica's state."""
        request = ScrollRequest(limit=100_000, projection=Projection(payload=True))
        records = await self.places[peer].replica.local().scroll(request)
        return {record.id: (record.version, record.payload or b"") for record in records}

    async def ready(self) -> None:
        """The primary takes writes."""
        await until(lambda: self.primary.shard is not None and is_ready(self.primary))

    async def active(self, *peers: int) -> None:
        def complete() -> bool:
            return all(self.agreed.replicas.get(peer) is ReplicaState.ACTIVE for peer in peers)

        await until(complete)


def is_ready(place: Place) -> bool:
    try:
        return place.replica.life.machine.is_ready
    except ShardUnavailable:
        return False


async def until(condition: Callable[[], Any], *, timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - there is nothing to be told by
            await asyncio.sleep(0.005)


@asynccontextmanager
async def group_of(
    root: Path, peers: Sequence[int], *, of: int = 3, tuning: Tuning = TUNING
) -> AsyncIterator[Group]:
    """A group whose replicas are on ``peers``, the primary first; ``of`` peers in all."""
    group = Group(root, cluster(tuple(peers), peers=of, factor=len(peers)), tuning)
    try:
        await group.ready()
        yield group
    finally:
        await group.close()
