"""Where snapshots are kept: the port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from node.client.snapshots import Written
from router.snapshots.naming import Folder, SnapshotFile


class Content(Struct, frozen=True):
    """A file to be sent: its path on this machine, or its bytes in order."""

    size: int
    path: Path | None = None
    chunks: AsyncIterator[bytes] | None = None


class SnapshotStore(Protocol):
    """Names are checked by the caller. All raise ServiceError when the store fails."""

    async def list(self, folder: Folder) -> Sequence[SnapshotFile]:
        """By name; none in a folder that does not exist."""
        ...

    async def exists(self, folder: Folder, name: str) -> bool: ...

    async def put(self, folder: Folder, name: str, draft: Path, written: Written) -> SnapshotFile:
        """Keep ``draft`` under a name that is free, durably; the draft goes. Raises: InsufficientStorage."""
        ...

    def opened(self, folder: Folder, name: str) -> AbstractAsyncContextManager[Content]:
        """For sending it. Raises: NotFound."""
        ...

    def local(self, folder: Folder, name: str) -> AbstractAsyncContextManager[Path]:
        """As a file on this machine, for the time of the block. Raises: NotFound, InsufficientStorage."""
        ...

    async def delete(self, folder: Folder, name: str) -> None:
        """Raises: NotFound."""
        ...

    async def close(self) -> None: ...
