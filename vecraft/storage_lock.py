"""One process per storage directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vecraft.ending import CannotStart

LOCK_WAIT_S = 5.0  # a killed predecessor may need a moment to be gone
LOCK_POLL_S = 0.05


@contextmanager
def storage_lock(directory: Path) -> Iterator[None]:
    """Keep other processes off the storage. The kernel frees the lock however this process ends.

    Raises: CannotStart if another process holds it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotStart(f"storage directory {directory} cannot be used: {error}") from error
    try:
        _take_lock(file, directory)
        yield
    finally:
        os.close(file)


def _take_lock(file: int, directory: Path) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            raise CannotStart(f"storage directory {directory} is in use by another process")
        time.sleep(LOCK_POLL_S)  # nothing else runs yet
