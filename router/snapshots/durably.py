"""Small files and the entries of folders, so that they outlive a crash.

As ``node.files``, which the router does not see.
"""

from __future__ import annotations

import os
from pathlib import Path


def replace_synced(path: Path, content: bytes) -> None:
    """A crash leaves what was there, or all of it. Raises: OSError."""
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
