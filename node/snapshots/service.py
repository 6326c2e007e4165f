"""Snapshots of this node's shards, whichever form the node has. Implements ``node.client.snapshots``.

Lives here: exports made and removed, work taken off the event loop, what errors of files mean to a client.
May not live here: the archive's bytes (``archive``), which replicas there are (``Host``).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from consensus.buckets import owned_buckets
from consensus.replica_sets import is_resharded
from consensus.state import CollectionState, ShardState
from node.client.snapshots import (
    MANIFEST_FORMAT,
    PARTIAL,
    SNAPSHOT_FORMAT,
    ContentFile,
    FileState,
    PartialManifest,
    PartialReceiver,
    Ready,
    ShardDescription,
    SnapshotDescription,
    Written,
)
from node.replica.checkpoint import DamagedFile
from node.replica.opened import CheckpointPostponed, ReplicaFiles
from node.replica.recovery import DAMAGE
from node.segments import SegmentError
from node.snapshots.archive import Taking, Unpacking, assemble, read_archive, write_archive
from node.snapshots.changes import Completing, changes_between, write_changes
from node.snapshots.ready import ReadyFiles
from node.snapshots.states import check_states, states_of
from node.snapshots.tar import ArchiveDamaged, Sink
from node.storage.points import RecordCorrupted, StoreFormatUnknown
from node.transfer.export import Base, export_base, stamp_of
from node.transfer.workshop import Workshop
from node.workers import to_its_end
from protos.errors import BadInput, ServiceError, ShardUnavailable, storage_failed
from protos.files import sync_directory
from protos.logger import get_logger
from protos.shard import Position

log = get_logger()

ARCHIVES_MAX = 2  # written or read at a time on one node; others wait
BUFFER_BYTES = 1 << 20

# Of the files that are read: a snapshot is not made of what is damaged.
_UNREADABLE = (RecordCorrupted, StoreFormatUnknown, SegmentError, DamagedFile)


class Host(Protocol):
    """The node's replicas."""

    async def copyable(self, collection: CollectionState, shard_id: int) -> ReplicaFiles:
        """This node's replica, once it has applied all that was acknowledged before the call.

        Raises: ShardUnavailable if it is not here, or not in sync; ServiceError: it cannot be opened.
        """
        ...

    def last_seq(self, collection: CollectionState, shard_id: int) -> int:
        """Of the last operation that this node knows of the shard; -1: of none."""
        ...

    async def settled(self, collection: CollectionState, files: Mapping[int, str]) -> None:
        """See ``node.client.snapshots.SnapshotNode``."""
        ...


# What takes an archive's members, given where each shard's files are to lie.
Beginning = Callable[[SnapshotDescription, Callable[[int], Path]], Taking]


class _Receiver:
    """Implements ``node.client.snapshots.PartialReceiver``."""

    def __init__(
        self, snapshots: Snapshots, manifest: PartialManifest, own: Path, files: Mapping[str, FileState]
    ) -> None:
        self._snapshots, self.manifest, self._own, self._files = snapshots, manifest, own, files

    async def read(self, path: Path, accept: Callable[[SnapshotDescription], None]) -> Ready:
        def begin(description: SnapshotDescription, place: Callable[[int], Path]) -> Completing:
            return Completing(description, self._own, self._files, place)

        return await self._snapshots.read_as(path, accept, begin)


