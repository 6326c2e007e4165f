"""Where the shards of this process lie on disk.

Lives here: the names of directories, claiming one for a shard, moving one out of the way. Blocking: run it in
a background thread.
May not live here: what a directory holds.

A dropped shard's directory is first renamed to ``trash/``, so its name is free at once; what a crash leaves
there is removed on start. An empty file in ``created/`` tells a shard whose directory is lost from a new one.

Invariant: a directory that belongs to another collection of the same name is never opened.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Container
from pathlib import Path

from node.replica.checkpoint import DamagedFile, remove_all
from node.replica.identity import FORMAT, Identity, read_identity, write_identity
from protos.files import replace_synced, sync_directory
from protos.logger import get_logger

log = get_logger()

COLLECTIONS_DIRECTORY = "collections"
TRASH_DIRECTORY = "trash"
CREATED_DIRECTORY = "created"


class ShardDirectories:
    def __init__(self, storage: Path) -> None:
        self._collections = storage / COLLECTIONS_DIRECTORY
        self._trash = storage / TRASH_DIRECTORY
        self._created = storage / CREATED_DIRECTORY

    def of(self, collection: str, shard_id: int) -> Path:
        return self._collections / collection / str(shard_id)

    def identity(self, directory: Path, collection_uuid: str) -> Identity | None:
        """Whose files there are; None: no files of this collection. Raises: DamagedFile, OSError."""
        identity = read_identity(directory)
        return identity if identity is not None and identity.collection == collection_uuid else None

    def restored(self, directory: Path, collection_uuid: str) -> str:
        """The snapshot's files that a shard's directory is made of; empty: none, or there is no such shard.

        Raises: OSError.
        """
        try:
            identity = self.identity(directory, collection_uuid)
        except DamagedFile:
            return ""
        return "" if identity is None else identity.restored

    def claim(self, directory: Path, collection_uuid: str, shard_id: int, *, term: int = 0) -> Identity:
        """Make sure that ``directory`` is this shard's; ``term``: of a new one's ``Identity``.

        Raises: DamagedFile if its files were there once and are gone; OSError.
        """
        identity = read_identity(directory)
        if identity is not None and identity.collection != collection_uuid:
            self.discard(directory)
            identity = None
        if identity is None:
            if self._marker(collection_uuid, shard_id).exists():
                raise DamagedFile(f"{directory} is missing")
            identity = Identity(FORMAT, collection_uuid, shard_id, term)
            write_identity(directory, identity)
        self._mark(collection_uuid, shard_id)
        return identity

    def install(self, files: Path, directory: Path, identity: Identity) -> None:
        """Put ``files`` (a complete replica, synced) in the place of what is in ``directory``, durably."""
        write_identity(files, identity)
        trashed = [self.discard(directory)] if directory.exists() else []
        _move(files, directory)
        for changed in (files.parent, directory.parent, directory.parent.parent):
            sync_directory(changed)
        self._mark(identity.collection, identity.shard_id)
        remove_all(trashed)

    def forget(self, collection_uuid: str, shard_id: int) -> None:
        """The shard is dropped: its directory may go."""
        self._marker(collection_uuid, shard_id).unlink(missing_ok=True)

    def remove(self, collection: str, collection_uuid: str, shard_id: int) -> Path | None:
        """Forget a shard and move its directory out of the way. Returns: where it is now; None: it had none,
        or a namesake has taken its place. Raises: OSError."""
        self.forget(collection_uuid, shard_id)
        directory = self.of(collection, shard_id)
        try:
            mine = self.identity(directory, collection_uuid) is not None
        except DamagedFile:
            mine = True
        return self.discard(directory) if mine and directory.exists() else None

    def discard(self, directory: Path) -> Path:
        """Move ``directory`` out of the way, durably; return where it is now."""
        self._trash.mkdir(parents=True, exist_ok=True)
        trashed = self._trash / uuid.uuid4().hex
        directory.rename(trashed)
        with contextlib.suppress(FileNotFoundError):  # its last other shard is just being discarded, too
            sync_directory(directory.parent)
        with contextlib.suppress(OSError):  # other shards of the collection are still there
            directory.parent.rmdir()
        return trashed

    def clean(self, collections: Container[str]) -> None:
        """Remove what drops left behind; report directories that no collection names."""
        shutil.rmtree(self._trash, ignore_errors=True)
        if not self._collections.is_dir():
            return
        for path in self._collections.iterdir():
            if path.name not in collections:
                log.warning("directory_without_collection", directory=str(path))

    def _mark(self, collection_uuid: str, shard_id: int) -> None:
        marker = self._marker(collection_uuid, shard_id)
        if not marker.exists():
            self._created.mkdir(parents=True, exist_ok=True)
            replace_synced(marker, b"")

    def _marker(self, collection_uuid: str, shard_id: int) -> Path:
        return self._created / f"{collection_uuid}-{shard_id}"


def _move(files: Path, directory: Path) -> None:
    """Whoever discards another shard at the same moment may find the collection's directory empty, and remove
    it before anything is in it. Raises: OSError."""
    while True:
        directory.parent.mkdir(parents=True, exist_ok=True)
        try:
            files.rename(directory)
        except FileNotFoundError:
            if not files.is_dir():
                raise
        else:
            return
