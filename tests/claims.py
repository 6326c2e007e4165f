"""Numbers of this machine, such as ports or networks, that only one test process at a time may use."""

from __future__ import annotations

import fcntl
from functools import cache
from pathlib import Path
from typing import BinaryIO


def claimed(file: Path, number: int) -> bool:
    """Does the number belong to this process? Then until it ends: the byte of that number is locked."""
    try:
        fcntl.lockf(_open(file), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
    except (BlockingIOError, PermissionError):
        return False
    return True


@cache
def _open(file: Path) -> BinaryIO:
    """Once, and never closed: closing any would free all."""
    return file.open("ab")
