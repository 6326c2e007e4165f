"""Snapshots of the whole storage: one file that holds a snapshot of every collection, and the aliases.

It is an uncompressed tar; its first member, ``config.json``, says which file is which collection's (reference
13.1). Recovered on start alone (``--storage-snapshot``, as ``--snapshot`` is for single collections).
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import tarfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from consensus.log import MetadataLog
from node.client.snapshots import Written
from protos.collections import CreateAlias
from protos.errors import BadInput
from router.collections import CollectionOperations
from router.snapshots.drafts import disk_errors
from router.snapshots.naming import WHOLE, SnapshotFile, collection_file, whole_file
from router.snapshots.operations import SnapshotOperations
from router.snapshots.requests import RecoverOptions

CONFIG = "config.json"
CONFIG_BYTES_MAX = 16 << 20
_COPY_BYTES = 1 << 20


class StorageConfig(Struct):
    collections_mapping: dict[str, str]
    collections_aliases: dict[str, str] = {}


class AlreadyThere(Exception):
    """A collection that is to be recovered exists, and is not to be replaced."""


class WholeSnapshots:
    def __init__(
        self, metadata: MetadataLog, collections: CollectionOperations, snapshots: SnapshotOperations
    ) -> None:
        self._metadata, self._collections, self._snapshots = metadata, collections, snapshots

    async def create(self) -> SnapshotFile:
        """Raises: ShardUnavailable, ServiceError, InsufficientStorage."""
        state = self._metadata.state
        aliases = dict(sorted(state.aliases.items()))
        async with AsyncExitStack() as drafts:
            parts: dict[str, Path] = {}
            for name in sorted(state.collections):
                parts[name] = await drafts.enter_async_context(self._snapshots.drafts.draft())
                collection = await self._collections.opened(name)
                await self._snapshots.write_collection(collection, parts[name])
            path = await drafts.enter_async_context(self._snapshots.drafts.draft())
            peer_id = self._metadata.peer_id
            with disk_errors("the snapshot cannot be written"):
                written = await asyncio.to_thread(_write, path, parts, aliases, peer_id)
            return await self._snapshots.keep(path, written, WHOLE, whole_file)

    # --- recovering, on start ----------------------------------------------------------------------------

    async def recover_first(
        self, collections: Sequence[tuple[Path, str]], storage: Path | None, *, force: bool
    ) -> None:
        """What the command line asks for, before anything is served.

        Raises: AlreadyThere, without ``force``; BadInput, ServiceError; OSError.
        """
        for path, name in collections:
            await self._recover(path, name, force=force)
        if storage is not None:
            await self._recover_storage(storage, force=force)

    async def _recover(self, path: Path, name: str, *, force: bool) -> None:
        if self._collections.exists(name):
            if not force:
                text = f"Collection {name} already exists. Use --force-snapshot to overwrite it."
                raise AlreadyThere(text)
            await self._snapshots.replace_collection(name, path)
            return
        await self._snapshots.restore_collection(name, path, RecoverOptions())

    async def _recover_storage(self, path: Path, *, force: bool) -> None:
        with _readable(path), tarfile.open(path, "r:") as tar:
            config = await asyncio.to_thread(_config, tar)
            taken = [name for name in config.collections_mapping if self._collections.exists(name)]
            if taken and not force:
                text = f"Collection {taken[0]} already exists. Use --force-snapshot to overwrite it."
                raise AlreadyThere(text)
            for name, file in sorted(config.collections_mapping.items()):
                async with self._extracted(tar, file) as part:
                    await self._recover(part, name, force=force)
        await self._collections.change_aliases(
            [CreateAlias(name, alias) for alias, name in sorted(config.collections_aliases.items())]
        )

    @asynccontextmanager
    async def _extracted(self, tar: tarfile.TarFile, file: str) -> AsyncIterator[Path]:
        async with self._snapshots.drafts.draft() as path:
            await asyncio.to_thread(_extract, tar, file, path)
            yield path


# --- the file; blocking ---------------------------------------------------------------------------------


def _write(path: Path, parts: Mapping[str, Path], aliases: dict[str, str], peer_id: int) -> Written:
    """Raises: OSError."""
    unix_s = time.time()
    files = {name: collection_file(name, peer_id, unix_s) for name in parts}
    config = msgspec.json.encode(StorageConfig(files, aliases))
    with path.open("xb") as file, tarfile.open(fileobj=file, mode="w:", format=tarfile.GNU_FORMAT) as tar:
        _add(tar, CONFIG, len(config), io.BytesIO(config), unix_s)
        for name, part in parts.items():
            with part.open("rb") as content:
                _add(tar, files[name], part.stat().st_size, content, unix_s)
    with path.open("rb") as whole:
        os.fsync(whole.fileno())
        return Written(path.stat().st_size, hashlib.file_digest(whole, "sha256").hexdigest())


def _add(tar: tarfile.TarFile, name: str, size: int, content: BinaryIO, unix_s: float) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, int(unix_s)
    tar.addfile(info, content)


_decoder = msgspec.json.Decoder(StorageConfig)


def _config(tar: tarfile.TarFile) -> StorageConfig:
    """Raises: BadInput."""
    first = tar.next()
    if first is None or first.name != CONFIG or not first.isreg() or first.size > CONFIG_BYTES_MAX:
        raise BadInput(f"A snapshot of the whole storage begins with {CONFIG}; this file does not")
    content = tar.extractfile(first)
    assert content is not None
    try:
        return _decoder.decode(content.read())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{CONFIG} of the snapshot makes no sense: {error}") from error


def _extract(tar: tarfile.TarFile, name: str, path: Path) -> None:
    """Raises: BadInput, OSError."""
    try:
        member = tar.getmember(name)
    except KeyError as error:
        raise BadInput(f"The snapshot names a file {name!r} that it does not hold") from error
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise BadInput(f"{name!r} in the snapshot is no regular file")
    with content, path.open("xb") as file:
        shutil.copyfileobj(content, file, _COPY_BYTES)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except tarfile.TarError as error:
        raise BadInput(f"{path} is no tar archive, or damaged: {error}") from error
