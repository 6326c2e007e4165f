"""The shards of this process on a single node: opened, reconfigured and dropped as the cluster state says.

Lives here: the local form of ``node.client.NodeClient``.
May not live here: what a shard does, where its files are (``directories``).

Invariants: one replica per directory; a shard that cannot be opened stays listed, failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from consensus.state import ClusterState, CollectionState, ShardState
from node.client import QuotaReport, SearchLoad
from node.client.snapshots import SnapshotNode
from node.directories import ShardDirectories
from node.engine import Engine
from node.local_session import LocalSession
from node.quotas import Quotas, measure_of
from node.replica.checkpoint import remove_all
from node.replica.failed import FailedReplica, withheld
from node.replica.identity import FORMAT, Identity
from node.replica.opened import ReplicaFiles
from node.replica.recovery import DAMAGE
from node.replica.replica import ShardReplica
from node.replica.schema import missing_operations
from node.snapshots.ready import ReadyFiles, names_of
from node.snapshots.service import Snapshots
from node.transfer.workshop import Workshop
from protos.clock import Clock
from protos.collections import Memory, OptimizersConfigDiff
from protos.errors import ServiceError, ShardUnavailable, VecraftError
from protos.hardware import HardwareUsage
from protos.logger import get_logger
from protos.operations import UpdateResult, UpdateStatus
from protos.quotas import NO_QUOTAS, QuotaConfig
from protos.shard import Hits, ReadSession, SearchRequest
from protos.shard_client import ShardClient

log = get_logger()

OPENING_MAX = 4  # shards opened at the same time

Key = tuple[str, int]


class _Held(Struct, frozen=True):
    """``collection``: as last reconciled. ``settling`` keeps comparing and logging its schema together.
    ``restored``: the snapshot's files that it was made of."""

    replica: ShardReplica | FailedReplica
    collection: CollectionState
    settling: asyncio.Lock
    restored: str = ""

    @property
    def uuid(self) -> str:
        return self.collection.uuid

    @property
    def config_version(self) -> int:
        return self.collection.config_version


class LocalReplica:
    """A shard of this process as the only replica there is. Implements ``node.client.ReplicaClient``."""

    def __init__(self, node: LocalNode, collection: str, shard_id: int) -> None:
        self._node, self._collection, self._shard_id = node, collection, shard_id

    def open(self, session: ReadSession) -> ShardClient:
        return LocalSession(self, session)

    @property
    def replica(self) -> ShardReplica | FailedReplica:
        return self._node.held(self._collection, self._shard_id)

    async def successor(self, replica: ShardReplica | FailedReplica) -> ShardReplica | FailedReplica | None:
        return await self._node.successor(self._collection, self._shard_id, replica)

    async def settle_schema(self, config_version: int) -> UpdateResult:
        return await self._node.settle_schema(self._collection, self._shard_id, config_version)


