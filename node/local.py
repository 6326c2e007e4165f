"""The shards of this process: opened, reconfigured and dropped as the cluster state says.

Lives here: the local form of ``node.client.NodeClient``, the directories of shards, the threads they share.
May not live here: what a shard does.

A dropped shard's directory is first renamed to ``trash/``, so its name is free at once; what a crash leaves
there is removed on start. An empty file in ``created/`` tells a shard whose directory is lost from a new one.

Invariants: one replica per directory; a directory that belongs to another collection of the same name is
never opened; a shard that cannot be opened stays listed, failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import uuid
from pathlib import Path

import structlog
from msgspec import Struct

from consensus.state import ClusterState, CollectionState
from node.files import replace_synced, sync_directory
from node.replica.checkpoint import DamagedFile, remove_all
from node.replica.failed import FailedReplica
from node.replica.identity import FORMAT, Identity, read_identity, write_identity
from node.replica.recovery import DAMAGE
from node.replica.replica import Machinery, ShardReplica
from node.replica.schema import missing_operations
from node.workers import SerialExecutor, WorkerPool
from protos.clock import Clock, SystemClock
from protos.errors import ShardUnavailable, VecraftError
from protos.operations import UpdateResult, UpdateStatus
from protos.shard import ReadSession, ShardClient

log = structlog.get_logger()

COLLECTIONS_DIRECTORY = "collections"
TRASH_DIRECTORY = "trash"
CREATED_DIRECTORY = "created"
WRITER_THREADS = 2
BACKGROUND_THREADS = 2
OPENING_MAX = 4  # shards opened at the same time

Key = tuple[str, int]


class _Held(Struct, frozen=True):
    """``collection``: as last reconciled. ``settling`` keeps comparing and logging its schema together."""

    replica: ShardReplica | FailedReplica
    collection: CollectionState
    settling: asyncio.Lock

    @property
    def uuid(self) -> str:
        return self.collection.uuid

    @property
    def config_version(self) -> int:
        return self.collection.config_version


class LocalReplica:
    """A shard of this process as the only replica there is. Implements ``node.client.ReplicaClient``."""

    def __init__(self, node: LocalNode, collection: CollectionState, shard_id: int) -> None:
        self._node, self._collection, self._shard_id = node, collection, shard_id

    def open(self, session: ReadSession) -> ShardClient:  # noqa: ARG002 - the port's signature
        return self._node.shard(self._collection.name, self._shard_id)

    async def settle_schema(self, config_version: int) -> UpdateResult:
        return await self._node.settle_schema(self._collection.name, self._shard_id, config_version)


class LocalNode:
    """Implements ``node.client.NodeClient``. Made and closed in one event loop."""

    def __init__(
        self,
        storage: Path,
        *,
        search_threads: int | None = None,
        builds_max: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """``search_threads`` and ``builds_max`` (builder processes at once): None chooses by the cores."""
        cores = os.cpu_count() or 1
        self._collections = storage / COLLECTIONS_DIRECTORY
        self._trash = storage / TRASH_DIRECTORY
        self._created = storage / CREATED_DIRECTORY
        self._search = WorkerPool(search_threads or max(2, cores), "search")
        self._writers = WorkerPool(WRITER_THREADS, "writer")
        self._background = WorkerPool(BACKGROUND_THREADS, "background")
        self._machinery = Machinery(
            search=self._search,
            writers=SerialExecutor(self._writers),
            background=self._background,
            builds=asyncio.Semaphore(builds_max or max(1, cores // 2)),
            clock=clock or SystemClock(),
            cores=cores,
        )
        self._held: dict[Key, _Held] = {}
        self._reconciling = asyncio.Lock()
        self._removals: set[asyncio.Task[None]] = set()
        self._started = False

    def shard(self, collection: str, shard_id: int) -> ShardClient:
        return self._holder(collection, shard_id).replica

    def replica(self, collection: CollectionState, shard_id: int, peer_id: int) -> LocalReplica:  # noqa: ARG002
        return LocalReplica(self, collection, shard_id)

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

    async def reconcile(self, state: ClusterState) -> None:
        async with self._reconciling:
            if not self._started:
                await self._background.run(self._clean, state)
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

    async def close(self) -> None:
        async with self._reconciling:
            closing = (held.replica.close() for held in self._held.values())
            for error in await asyncio.gather(*closing, return_exceptions=True):
                if error is not None:  # the others and the threads are to end all the same
                    log.error("shard_not_closed", error=repr(error))
            self._held.clear()
            await asyncio.gather(*self._removals)
            for pool in (self._search, self._writers, self._background):
                await asyncio.to_thread(pool.close)

    def _holder(self, collection: str, shard_id: int) -> _Held:
        held = self._held.get((collection, shard_id))
        if held is None:
            raise ShardUnavailable(f"shard {shard_id} of collection `{collection}` is not on this node")
        return held

    # --- bringing shards to the state ------------------------------------------------------------------

    async def _bring_up(self, key: Key, collection: CollectionState, opening: asyncio.Semaphore) -> None:
        held = self._held.get(key)
        if held is None or isinstance(held.replica, FailedReplica):
            async with opening:
                replica = await self._open(key, collection)
        elif held.config_version != collection.config_version:
            replica = held.replica
            await replica.update_config(collection.config)
        else:
            return
        self._held[key] = _Held(replica, collection, asyncio.Lock() if held is None else held.settling)

    async def _open(self, key: Key, collection: CollectionState) -> ShardReplica | FailedReplica:
        directory = self._directory(key)
        shard = collection.shards[key[1]]
        try:
            await self._background.run(self._claim, directory, collection, key[1], shard.term)
            replica = await ShardReplica.open(
                directory,
                collection.config,
                self._machinery,
                term=shard.term,
                config_version=collection.config_version,
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

    def _claim(self, directory: Path, collection: CollectionState, shard_id: int, term: int) -> None:
        """Make sure that ``directory`` is this shard's. Raises: DamagedFile, OSError."""
        marker = self._marker(collection.uuid, shard_id)
        identity = read_identity(directory)
        if identity is not None and identity.collection != collection.uuid:
            self._discard(directory)
            identity = None
        if identity is None:
            if marker.exists():
                raise DamagedFile(f"{directory} is missing")
            write_identity(directory, Identity(FORMAT, collection.uuid, shard_id, term))
        if not marker.exists():
            self._created.mkdir(parents=True, exist_ok=True)
            replace_synced(marker, b"")

    def _marker(self, collection_uuid: str, shard_id: int) -> Path:
        return self._created / f"{collection_uuid}-{shard_id}"

    async def _drop(self, key: Key) -> None:
        held = self._held.pop(key)
        await held.replica.close(checkpoint=False)
        self._marker(held.uuid, key[1]).unlink(missing_ok=True)
        directory = self._directory(key)
        if not directory.exists():
            return
        trashed = await self._background.run(self._discard, directory)
        removal = asyncio.create_task(self._background.run(remove_all, [trashed]))
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)

    def _directory(self, key: Key) -> Path:
        return self._collections / key[0] / str(key[1])

    def _discard(self, directory: Path) -> Path:
        """Move ``directory`` out of the way, durably; return where it is now."""
        self._trash.mkdir(parents=True, exist_ok=True)
        trashed = self._trash / uuid.uuid4().hex
        directory.rename(trashed)
        sync_directory(directory.parent)
        with contextlib.suppress(OSError):  # other shards of the collection are still there
            directory.parent.rmdir()
        return trashed

    def _clean(self, state: ClusterState) -> None:
        """Remove what drops left behind; report directories that no collection names."""
        shutil.rmtree(self._trash, ignore_errors=True)
        if not self._collections.is_dir():
            return
        for path in self._collections.iterdir():
            if path.name not in state.collections:
                log.warning("directory_without_collection", directory=str(path))
