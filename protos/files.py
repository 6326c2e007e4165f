"""Writing files so that what was promised is on disk: complete writes, directory entries included.

Lives here: what every room that keeps files needs, on whichever floor. A draft is named like its file
with ``.tmp`` at the end.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_WRITEV_MAX = 1024  # IOV_MAX of Linux


def write_all(fd: int, chunks: Sequence[bytes | memoryview]) -> None:
    """Write all chunks at the descriptor's position, without joining them.

    Raises: OSError; an unknown part may have been written then.
    """
    for first in range(0, len(chunks), _WRITEV_MAX):
        part = chunks[first : first + _WRITEV_MAX]
        written = os.writev(fd, part)
        if written < sum(map(len, part)):
            rest = memoryview(b"".join(part))[written:]
            while rest:
                rest = rest[os.write(fd, rest) :]


def replace_synced(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path``, durably: a crash leaves what was there, or all of it.

    Raises: OSError; no draft is left behind then.
    """
    draft = path.with_name(f"{path.name}.tmp")
    try:
        _write_synced(draft, content)
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _write_synced(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(fd, [content])
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_synced(path: Path) -> None:
    """Remove ``path`` durably, so that a later removal cannot become durable before it."""
    path.unlink()
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