class LocalNode:
    """Implements ``node.client.NodeClient``. Made and closed in one event loop."""

    def __init__(
        self,
        storage: Path,
        *,
        search_threads: int | None = None,
        builds_max: int | None = None,
        build_memory: int | None = None,
        recovery_mode: str | None = None,
        overrides: OptimizersConfigDiff | None = None,
        quotas: QuotaConfig = NO_QUOTAS,
        clock: Clock | None = None,
        hardware_reporting: bool = False,
        memory_ceiling: Memory = Memory.PINNED,
    ) -> None:
        """``search_threads`` and ``builds_max`` (builder processes at once): None chooses by the cores.
        ``build_memory``: bytes that all builds together may take; None: most of what is free.
        ``recovery_mode``: no shard is opened, and this is told instead. ``overrides``: of every collection's
        optimizers. ``quotas`` count until others are set. ``hardware_reporting``: measure what reads and
        writes cost. ``memory_ceiling``: no file of vectors or indexes is kept in memory more than that."""
        self._directories = ShardDirectories(storage)
        self._recovery_mode = recovery_mode
        self._engine = Engine(
            search_threads=search_threads,
            builds_max=builds_max,
            build_memory=build_memory,
            overrides=overrides,
            quotas=Quotas(quotas, measure_of(storage)),
            clock=clock,
            hardware_reporting=hardware_reporting,
            memory_ceiling=memory_ceiling,
        )
        self._ready = ReadyFiles(storage, self._engine.machinery.clock)
        self._workshop = Workshop(storage, self._engine.background)
        self.snapshots: SnapshotNode = Snapshots(self, self._workshop, self._ready)
        self._held: dict[Key, _Held] = {}
        self._replacing: dict[Key, asyncio.Event] = {}
        self._reconciling = asyncio.Lock()
        self._removals: set[asyncio.Task[None]] = set()
        self._started = False

    def shard(self, collection: str, shard_id: int, *, answers_since: int | None = None) -> ShardClient:  # noqa: ARG002
        return LocalSession(LocalReplica(self, collection, shard_id), ReadSession())

    def search_soon(
        self, collection: str, shard_id: int, request: SearchRequest
    ) -> Hits | asyncio.Future[Hits] | None:
        held = self._held.get((collection, shard_id))
        if held is None or isinstance(held.replica, FailedReplica):
            return None
        try:
            return held.replica.search_soon(request)
        except ShardUnavailable:  # it is closed, and another may take its place
            return None

    def held(self, collection: str, shard_id: int) -> ShardReplica | FailedReplica:
        """Raises: ShardUnavailable if this node does not hold it (yet)."""
        return self._holder(collection, shard_id).replica

    def replica(self, collection: CollectionState, shard_id: int, peer_id: int) -> LocalReplica:  # noqa: ARG002
        return LocalReplica(self, collection.name, shard_id)

    async def settle_schema(self, collection: str, shard_id: int, config_version: int) -> UpdateResult:
        """See ``node.client.ReplicaClient``; the node is reconciled with that version already."""
        async with self._holder(collection, shard_id).settling:
            held = self._holder(collection, shard_id)
            if isinstance(held.replica, FailedReplica):
                raise ShardUnavailable(held.replica.reason)
            assert held.config_version >= config_version
            for operation in missing_operations(held.replica, held.collection):
                await held.replica.apply_config(operation, config_version=held.config_version)
            return UpdateResult(UpdateStatus.COMPLETED, held.replica.view.seq)

    def touch(self, collection: str) -> None:
        for (name, _), held in self._held.items():
            if name == collection and isinstance(held.replica, ShardReplica):
                held.replica.touch()

    def search_load(self) -> SearchLoad:
        return self._engine.search_load()

    def hardware(self) -> dict[str, HardwareUsage]:
        return self._engine.hardware()

    def quotas(self) -> QuotaReport:
        return self._engine.quotas.report()

    def set_quotas(self, agreed: QuotaConfig | None) -> None:
        self._engine.quotas.configure(agreed)

    async def reconcile(self, state: ClusterState) -> None:
        async with self._reconciling:
            if not self._started:
                await self._clean(state)
                self._started = True
            wanted = {
                (name, shard_id): collection
                for name, collection in state.collections.items()
                for shard_id in collection.shards
            }
            gone = [
                key for key, held in self._held.items() if key not in wanted or wanted[key].uuid != held.uuid
            ]
            for key in gone:
                await self._drop(key)
            opening = asyncio.Semaphore(OPENING_MAX)
            await asyncio.gather(
                *(self._bring_up(key, collection, opening) for key, collection in wanted.items())
            )

    async def _clean(self, state: ClusterState) -> None:
        """Remove what an earlier process left unfinished."""
        background = self._engine.background
        await background.run(self._directories.clean, state.collections)
        await background.run(self._ready.keep, names_of(state))
        await self._workshop.clear()

    async def close(self) -> None:
        async with self._reconciling:
            closing = (held.replica.close() for held in self._held.values())
            for error in await asyncio.gather(*closing, return_exceptions=True):
                if error is not None:  # the others and the threads are to end all the same
                    log.error("shard_not_closed", error=repr(error))
            self._held.clear()
            await asyncio.gather(*self._removals)
            await self._engine.close()

    def _holder(self, collection: str, shard_id: int) -> _Held:
        held = self._held.get((collection, shard_id))
        if held is None:
            raise ShardUnavailable(f"shard {shard_id} of collection `{collection}` is not on this node")
        return held

    # --- bringing shards to the state ------------------------------------------------------------------

    async def _bring_up(self, key: Key, collection: CollectionState, opening: asyncio.Semaphore) -> None:
        held, files = self._held.get(key), _restored(collection, key[1])
        if held is None or isinstance(held.replica, FailedReplica) or files not in ("", held.restored):
            with self._replaced(key, held):
                if held is not None:
                    await held.replica.close(checkpoint=False)
                async with opening:
                    replica = await self._open(key, collection)
                settling = asyncio.Lock() if held is None else held.settling
                self._held[key] = _Held(replica, collection, settling, files)
            return
        if held.config_version != collection.config_version:
            replica = held.replica
            await replica.update_config(collection.config)
        else:
            return
        self._held[key] = _Held(replica, collection, held.settling, files)

    @contextmanager
    def _replaced(self, key: Key, held: _Held | None) -> Iterator[None]:
        """Within the block a replica gives way to another; reads may wait for that."""
        if held is None:
            yield
            return
        done = self._replacing[key] = asyncio.Event()
        try:
            yield
        finally:
            done.set()
            del self._replacing[key]

    async def successor(
        self, collection: str, shard_id: int, replica: ShardReplica | FailedReplica
    ) -> ShardReplica | FailedReplica | None:
        """See ``node.local_session.Holder``."""
        replacing = self._replacing.get((collection, shard_id))
        if replacing is not None:
            await replacing.wait()
        found = self.held(collection, shard_id)
        return None if found is replica else found

    async def _open(self, key: Key, collection: CollectionState) -> ShardReplica | FailedReplica:
        if self._recovery_mode is not None:
            return FailedReplica(withheld(self._recovery_mode))
        directory = self._directories.of(*key)
        shard = collection.shards[key[1]]
        background = self._engine.background
        try:
            await background.run(self._install, directory, collection, shard)
            claim = self._directories.claim
            await background.run(claim, directory, collection.uuid, key[1], term=shard.term)
            replica = await ShardReplica.open(
                directory,
                collection.config,
                self._engine.machinery,
                term=shard.term,
                config_version=collection.config_version,
                collection=collection.uuid,
            )
        except DAMAGE as error:
            log.exception("shard_not_opened", collection=key[0], shard_id=key[1])
            return FailedReplica(str(error) or repr(error))
        try:
            for operation in missing_operations(replica, collection):
                await replica.apply_config(operation, config_version=collection.config_version)
        except VecraftError:  # it can be written to later: the state and the shard are compared again then
            log.exception("schema_not_applied", collection=key[0], shard_id=key[1])
        return replica

    def _install(self, directory: Path, collection: CollectionState, shard: ShardState) -> None:
        """Put the files of a snapshot in the replica's place, if they are not there yet."""
        files = _restored(collection, shard.id)
        if files and self._directories.restored(directory, collection.uuid) != files:
            identity = Identity(FORMAT, collection.uuid, shard.id, shard.term, restored=files)
            self._ready.install(files, self._directories, directory, identity)

    # --- ``node.snapshots.service.Host`` -----------------------------------------------------------------

    async def copyable(self, collection: CollectionState, shard_id: int) -> ReplicaFiles:
        replica = self.held(collection.name, shard_id)
        if isinstance(replica, FailedReplica):
            raise ServiceError(f"the shard could not be opened: {replica.reason}")
        return replica

    def last_seq(self, collection: CollectionState, shard_id: int) -> int:
        held = self._held.get((collection.name, shard_id))
        if held is None or held.uuid != collection.uuid or isinstance(held.replica, FailedReplica):
            return -1
        return held.replica.view.seq

    async def settled(self, collection: CollectionState, files: Mapping[int, str]) -> None:
        for shard_id, name in files.items():
            held = self._holder(collection.name, shard_id)
            if isinstance(held.replica, FailedReplica):
                raise ServiceError(f"shard {shard_id} was not restored: {held.replica.reason}")
            if held.uuid != collection.uuid or held.restored != name:
                raise ServiceError(f"shard {shard_id} was changed by somebody else while it was restored")
            held.replica.touch()

    async def _drop(self, key: Key) -> None:
        held = self._held.pop(key)
        await held.replica.close(checkpoint=False)
        if not any(other.uuid == held.uuid for other in self._held.values()):
            self._engine.forget(held.uuid)
        self._directories.forget(held.uuid, key[1])
        directory = self._directories.of(*key)
        if not directory.exists():
            return
        background = self._engine.background
        trashed = await background.run(self._directories.discard, directory)
        removal = asyncio.create_task(background.run(remove_all, [trashed]))
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)


def _restored(collection: CollectionState, shard_id: int) -> str:
    """The name of the snapshot's files that the shard's only replica is made of; empty: it is not."""
    shard = collection.shards[shard_id]
    return shard.restored.get(shard.primary, "")
