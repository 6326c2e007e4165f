"""A node whose archives are their descriptions, and snapshots of it in a folder."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from consensus.buckets import owned_buckets
from consensus.state import CollectionState
from node.client.snapshots import (
    SNAPSHOT_FORMAT,
    ContentFile,
    Ready,
    ShardDescription,
    SnapshotDescription,
    Written,
    decode_description,
    encode_description,
)
from protos.errors import BadInput
from router.collections import CollectionOperations
from router.snapshots.drafts import Drafts
from router.snapshots.fetching import SnapshotFetcher
from router.snapshots.folder import SnapshotFolders
from router.snapshots.operations import SnapshotOperations, SnapshotPolicy
from router.snapshots.whole import WholeSnapshots
from tests.router.fakes import FakeLog

T0 = 1_700_000_000.0


class FakeSnapshotNode:
    """``ready``: names that were made and not discarded; ``settled``: what was waited for;
    ``meanwhile``: what happens while files are prepared, the last one first.
    """

    def __init__(self) -> None:
        self.ready: set[str] = set()
        self.settled_files: list[dict[int, str]] = []
        self.meanwhile: list[Callable[[], Awaitable[None]]] = []

    async def write(
        self, collection: CollectionState, shard_ids: Sequence[int], path: Path, *, kind: str
    ) -> Written:
        data = encode_description(described(collection, shard_ids, kind))
        await asyncio.to_thread(path.write_bytes, data)
        return Written(len(data), hashlib.sha256(data).hexdigest())

    async def read(self, path: Path, accept: Callable[[SnapshotDescription], None]) -> Ready:
        try:
            description = decode_description(await asyncio.to_thread(path.read_bytes))
        except ValueError as error:
            raise BadInput(str(error)) from error
        accept(description)
        names = {shard.id: f"files-{len(self.ready)}-{shard.id}" for shard in description.shards}
        self.ready |= set(names.values())
        return Ready(description, names)

    async def assemble(
        self, description: SnapshotDescription, files: Mapping[int, Sequence[ContentFile]]
    ) -> Ready:
        names = {shard_id: f"files-{len(self.ready)}-{shard_id}" for shard_id in files}
        self.ready |= set(names.values())
        return Ready(description, names)

    async def prepare(
        self, ready: Ready, collection: CollectionState, as_shards: Mapping[int, int]
    ) -> dict[int, str]:
        assert set(as_shards.values()) <= collection.shards.keys()
        if self.meanwhile:
            await self.meanwhile.pop()()
        return {target: ready.files[source] for source, target in as_shards.items()}

    async def discard(self, names: Iterable[str]) -> None:
        self.ready -= set(names)

    async def settled(self, collection: CollectionState, files: Mapping[int, str]) -> None:
        self.settled_files.append(dict(files))


def described(collection: CollectionState, shard_ids: Sequence[int], kind: str) -> SnapshotDescription:
    return SnapshotDescription(
        format=SNAPSHOT_FORMAT,
        kind=kind,
        collection=collection.name,
        config=collection.config,
        payload_schema=collection.payload_schema,
        groups=collection.groups,
        shards=tuple(
            ShardDescription(shard_id, 7, 1, 3, owned_buckets(collection, shard_id)) for shard_id in shard_ids
        ),
    )


class FakeSnapshots(NamedTuple):
    operations: SnapshotOperations
    whole: WholeSnapshots
    node: FakeSnapshotNode
    root: Path


def fake_snapshots(
    log: FakeLog, collections: CollectionOperations, directory: Path, *, urls: bool = True
) -> FakeSnapshots:
    root, node = directory / "snapshots", FakeSnapshotNode()
    operations = SnapshotOperations(
        log,
        collections,
        node,
        SnapshotFolders(root),
        Drafts(root),
        SnapshotFetcher("Qdrant/1.19.0"),
        SnapshotPolicy(root, urls=urls),
        unix_s=lambda: T0,
    )
    return FakeSnapshots(operations, WholeSnapshots(log, collections, operations), node, root)
