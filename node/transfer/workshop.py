"""``<storage>/transfers``: where bases are exported to and received into, a directory each.

It lies in the storage so that files can be linked into it and directories moved out of it. Nothing in it
outlives a process.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from node.workers import WorkerPool, to_its_end

TRANSFERS_DIRECTORY = "transfers"


class Workshop:
    """``background`` does all work on files."""

    def __init__(self, storage: Path, background: WorkerPool) -> None:
        self._directory = storage / TRANSFERS_DIRECTORY
        self.background = background

    async def clear(self) -> None:
        """Remove what an earlier process left, before anything is made here. Raises: OSError."""
        if self._directory.exists():
            await self.background.run(shutil.rmtree, self._directory)

    def place(self) -> Path:
        """A path for a new directory; nothing is there yet."""
        return self._directory / uuid.uuid4().hex

    async def remove(self, place: Path) -> None:
        """Also while the caller is being cancelled; what cannot be removed waits for ``clear``."""
        await to_its_end(self.background.run(shutil.rmtree, place, ignore_errors=True))
