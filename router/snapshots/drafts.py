"""Files in the making: snapshots that are being written, uploads, downloads.

They lie outside of every folder that is listed; what a crash leaves is removed on start.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from protos.errors import ChecksumMismatch, storage_failed

CHUNK_BYTES = 1 << 20
TMP_DIRECTORY, UPLOAD_DIRECTORY = "tmp", "upload"


def _always() -> None:
    """A node that may hold snapshots."""


class Drafts:
    """``root``: of all snapshots; ``temporary`` (the setting ``temp_path``) is for what comes in. ``check``
    is called before a file is made, and may raise."""

    def __init__(
        self, root: Path, temporary: Path | None = None, *, check: Callable[[], None] = _always
    ) -> None:
        self._check = check
        self._written = root / TMP_DIRECTORY
        self._incoming = (temporary or self._written) / UPLOAD_DIRECTORY

    def clear(self) -> None:
        """Remove what an earlier process left. Raises: OSError."""
        shutil.rmtree(self._incoming, ignore_errors=True)
        if self._written.is_dir():
            for path in self._written.glob("*.draft"):
                path.unlink()

    @asynccontextmanager
    async def draft(self) -> AsyncIterator[Path]:
        """A path for a snapshot to be written to, on the file system where it will lie."""
        self._check()
        async with _place(self._written, ".draft") as path:
            yield path

    @asynccontextmanager
    async def received(
        self, chunks: AsyncIterator[bytes], *, checksum: str | None = None
    ) -> AsyncIterator[Path]:
        """What ``chunks`` bring, as a file for the time of the block.

        Raises: ChecksumMismatch; InsufficientStorage, ServiceError; what ``chunks`` raises.
        """
        self._check()
        async with _place(self._incoming, "") as path:
            found = await _receive(path, chunks)
            if checksum is not None and checksum.lower() != found:
                raise ChecksumMismatch(checksum, found)
            yield path


@asynccontextmanager
async def _place(directory: Path, suffix: str) -> AsyncIterator[Path]:
    path = directory / f"{uuid.uuid4().hex}{suffix}"
    with disk_errors("a file cannot be made"):
        await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    try:
        yield path
    finally:
        await asyncio.shield(asyncio.to_thread(path.unlink, missing_ok=True))


async def _receive(path: Path, chunks: AsyncIterator[bytes]) -> str:
    digest = hashlib.sha256()
    with disk_errors("what comes in cannot be written"):
        file = await asyncio.to_thread(path.open, "xb", 0)
    try:
        async for chunk in chunks:
            with disk_errors("what comes in cannot be written"):
                await asyncio.to_thread(_append, file.fileno(), digest, chunk)
    finally:
        await asyncio.shield(asyncio.to_thread(file.close))
    return digest.hexdigest()


def _append(fd: int, digest: hashlib._Hash, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(fd, left) :]
    digest.update(chunk)


async def chunks_of(path: Path) -> AsyncIterator[bytes]:
    """A file's bytes. Raises: ServiceError."""
    with disk_errors("the file cannot be read"):
        file = await asyncio.to_thread(path.open, "rb", 0)
        try:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk
        finally:
            file.close()


def sha256_of(path: Path) -> str:
    """Raises: OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Raise what a disk refuses as an error of the API."""
    try:
        yield
    except OSError as error:
        raise storage_failed(what, error) from error
