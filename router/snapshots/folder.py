"""Snapshots in folders of this machine. Implements ``router.snapshots.store.SnapshotStore``.

Beside a snapshot lies its checksum (``<name>.checksum``), written first: one without its snapshot is what a
crash left, and removed on start. Operators may put files there, and move them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from node.client.snapshots import Written
from protos.errors import storage_failed
from protos.files import replace_synced, sync_directory
from router.snapshots.drafts import disk_errors
from router.snapshots.naming import Folder, SnapshotFile, creation_time, is_listed, snapshot_not_found
from router.snapshots.store import Content

CHECKSUM_SUFFIX = ".checksum"
_SHA256 = re.compile("[0-9a-f]{64}")


class SnapshotFolders:
    def __init__(self, root: Path) -> None:
        self.root = root

    def clear(self) -> None:
        """Remove checksums that have no file, and those half written. Raises: OSError."""
        for path in self.root.rglob(f"*{CHECKSUM_SUFFIX}.tmp"):
            path.unlink()
        for path in self.root.rglob(f"*{CHECKSUM_SUFFIX}"):
            if not path.with_name(path.name.removesuffix(CHECKSUM_SUFFIX)).exists():
                path.unlink()

    async def list(self, folder: Folder) -> Sequence[SnapshotFile]:
        with disk_errors("snapshots cannot be listed"):
            return await asyncio.to_thread(self._list, self._directory(folder))

    async def exists(self, folder: Folder, name: str) -> bool:
        return await asyncio.to_thread((self._directory(folder) / name).exists)

    async def put(self, folder: Folder, name: str, draft: Path, written: Written) -> SnapshotFile:
        with disk_errors("the snapshot cannot be stored"):
            return await asyncio.to_thread(_put, self._directory(folder) / name, draft, written)

    @asynccontextmanager
    async def opened(self, folder: Folder, name: str) -> AsyncIterator[Content]:
        async with self.local(folder, name) as path:
            yield Content((await asyncio.to_thread(path.stat)).st_size, path)

    @asynccontextmanager
    async def local(self, folder: Folder, name: str) -> AsyncIterator[Path]:
        path = self._directory(folder) / name
        if not await asyncio.to_thread(path.is_file):
            raise snapshot_not_found(name)
        yield path

    async def delete(self, folder: Folder, name: str) -> None:
        try:
            await asyncio.to_thread(_delete, self._directory(folder) / name)
        except FileNotFoundError as error:
            raise snapshot_not_found(name) from error
        except OSError as error:
            raise storage_failed("the snapshot cannot be deleted", error) from error

    async def close(self) -> None:
        """Nothing is open."""

    def _directory(self, folder: Folder) -> Path:
        return self.root.joinpath(*folder)

    @staticmethod
    def _list(directory: Path) -> Sequence[SnapshotFile]:
        if not directory.is_dir():
            return []
        paths = (path for path in directory.iterdir() if is_listed(path.name) and path.is_file())
        return [_describe(path) for path in sorted(paths)]


def _put(path: Path, draft: Path, written: Written) -> SnapshotFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_synced(_checksum_path(path), written.sha256.encode())
    draft.rename(path)
    sync_directory(path.parent)
    return _describe(path)


def _delete(path: Path) -> None:
    path.unlink()
    _checksum_path(path).unlink(missing_ok=True)
    sync_directory(path.parent)


def _describe(path: Path) -> SnapshotFile:
    stat = path.stat()
    return SnapshotFile(path.name, creation_time(stat.st_mtime), stat.st_size, _checksum(path))


def _checksum(path: Path) -> str | None:
    try:
        text = _checksum_path(path).read_text().strip().lower()
    except (OSError, UnicodeDecodeError):
        return None
    return text if _SHA256.fullmatch(text) else None


def _checksum_path(path: Path) -> Path:
    return path.with_name(path.name + CHECKSUM_SUFFIX)
