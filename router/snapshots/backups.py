"""Backups of the whole cluster: one consistent cut, kept in a folder of this node; ours, beyond Qdrant."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from consensus.log import MetadataLog
from node.client.backups import BackedUp, Backup, BackupNode, Pruned, Retention
from protos.collections import CreateAlias
from protos.errors import AlreadyExists, StandaloneMode
from router.collections import CollectionOperations
from router.snapshots import planning
from router.snapshots.operations import SnapshotOperations

BACKUPS_DIRECTORY = "backups"  # below ``snapshots_path``


class ShardPosition(Struct, frozen=True):
    shard_id: int
    term: int
    seq: int
    points: int


class BackupDescription(Struct, frozen=True):
    """``shards``: how far each goes, by collection."""

    name: str
    raft_index: int
    created_ms: int
    shards: dict[str, list[ShardPosition]]


class BackupOperations:
    """``node`` None: this is a node on its own, whose snapshots of the whole storage do as well."""

    def __init__(
        self,
        metadata: MetadataLog,
        collections: CollectionOperations,
        snapshots: SnapshotOperations,
        node: BackupNode | None,
        root: Path,
    ) -> None:
        self._metadata, self._collections, self._snapshots = metadata, collections, snapshots
        self._node, self._root = node, root / BACKUPS_DIRECTORY
        self._read: Counter[str] = Counter()  # names of backups that are being restored
        self._turn = asyncio.Lock()  # of whoever looks at which those are

    async def create(self) -> BackupDescription:
        """Raises: StandaloneMode, ShardUnavailable, ServiceError, InsufficientStorage."""
        node = self._clustered()
        return describe(await node.backup(self._root, await node.back_up(self._root)))

    async def list(self) -> list[str]:
        """Raises: StandaloneMode."""
        return await self._clustered().backups(self._root)

    async def restore(self, name: str) -> bool:
        """Create every collection of a backup, led by this node at first, and set its aliases; each one is
        all or nothing. Raises: StandaloneMode, NotFound; AlreadyExists if one of the collections is there.
        """
        async with self._reading(name) as backup:
            return await self._restore_all(backup)

    @asynccontextmanager
    async def _reading(self, name: str) -> AsyncIterator[Backup]:
        """Nothing of the backup is pruned within the block."""
        async with self._turn:
            backup = await self._clustered().backup(self._root, name)
            self._read[name] += 1
        try:
            yield backup
        finally:
            self._read[name] -= 1

    async def prune(self, retention: Retention) -> Pruned:
        """Remove old backups of this node, but for those that are just being restored; while one is being
        taken it waits for that. Raises: StandaloneMode, BadInput, ServiceError.
        """
        return await self._clustered().prune(self._root, retention, self._undisturbed)

    @asynccontextmanager
    async def _undisturbed(self) -> AsyncIterator[Collection[str]]:
        async with self._turn:
            yield frozenset(+self._read)

    async def _restore_all(self, backup: Backup) -> bool:
        for one in backup.collections:
            if self._collections.exists(one.description.collection):
                raise AlreadyExists(f"Collection `{one.description.collection}` already exists!")
        for one in backup.collections:
            await self._restore(one)
        await self._collections.change_aliases(
            [CreateAlias(collection, alias) for alias, collection in sorted(backup.aliases.items())]
        )
        return True

    async def _restore(self, one: BackedUp) -> None:
        description = one.description
        command = planning.new_collection(
            self._metadata.state,
            description,
            description.collection,
            peer_id=self._metadata.peer_id,
            peers=self._collections.peers_in_turn(),
            uuid=str(uuid.uuid4()),
            created_ms=time.time_ns() // 1_000_000,
            max_collections=self._collections.max_collections,
        )
        await self._snapshots.restore_files(command, description, one.files)

    def _clustered(self) -> BackupNode:
        if self._node is None:
            raise StandaloneMode
        return self._node


def describe(backup: Backup) -> BackupDescription:
    shards = {
        one.description.collection: [
            ShardPosition(shard.id, shard.term, shard.seq, shard.points) for shard in one.description.shards
        ]
        for one in backup.collections
    }
    return BackupDescription(backup.name, backup.raft_index, backup.created_ms, shards)
