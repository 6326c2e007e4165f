"""A folder of backups: every content once, and one manifest per backup.

::

    <root>/contents/<first two hex digits>/<sha256>    files of shards, never changed
    <root>/<name>.backup                               a manifest (JSON): what the cluster was, which contents

A manifest is written last, so one that is there is complete; contents that a failed backup brought are used
by the next one. A later backup brings only what is new: finished segments keep their contents for good.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from consensus.state import ShardGroup
from protos.collections import CollectionConfig, PayloadSchema
from protos.errors import BadInput, NotFound, ServiceError, storage_failed
from protos.files import replace_synced, sync_directory

FORMAT = 1
SUFFIX = ".backup"
_CONTENTS = "contents"
_NAME = re.compile(r"[0-9A-Za-z-]+\.backup")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BackedFile(Struct, frozen=True):
    path: str
    size: int
    sha256: str


class BackedShard(Struct, frozen=True):
    """As of operation ``seq``; ``term``: that its primary led in."""

    id: int
    term: int
    seq: int
    points: int
    files: tuple[BackedFile, ...]


class BackedCollection(Struct, frozen=True):
    name: str
    config: CollectionConfig
    payload_schema: dict[str, PayloadSchema]
    groups: tuple[ShardGroup, ...]
    shards: tuple[BackedShard, ...]


class Manifest(Struct, frozen=True):
    """``raft_index``: of the cluster state that the collections are of."""

    format: int
    raft_index: int
    created_ms: int
    collections: tuple[BackedCollection, ...]
    aliases: dict[str, str]


_decoder = msgspec.json.Decoder(Manifest)


class Repository:
    """Blocking, but for ``keep``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def clear(self) -> None:
        """Remove what an earlier process left half written; nobody may be writing. Raises: OSError."""
        for path in (*self.root.glob(f"{_CONTENTS}/*.draft"), *self.root.glob(f"*{SUFFIX}.tmp")):
            path.unlink()

    def has(self, sha256: str, size: int) -> bool:
        path = self.content(sha256)
        return path.is_file() and path.stat().st_size == size

    def content(self, sha256: str) -> Path:
        assert _SHA256.fullmatch(sha256)
        return self.root / _CONTENTS / sha256[:2] / sha256

    def contents(self) -> list[Path]:
        """All that are there."""
        found = (self.root / _CONTENTS).glob("*/*")
        return [path for path in found if _SHA256.fullmatch(path.name) and path == self.content(path.name)]

    async def keep(self, sha256: str, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Take a content in, durably. Raises: ServiceError if it is another one; InsufficientStorage."""
        if _SHA256.fullmatch(sha256) is None:
            raise ServiceError(f"{sha256!r} is no checksum")
        draft = self.root / _CONTENTS / f"{uuid.uuid4().hex}.draft"
        try:
            file = await asyncio.to_thread(_create, draft)
            try:
                digest, written = hashlib.sha256(), 0
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
                    digest.update(chunk)
                    written += len(chunk)
                if (digest.hexdigest(), written) != (sha256, size):
                    raise ServiceError("a file of a backup came with other bytes than was said")
                await asyncio.to_thread(_settle, file, draft, self.content(sha256))
            finally:
                file.close()
        except OSError as error:
            raise storage_failed("the backup cannot be written", error) from error
        finally:
            await asyncio.shield(asyncio.to_thread(draft.unlink, missing_ok=True))

    def add(self, manifest: Manifest) -> str:
        """Returns: its name. Raises: InsufficientStorage, ServiceError."""
        stamp = datetime.fromtimestamp(manifest.created_ms // 1000, UTC).strftime("%Y-%m-%d-%H-%M-%S")
        name = f"{stamp}-{manifest.created_ms % 1000:03}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            replace_synced(self.root / name, msgspec.json.encode(manifest))
        except OSError as error:
            raise storage_failed("the backup cannot be written", error) from error
        return name

    def names(self) -> list[str]:
        """Oldest first."""
        return sorted(path.name for path in self.root.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.name))

    def manifest(self, name: str) -> Manifest:
        """Raises: NotFound; BadInput if this program cannot read it."""
        if _NAME.fullmatch(name) is None or not (self.root / name).is_file():
            raise NotFound(f"Backup {name} not found")
        try:
            found = _decoder.decode((self.root / name).read_bytes())
        except msgspec.DecodeError as error:
            raise BadInput(f"Backup {name} makes no sense: {error}") from error
        if found.format != FORMAT:
            raise BadInput(f"Backup {name} has format {found.format}, this program knows {FORMAT}")
        return found


def _create(draft: Path) -> BinaryIO:
    draft.parent.mkdir(parents=True, exist_ok=True)
    return draft.open("xb")


def _settle(file: BinaryIO, draft: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    path.parent.mkdir(exist_ok=True)
    draft.rename(path)
    sync_directory(path.parent)
    sync_directory(path.parent.parent)