class Snapshots:
    """One per node."""

    def __init__(self, host: Host, workshop: Workshop, ready: ReadyFiles) -> None:
        self._host, self._workshop, self._ready = host, workshop, ready
        self._turn = asyncio.Semaphore(ARCHIVES_MAX)

    # --- writing ----------------------------------------------------------------------------------------

    async def write(
        self, collection: CollectionState, shard_ids: Sequence[int], path: Path, *, kind: str
    ) -> Written:
        async with self._turn, AsyncExitStack() as exports:
            bases: dict[int, Base] = {}
            with _explained("the snapshot cannot be written"):
                for shard_id in shard_ids:
                    replica = await self._host.copyable(collection, shard_id)
                    bases[shard_id] = await exports.enter_async_context(self._exported(replica))
                description = self._describe(collection, bases, kind)
                return await to_its_end(asyncio.to_thread(_write_whole, path, description, bases))

    @asynccontextmanager
    async def _exported(self, replica: ReplicaFiles, *, exact: bool = False) -> AsyncIterator[Base]:
        place = self._workshop.place()
        try:
            yield await export_base(replica, place, background=self._workshop.background, exact=exact)
        finally:
            await self._workshop.remove(place)

    def _describe(
        self, collection: CollectionState, bases: Mapping[int, Base], kind: str
    ) -> SnapshotDescription:
        shards = (
            _describe_shard(collection, collection.shards[shard_id], base)
            for shard_id, base in sorted(bases.items())
        )
        return SnapshotDescription(
            format=SNAPSHOT_FORMAT,
            kind=kind,
            collection=collection.name,
            config=collection.config,
            payload_schema=collection.payload_schema,
            groups=collection.groups,
            shards=tuple(shards),
            created_ms=time.time_ns() // 1_000_000,
        )

    # --- what differs -----------------------------------------------------------------------------------

    async def manifest(self, collection: CollectionState, shard_id: int) -> PartialManifest:
        async with self.receiving(collection, shard_id) as receiver:
            return receiver.manifest

    async def write_partial(
        self, collection: CollectionState, shard_id: int, theirs: PartialManifest, path: Path
    ) -> Written | None:
        check_states(theirs.files)
        async with self._turn:
            with _explained("the snapshot cannot be written"):
                replica = await self._host.copyable(collection, shard_id)
                if await self._holds(replica, theirs):
                    return None
                async with self._exported(replica, exact=True) as base:
                    description = self._describe(collection, {shard_id: base}, PARTIAL)
                    call = asyncio.to_thread(_write_partial, path, description, shard_id, base, theirs)
                    return await to_its_end(call)

    async def _holds(self, replica: ReplicaFiles, theirs: PartialManifest) -> bool:
        """Are they, or are they made of, what the replica is now?"""
        try:
            await replica.checkpoint()
        except CheckpointPostponed:
            return False  # the export says why
        async with replica.stored() as stored:
            return stamp_of(stored.points.meta()) in (theirs.stamp, theirs.origin)

    @asynccontextmanager
    async def receiving(self, collection: CollectionState, shard_id: int) -> AsyncIterator[PartialReceiver]:
        async with AsyncExitStack() as stack:
            with _explained("the shard's files cannot be read"):
                replica = await self._host.copyable(collection, shard_id)
                base = await stack.enter_async_context(self._exported(replica, exact=True))
                files = await to_its_end(self._workshop.background.run(states_of, base))
            origin = "" if base.meta is None else base.meta.origin.at(base.seq)
            manifest = PartialManifest(MANIFEST_FORMAT, collection.name, shard_id, base.stamp, origin, files)
            yield _Receiver(self, manifest, base.directory, files)

    # --- reading ----------------------------------------------------------------------------------------

    async def read(self, path: Path, accept: Callable[[SnapshotDescription], None]) -> Ready:
        return await self.read_as(path, accept, Unpacking)

    async def read_as(
        self, path: Path, accept: Callable[[SnapshotDescription], None], begin: Beginning
    ) -> Ready:
        """As ``read``, with the members handed to what ``begin`` makes."""
        names: dict[int, str] = {}

        def place(shard_id: int) -> Path:
            names[shard_id] = self._ready.new_name()
            return self._ready.place(names[shard_id])

        async with self._turn:
            try:
                with _explained("the snapshot cannot be unpacked"):
                    description = await to_its_end(asyncio.to_thread(_unpack, path, accept, begin, place))
            except BaseException:
                await to_its_end(asyncio.to_thread(self._ready.remove, list(names.values())))
                raise
        return Ready(description, names)

    async def assemble(
        self, description: SnapshotDescription, files: Mapping[int, Sequence[ContentFile]]
    ) -> Ready:
        names = {shard_id: self._ready.new_name() for shard_id in files}
        async with self._turn:
            try:
                with _explained("the backup cannot be restored"):
                    for shard_id, wanted in files.items():
                        place = self._ready.place(names[shard_id])
                        await to_its_end(asyncio.to_thread(assemble, place, wanted))
            except BaseException:
                await self.discard(names.values())
                raise
        return Ready(description, names)

    async def prepare(
        self, ready: Ready, collection: CollectionState, as_shards: Mapping[int, int]
    ) -> dict[int, str]:
        files: dict[int, str] = {}
        described = {shard.id: shard for shard in ready.description.shards}
        for shard_id, target in as_shards.items():
            # A term of its own: nobody has logged anything under it, so no log can be taken for this one's.
            seq = self._host.last_seq(collection, target) + 1
            after = Position(collection.shards[target].term + 1, seq)
            name, shard = ready.files[shard_id], described[shard_id]
            try:
                await to_its_end(asyncio.to_thread(self._ready.rebase, name, shard, after, collection))
            except OSError as error:
                raise storage_failed("the snapshot cannot be restored", error) from error
            except DAMAGE as error:
                raise BadInput(f"The snapshot's shard {shard_id} cannot be opened: {error}") from error
            files[target] = name
        return files

    async def discard(self, names: Iterable[str]) -> None:
        await to_its_end(asyncio.to_thread(self._ready.remove, list(names)))

    async def settled(self, collection: CollectionState, files: Mapping[int, str]) -> None:
        await self._host.settled(collection, files)


