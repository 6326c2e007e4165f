"""What the floors above may ask of this node about backups of the whole cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from node.client.snapshots import ContentFile, SnapshotDescription


class BackedUp(Struct, frozen=True):
    """One collection of a backup, as a snapshot's description and the files of its shards, by their ids."""

    description: SnapshotDescription
    files: dict[int, Sequence[ContentFile]]


class Backup(Struct, frozen=True):
    """``raft_index``: of the cluster state that the collections are of."""

    name: str
    raft_index: int
    created_ms: int
    collections: list[BackedUp]
    aliases: dict[str, str]


class Retention(Struct, frozen=True):
    """Which backups stay: the newest ``keep`` (at least 1), and with ``older_than_ms`` those not older."""

    keep: int = 1
    older_than_ms: int | None = None


class Pruned(Struct, frozen=True):
    """``removed``: names, oldest first. ``freed_bytes``: of contents that no backup needs any more."""

    removed: list[str]
    freed_bytes: int


# A time in which nobody begins to read a backup, with the names of those that are being read.
Undisturbed = Callable[[], AbstractAsyncContextManager[Collection[str]]]


class BackupNode(Protocol):
    """``root``: a folder of backups (``node.backup.repository``)."""

    async def back_up(self, root: Path) -> str:
        """Of the whole cluster, as of one consistent cut: every write that was acknowledged before the call
        is in it, and with a write all that were acknowledged before that one was sent. Returns: its name.

        Raises: ShardUnavailable: no cut could be had; ServiceError, InsufficientStorage.
        """
        ...

    async def backups(self, root: Path) -> list[str]:
        """Names, oldest first."""
        ...

    async def backup(self, root: Path, name: str) -> Backup:
        """Raises: NotFound, BadInput."""
        ...

    async def prune(self, root: Path, retention: Retention, undisturbed: Undisturbed) -> Pruned:
        """Remove old backups when none is being taken, within ``undisturbed``.

        Raises: BadInput if one cannot be read: nothing is removed; ServiceError.
        """
        ...
