"""Snapshots, composed: where they are kept, what the command line has recovered before anything is served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from consensus.log import MetadataLog
from node.client.backups import BackupNode
from node.client.snapshots import SnapshotNode
from protos.errors import VecraftError
from router.collections import CollectionOperations
from router.rest.backups import backup_routes
from router.rest.routes import Route
from router.rest.snapshots import snapshot_routes
from router.snapshots.backups import BackupOperations
from router.snapshots.drafts import Drafts
from router.snapshots.fetching import SnapshotFetcher
from router.snapshots.folder import SnapshotFolders
from router.snapshots.operations import SnapshotOperations, SnapshotPolicy
from router.snapshots.partial import PartialSnapshots
from router.snapshots.store import SnapshotStore
from router.snapshots.whole import AlreadyThere, WholeSnapshots
from vecraft import QDRANT_VERSION
from vecraft.configuration import ConfigurationError, RestoreFirst
from vecraft.ending import CannotStart
from vecraft.settings import S3Settings, Settings, StorageSettings


class Snapshots(Struct, frozen=True):
    operations: SnapshotOperations
    whole: WholeSnapshots
    partial: PartialSnapshots
    backups: BackupOperations

    def routes(self) -> list[Route]:
        return [
            *snapshot_routes(self.operations, self.whole, self.partial),
            *backup_routes(self.backups, self.operations),
        ]


@asynccontextmanager
async def snapshots(
    settings: Settings,
    wanted: RestoreFirst,
    log: MetadataLog,
    collections: CollectionOperations,
    node: SnapshotNode,
    cluster: BackupNode | None = None,
    *,
    check: Callable[[], None] | None = None,
) -> AsyncIterator[Snapshots]:
    """``cluster`` None: a node on its own. ``check``: raises if none may be made here.

    Raises: CannotStart if what is wanted cannot be recovered, or the folders cannot be used.
    """
    root, temporary = _folders(settings.storage)
    drafts = Drafts(root, temporary) if check is None else Drafts(root, temporary, check=check)
    folders = SnapshotFolders(root)
    try:
        for clear in (drafts.clear, folders.clear):
            await asyncio.to_thread(clear)
    except OSError as error:
        raise CannotStart(f"the snapshots' folders cannot be used: {error}") from error
    in_bucket = settings.storage.snapshots_config.snapshots_storage == "s3"
    store = _bucket(settings.storage.snapshots_config.s3_config, drafts) if in_bucket else folders
    fetcher = SnapshotFetcher(f"Qdrant/{QDRANT_VERSION}")
    policy = SnapshotPolicy(root, urls=settings.service.enable_snapshot_url_recovery)
    operations = SnapshotOperations(log, collections, node, store, drafts, fetcher, policy)
    try:
        made = Snapshots(
            operations,
            WholeSnapshots(log, collections, operations),
            PartialSnapshots(operations, node, fetcher, policy, unix_s=time.time),
            BackupOperations(log, collections, operations, cluster, root),
        )
        await _restore_first(made.whole, wanted)
        yield made
    finally:
        await operations.close()


def _bucket(chosen: S3Settings, drafts: Drafts) -> SnapshotStore:
    """Raises: ConfigurationError."""
    if not chosen.bucket:
        raise ConfigurationError(
            "storage.snapshots_config.s3_config.bucket is missing; snapshots_storage is s3"
        )
    from router.snapshots.s3 import Bucket, S3Snapshots  # here: the library is heavy, and seldom needed

    return S3Snapshots(
        Bucket(chosen.bucket, chosen.region, chosen.access_key, chosen.secret_key, chosen.endpoint_url),
        drafts,
    )


def _folders(storage: StorageSettings) -> tuple[Path, Path | None]:
    """Where snapshots lie, and what comes in."""
    temporary = None if storage.temp_path is None else Path(storage.temp_path).absolute()
    return Path(storage.snapshots_path).absolute(), temporary


async def _restore_first(whole: WholeSnapshots, wanted: RestoreFirst) -> None:
    try:
        await whole.recover_first(wanted.collections, wanted.storage, force=wanted.force)
    except (AlreadyThere, VecraftError, OSError) as error:
        raise CannotStart(str(error)) from error