def _check_whole(collection: CollectionState, base: Base) -> None:
    """Raises: ShardUnavailable if the points of a shard's files may not be those of its buckets."""
    step = 0 if base.meta is None else base.meta.buckets.step
    if is_resharded(collection) or step != collection.buckets_step:
        raise ShardUnavailable(f"collection `{collection.name}` is being resharded; try again later")


def _describe_shard(collection: CollectionState, shard: ShardState, base: Base) -> ShardDescription:
    _check_whole(collection, base)
    owned = owned_buckets(collection, shard.id)
    return ShardDescription(
        id=shard.id,
        seq=base.seq,
        term=base.term,
        points=base.points,
        buckets=owned,
        key=shard.key,
        stamp=base.stamp,
    )


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Raise errors of files as those of the API."""
    try:
        yield
    except ArchiveDamaged as error:
        raise BadInput(f"The snapshot cannot be used: {error}") from error
    except OSError as error:
        log.exception("snapshot_failed", reason=str(error))
        raise storage_failed(what, error) from error
    except _UNREADABLE as error:
        log.exception("snapshot_failed", reason=str(error))
        raise ServiceError(f"{what}: {error}") from error


class _Hashing:
    """A file, and the SHA-256 of all that is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> None:
        self._file.write(data)
        self.sha256.update(data)
        self.size += len(data)


def _write(path: Path, fill: Callable[[Sink], None]) -> Written:
    try:
        with path.open("xb", buffering=BUFFER_BYTES) as file:
            sink = _Hashing(file)
            fill(sink)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Written(sink.size, sink.sha256.hexdigest())


def _write_whole(path: Path, description: SnapshotDescription, bases: Mapping[int, Base]) -> Written:
    return _write(path, lambda sink: write_archive(sink, description, bases))


def _write_partial(
    path: Path, description: SnapshotDescription, shard_id: int, base: Base, theirs: PartialManifest
) -> Written:
    changes = changes_between(base, theirs)
    return _write(path, lambda sink: write_changes(sink, description, shard_id, base, changes))


def _unpack(
    path: Path,
    accept: Callable[[SnapshotDescription], None],
    begin: Beginning,
    place: Callable[[int], Path],
) -> SnapshotDescription:
    with path.open("rb", buffering=BUFFER_BYTES) as file:
        return read_archive(file, accept, lambda description: begin(description, place))
