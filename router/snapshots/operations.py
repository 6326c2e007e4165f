"""Snapshots of collections and shards: create, list, send, delete, recover.

Lives here: the order of steps, and that one that has begun is carried through though its caller has gone.
May not live here: what is in an archive, which commands bring it back (``planning``), the whole storage's
(``whole``).

Invariant: a command names files of an archive only after all of it was checked and made durable, so until
then, and after any refusal, the collection is as it was.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from consensus.commands import AddCollection, Restoring
from consensus.log import MetadataLog
from consensus.replica_sets import every_shard
from consensus.state import LEVEL_OF_REPLACING, LEVEL_OF_RESTORING, CollectionState
from node.client.snapshots import ContentFile, Ready, SnapshotDescription, SnapshotNode, Written
from protos.collections import check_new_collection_name
from protos.errors import BadRequest, ChecksumMismatch, Forbidden, Timeout
from protos.logger import get_logger
from router.collections import CollectionOperations
from router.snapshots import planning
from router.snapshots.drafts import Drafts, chunks_of, disk_errors, sha256_of
from router.snapshots.fetching import SnapshotFetcher
from router.snapshots.locations import LocalFile, RemoteUrl, StoredName, checked_file, parse_location
from router.snapshots.naming import (
    Folder,
    SnapshotFile,
    check_name,
    collection_file,
    collection_folder,
    shard_file,
    shard_folder,
    shard_not_found,
)
from router.snapshots.requests import RecoverOptions
from router.snapshots.statistics import SnapshotStatistics
from router.snapshots.store import Content, SnapshotStore
from router.snapshots.turns import Turns

T = TypeVar("T")
Read = Callable[[Path, Callable[[SnapshotDescription], None]], Awaitable[Ready]]

log = get_logger(__name__)


class SnapshotPolicy(Struct, frozen=True):
    """``root``: the folder that local files may be recovered from. ``urls``: may any other place be?"""

    root: Path
    urls: bool = True


class SnapshotOperations:
    """``close`` it: it waits for what is being carried out."""

    def __init__(
        self,
        metadata: MetadataLog,
        collections: CollectionOperations,
        node: SnapshotNode,
        store: SnapshotStore,
        drafts: Drafts,
        fetcher: SnapshotFetcher,
        policy: SnapshotPolicy,
        *,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._metadata, self._collections, self._node = metadata, collections, node
        self._store, self.drafts, self._fetcher, self._policy = store, drafts, fetcher, policy
        self._unix_s = unix_s
        self.statistics = SnapshotStatistics()
        self._naming, self._turns = asyncio.Lock(), Turns()
        self._running: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        while self._running:
            await asyncio.wait(self._running)
        await self._store.close()

    # --- carrying out ------------------------------------------------------------------------------------

    def begin(self, call: Coroutine[Any, Any, T], what: str) -> asyncio.Task[T]:
        """Carry ``call`` out, to its end, whoever waits for it. Its failure is logged."""
        task = asyncio.create_task(call, name=what)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("snapshot_call_failed", call=task.get_name(), error=str(error))

    async def finish(self, call: Coroutine[Any, Any, T], what: str) -> T:
        """The same, and wait for it."""
        return await asyncio.shield(self.begin(call, what))

    # --- creating ----------------------------------------------------------------------------------------

    async def create(self, name: str) -> SnapshotFile:
        """Of this node's shards of a collection. Raises: NotFound, ShardUnavailable, ServiceError."""
        collection = await self._collections.opened(name)
        folder, peer_id = collection_folder(collection.name), self._metadata.peer_id
        own = [shard.id for shard in collection.shards.values() if peer_id in shard.replicas]

        def called(unix_s: float) -> str:
            return collection_file(collection.name, peer_id, unix_s)

        with self.statistics.creating(collection.name):
            async with self._written(collection, own, planning.COLLECTION) as draft:
                return await self.keep(*draft, folder, called)

    async def create_of_shard(self, name: str, shard_id: int) -> SnapshotFile:
        """Raises: as ``create``; NotFound for an unknown shard."""
        collection = await self.with_shard(name, shard_id)

        def called(unix_s: float) -> str:
            return shard_file(collection.name, shard_id, unix_s)

        with self.statistics.creating(collection.name):
            async with self._written(collection, [shard_id], planning.SHARD) as draft:
                return await self.keep(*draft, shard_folder(collection.name, shard_id), called)

    @asynccontextmanager
    async def streamed(self, name: str, shard_id: int) -> AsyncIterator[tuple[str, Content]]:
        """A shard's snapshot that is not kept: what to call it, and its bytes.

        Raises: as ``create_of_shard``.
        """
        collection = await self.with_shard(name, shard_id)
        with self.statistics.creating(collection.name):
            async with self._written(collection, [shard_id], planning.SHARD) as (path, written):
                file = shard_file(collection.name, shard_id, self._unix_s())
                yield file, Content(written.size, chunks=chunks_of(path))

    @asynccontextmanager
    async def _written(
        self, collection: CollectionState, shard_ids: Sequence[int], kind: str
    ) -> AsyncIterator[tuple[Path, Written]]:
        async with self.drafts.draft() as path:
            written = await self._node.write(collection, shard_ids, path, kind=kind)
            yield path, written

    async def write_collection(self, collection: CollectionState, path: Path) -> None:
        """An archive of this node's shards at ``path``, which must not exist. Raises: as ``create``."""
        peer_id = self._metadata.peer_id
        own = [shard.id for shard in collection.shards.values() if peer_id in shard.replicas]
        with self.statistics.creating(collection.name):
            await self._node.write(collection, own, path, kind=planning.COLLECTION)

    async def keep(
        self, path: Path, written: Written, folder: Folder, called: Callable[[float], str]
    ) -> SnapshotFile:
        """Put a draft into the store, under a name that is free: of a second to come, if need be."""
        async with self._naming:
            unix_s = self._unix_s()
            while await self._store.exists(folder, called(unix_s)):
                unix_s += 1
            return await self._store.put(folder, called(unix_s), path, written)

    # --- what is kept ------------------------------------------------------------------------------------

    def folder(self, name: str, shard_id: int | None = None) -> Folder:
        """Raises: NotFound."""
        collection = self._collections.resolve(name)
        if shard_id is None:
            return collection_folder(collection.name)
        if shard_id not in collection.shards:
            raise shard_not_found(shard_id)
        return shard_folder(collection.name, shard_id)

    async def list(self, folder: Folder) -> Sequence[SnapshotFile]:
        return await self._store.list(folder)

    def opened(self, folder: Folder, file: str) -> AbstractAsyncContextManager[Content]:
        """Raises: NotFound."""
        check_name(file)
        return self._store.opened(folder, file)

    async def delete(self, folder: Folder, file: str) -> bool:
        """Raises: NotFound."""
        check_name(file)
        await self._store.delete(folder, file)
        return True

    # --- recovering --------------------------------------------------------------------------------------

    async def recover(self, name: str, location: str, api_key: str | None, options: RecoverOptions) -> bool:
        """A collection, from a file somewhere; it is created if there is none.

        Raises: BadInput, BadRequest, Forbidden: the place or the file cannot be used; NotFound,
            ServiceError, Timeout.
        """
        folder = collection_folder(self._real(name))
        async with self._found(location, api_key, options.checksum, folder, shard=False) as path:
            return await self.restore_collection(name, path, options)

    async def recover_shard(
        self, name: str, shard_id: int, location: str, api_key: str | None, options: RecoverOptions
    ) -> bool:
        """Raises: as ``recover``; NotFound for an unknown shard."""
        folder = self.folder(name, shard_id)
        async with self._found(location, api_key, options.checksum, folder, shard=True) as path:
            return await self.restore_shard(name, shard_id, path, options)

    def _real(self, name: str) -> str:
        found = self._metadata.state.find(name)
        return name if found is None else found.name

    @asynccontextmanager
    async def _found(
        self, text: str, api_key: str | None, checksum: str | None, folder: Folder, *, shard: bool
    ) -> AsyncIterator[Path]:
        """The file at a location, on this machine for the time of the block."""
        location = parse_location(text, shard=shard)
        if isinstance(location, StoredName):
            async with self._store.local(folder, location.name) as path:
                await _check_sum(path, checksum)
                yield path
        elif isinstance(location, LocalFile):
            path = await asyncio.to_thread(checked_file, location.path, self._policy.root)
            await _check_sum(path, checksum)
            yield path
        else:
            async with self._fetched(location, api_key, checksum) as path:
                yield path

    @asynccontextmanager
    async def _fetched(
        self, location: RemoteUrl, api_key: str | None, checksum: str | None
    ) -> AsyncIterator[Path]:
        if not self._policy.urls:
            raise Forbidden("Snapshot recovery from remote URLs is disabled in the configuration")
        async with self._fetcher.chunks(location.url, api_key) as chunks:
            try:
                async with self.drafts.received(chunks, checksum=checksum) as path:
                    yield path
            except ChecksumMismatch as error:
                raise _sum_differs(error.expected, error.actual) from error

    async def restore_collection(self, name: str, path: Path, options: RecoverOptions) -> bool:
        """Raises: BadInput if the file cannot be used, ServiceError, Timeout."""

        def once() -> Coroutine[Any, Any, bool]:
            return self._restore_collection(name, path, options)

        return await self._turns.take(self._real(name), once)

    async def _restore_collection(self, name: str, path: Path, options: RecoverOptions) -> bool:
        existing = self._metadata.state.find(name)
        if existing is None:
            check_new_collection_name(name)

        def accept(description: SnapshotDescription) -> None:
            planning.check_kind(description, planning.COLLECTION)
            if existing is not None:
                planning.check_compatible(description, existing)
                for shard in description.shards:
                    planning.check_points_of(shard, existing, shard.id)

        with self.statistics.recovering(name if existing is None else existing.name):
            async with self.ready(self._node.read, path, accept) as ready:
                if existing is None:
                    return await self._restore_new(name, ready)
                same = {shard.id: shard.id for shard in ready.description.shards}
                return await self._restore(existing.name, ready, same, options)

    async def replace_collection(self, name: str, path: Path) -> bool:
        """Put a file's collection in the place of the one that is there, whatever that one is like; its
        aliases stay. One of them is there at any moment, once every member of the cluster understands that.

        Raises: NotFound; BadInput if the file cannot be used, ServiceError, Timeout.
        """

        def once() -> Coroutine[Any, Any, bool]:
            return self._replace_collection(name, path)

        return await self._turns.take(self._real(name), once)

    async def _replace_collection(self, name: str, path: Path) -> bool:
        existing = await self._collections.opened(name)

        def accept(description: SnapshotDescription) -> None:
            planning.check_kind(description, planning.COLLECTION)

        with self.statistics.recovering(existing.name):
            async with self.ready(self._node.read, path, accept) as ready:
                if self._metadata.state.feature_level >= LEVEL_OF_REPLACING:
                    return await self._restore_new(existing.name, ready, replaces=existing.uuid)
                await self._collections.delete(existing.name)
                return await self._restore_new(existing.name, ready)

    async def restore_shard(self, name: str, shard_id: int, path: Path, options: RecoverOptions) -> bool:
        """Raises: as ``restore_collection``; NotFound."""

        def once() -> Coroutine[Any, Any, bool]:
            return self._restore_shard(name, shard_id, path, options)

        return await self._turns.take(self._real(name), once)

    async def _restore_shard(self, name: str, shard_id: int, path: Path, options: RecoverOptions) -> bool:
        collection = await self.with_shard(name, shard_id)

        def accept(description: SnapshotDescription) -> None:
            planning.check_shard(description, planning.SHARD, collection, shard_id)

        ready = self.ready(self._node.read, path, accept)
        return await self._restore_ready_shard(collection, shard_id, ready, options)

    async def restore_ready_shard(
        self,
        collection: CollectionState,
        shard_id: int,
        reading: AbstractAsyncContextManager[Ready],
        options: RecoverOptions,
    ) -> bool:
        """``reading``: what ``ready`` returned, of one shard.

        Raises: as ``restore_shard``; Outdated: it may go well when it is done anew from its beginning.
        """
        async with self._turns.held(collection.name):
            return await self._restore_ready_shard(collection, shard_id, reading, options)

    async def _restore_ready_shard(
        self,
        collection: CollectionState,
        shard_id: int,
        reading: AbstractAsyncContextManager[Ready],
        options: RecoverOptions,
    ) -> bool:
        with self.statistics.recovering(collection.name):
            async with reading as ready:
                source = ready.description.shards[0].id
                return await self._restore(collection.name, ready, {source: shard_id}, options)

    @asynccontextmanager
    async def ready(
        self, read: Read, path: Path, accept: Callable[[SnapshotDescription], None]
    ) -> AsyncIterator[Ready]:
        """An archive's files, for the time of the block; ``read`` makes them of it."""
        self._require_level()
        async with self._kept(await read(path, accept)) as ready:
            yield ready

    @asynccontextmanager
    async def _kept(self, ready: Ready) -> AsyncIterator[Ready]:
        """Its files are removed afterwards but for those that the cluster state names (or may)."""
        try:
            yield ready
        except Timeout:
            raise  # whatever was proposed may still be agreed on; what is not is removed on start
        except BaseException:
            await self._discard(ready)
            raise
        else:
            await self._discard(ready)

    async def _discard(self, ready: Ready) -> None:
        shards = every_shard(self._metadata.state)
        named = {name for _, shard in shards for name in shard.restored.values()}
        await self._node.discard([name for name in ready.files.values() if name not in named])

    async def _restore(
        self, name: str, ready: Ready, as_shards: dict[int, int], options: RecoverOptions
    ) -> bool:
        collection, peer_id = await self._collections.opened(name), self._metadata.peer_id
        chosen = planning.restored_shards(as_shards.values(), collection, options.priority, peer_id)
        wanted = {source: target for source, target in as_shards.items() if target in chosen}
        if not wanted:
            return True
        files = await self._node.prepare(ready, collection, wanted)
        trim = ready.description.kind == planning.COLLECTION
        command = planning.restore_command(collection, self._restoring(files), trim=trim)
        after = await self._collections.restore(command)
        await self._node.settled(after, files)
        return True

    async def _restore_new(self, name: str, ready: Ready, *, replaces: str = "") -> bool:
        state = self._metadata.state
        command = planning.new_collection(
            state,
            ready.description,
            name,
            peer_id=self._metadata.peer_id,
            peers=self._collections.peers_in_turn(),
            uuid=str(uuid.uuid4()),
            created_ms=int(self._unix_s() * 1000),
            max_collections=self._collections.max_collections,
            replaces=replaces,
        )
        return await self.restore_as(command, ready)

    async def restore_files(
        self,
        command: AddCollection,
        description: SnapshotDescription,
        files: Mapping[int, Sequence[ContentFile]],
    ) -> bool:
        """Create a collection from files that were kept one by one. Raises: as ``restore_collection``."""
        self._require_level()
        ready = await self._node.assemble(description, files)
        with self.statistics.recovering(command.name):
            async with self._kept(ready):
                return await self.restore_as(command, ready)

    async def restore_as(self, command: AddCollection, ready: Ready) -> bool:
        """Create a collection whose shards consist of what is ready."""
        collection = planning.preview(self._metadata.state, command)
        same = {shard.id: shard.id for shard in ready.description.shards}
        files = await self._node.prepare(ready, collection, same)
        after = await self._collections.restore(replace(command, restoring=self._restoring(files)))
        await self._node.settled(after, files)
        return True

    def _restoring(self, files: dict[int, str]) -> Restoring:
        peer = self._metadata.state.peers[self._metadata.peer_id]
        return Restoring(peer.id, peer.incarnation, files)

    def _require_level(self) -> None:
        """Raises: BadRequest if some member would not understand what is to be agreed on."""
        if self._collections.clustered and self._metadata.state.feature_level < LEVEL_OF_RESTORING:
            raise BadRequest("Snapshots can be recovered once every member of the cluster runs this version")

    async def with_shard(self, name: str, shard_id: int) -> CollectionState:
        """The collection, once it is open. Raises: NotFound."""
        collection = await self._collections.opened(name)
        if shard_id not in collection.shards:
            raise shard_not_found(shard_id)
        return collection


async def _check_sum(path: Path, checksum: str | None) -> None:
    """Raises: BadRequest."""
    if checksum is None:
        return
    with disk_errors("the snapshot cannot be read"):
        found = await asyncio.to_thread(sha256_of, path)
    if found != checksum.lower():
        raise _sum_differs(checksum, found)


def _sum_differs(expected: str, actual: str) -> BadRequest:
    return BadRequest(f"Snapshot checksum mismatch: expected {expected}, got {actual}")
