"""The files port: what the journal and snapshots need of a disk, and its form on a real one.

The simulator's form loses what was not synced when a node crashes, so durability is tested, not assumed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from protos.files import replace_synced, sync_directory


class Files(Protocol):
    """Named files of one node. Every method may raise OSError, which is fatal to the caller."""

    def read(self, name: str) -> bytes | None:
        """The whole content, or None if there is no such file."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Durable only after ``sync``."""
        ...

    def truncate(self, name: str, size: int) -> None:
        """Durable only after ``sync``."""
        ...

    def sync(self, name: str) -> None: ...

    def replace(self, name: str, data: bytes) -> None:
        """Atomic and durable on return: a crash leaves the old or the new content."""
        ...


class OsFiles:
    """Files in a directory, which is created if it is missing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._open: dict[str, int] = {}

    def read(self, name: str) -> bytes | None:
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def append(self, name: str, data: bytes) -> None:
        fd = self._fd(name)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def truncate(self, name: str, size: int) -> None:
        os.ftruncate(self._fd(name), size)

    def sync(self, name: str) -> None:
        os.fdatasync(self._fd(name))

    def replace(self, name: str, data: bytes) -> None:
        stale = self._open.pop(name, None)
        if stale is not None:
            os.close(stale)
        replace_synced(self._directory / name, data)

    def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def _fd(self, name: str) -> int:
        if name not in self._open:
            path = self._directory / name
            created = not path.exists()
            self._open[name] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            if created:
                sync_directory(self._directory)
        return self._open[name]
