"""What the floors above may ask of this node about snapshots.

Lives here: the port, and the plain structs it speaks in, which are also what an archive's description holds:
names and types of their fields never change, and new ones get defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from consensus.state import CollectionState, ShardGroup, ShardKey
from protos.collections import CollectionConfig, PayloadSchema

SNAPSHOT_FORMAT = 1
MANIFEST_FORMAT = 1
PARTIAL = "partial shard"  # a kind


class ShardDescription(Struct, frozen=True):
    """One shard in an archive, as of operation ``seq`` of ``term``. ``buckets``: which points are its own
    (``consensus.buckets``), one bit for each. ``stamp``: of its checkpoint, see ``PartialManifest``."""

    id: int
    seq: int
    term: int
    points: int
    buckets: bytes
    key: ShardKey | None = None
    stamp: str = ""


class SnapshotDescription(Struct, frozen=True):
    """What an archive holds. ``kind``: "collection"; "shard" for a single shard's; "partial shard" for what
    another one's files lack to be a shard's."""

    format: int
    kind: str
    collection: str
    config: CollectionConfig
    payload_schema: dict[str, PayloadSchema]
    groups: tuple[ShardGroup, ...]
    shards: tuple[ShardDescription, ...]
    created_ms: int = 0


class Ready(Struct, frozen=True):
    """An archive that was checked and unpacked: the names of complete files by shard id, to be given to
    ``RestoreShards`` or to ``discard``."""

    description: SnapshotDescription
    files: Mapping[int, str]


class ContentFile(Struct, frozen=True):
    """A file of a shard (``path``: below its directory) whose bytes lie at ``content``."""

    path: str
    content: Path
    sha256: str


class Written(Struct, frozen=True):
    """``sha256``: of the file, lower-case hex."""

    size: int
    sha256: str


class FileState(Struct, frozen=True, omit_defaults=True):
    """What a shard's file is, so shortly that whoever has the same one can tell. ``sum``: of all of it. Files
    that change in place are told block by block: ``blocks`` has ``DIGEST_BYTES`` for each ``block_bytes``."""

    size: int
    sum: str
    block_bytes: int = 0
    blocks: bytes = b""


class PartialManifest(Struct, frozen=True):
    """What a shard consists of, for another one to send what it lacks. ``stamp``: of the checkpoint that the
    files are; ``origin``: of the one, elsewhere, whose points they hold; empty: of none. ``files``: by path.
    """

    format: int
    collection: str
    shard_id: int
    stamp: str
    origin: str
    files: dict[str, FileState]


class PartialReceiver(Protocol):
    """A shard of this node, as ``manifest`` tells it, to be completed."""

    @property
    def manifest(self) -> PartialManifest: ...

    async def read(self, path: Path, accept: Callable[[SnapshotDescription], None]) -> Ready:
        """As ``SnapshotNode.read``, of an archive that was made for this manifest; once only."""
        ...


class SnapshotNode(Protocol):
    async def write(
        self, collection: CollectionState, shard_ids: Sequence[int], path: Path, *, kind: str
    ) -> Written:
        """Write an archive of this node's replicas to ``path``, which must not exist, durably. It has all
        that was acknowledged before.

        Raises: ShardUnavailable if one of them is not here, or not in sync; ServiceError.
        """
        ...

    async def manifest(self, collection: CollectionState, shard_id: int) -> PartialManifest:
        """What this node's replica consists of. Raises: as ``write``."""
        ...

    async def write_partial(
        self, collection: CollectionState, shard_id: int, theirs: PartialManifest, path: Path
    ) -> Written | None:
        """As ``write``, of what a shard that consists of ``theirs`` lacks; None: of nothing.

        Raises: BadInput if nobody's manifest can be that; as ``write``.
        """
        ...

    def receiving(
        self, collection: CollectionState, shard_id: int
    ) -> AbstractAsyncContextManager[PartialReceiver]:
        """This node's replica as it is now, for the time of the block. Raises: as ``write``."""
        ...

    async def read(self, path: Path, accept: Callable[[SnapshotDescription], None]) -> Ready:
        """Check and unpack an archive. ``accept`` is called with its description before anything is written;
        what it raises ends the call.

        Raises: BadInput: it is damaged, or no archive of ours; ServiceError, InsufficientStorage.
        """
        ...

    async def assemble(
        self, description: SnapshotDescription, files: Mapping[int, Sequence[ContentFile]]
    ) -> Ready:
        """As ``read``, from files that were kept one by one, by shard id.

        Raises: BadInput: they are not what was kept; ServiceError, InsufficientStorage.
        """
        ...

    async def prepare(
        self, ready: Ready, collection: CollectionState, as_shards: Mapping[int, int]
    ) -> dict[int, str]:
        """Make shards of the archive what shards of ``collection`` (which may be still to be created) go on
        from. ``as_shards``: the archive's shard id to the collection's. Returns: the files' names by the
        collection's shard id. Raises: BadInput: they make no shard; ServiceError, InsufficientStorage.
        """
        ...

    async def discard(self, names: Iterable[str]) -> None:
        """Remove ready files that no command will name; those that were taken are gone already."""
        ...

    async def settled(self, collection: CollectionState, files: Mapping[int, str]) -> None:
        """Return when this node's replicas consist of these files and are open.

        Raises: ServiceError, ShardUnavailable.
        """
        ...


class _Version(Struct):
    format: int


def encode_description(description: SnapshotDescription) -> bytes:
    return msgspec.json.encode(description)


_version_decoder = msgspec.json.Decoder(_Version)
_snapshot_description_decoder = msgspec.json.Decoder(SnapshotDescription)


def _check_format(data: bytes, known: int, what: str) -> None:
    """Raises: ValueError."""
    found = _version_decoder.decode(data).format
    if found != known:
        raise ValueError(f"{what} has format {found}, this program knows {known}")


def decode_description(data: bytes) -> SnapshotDescription:
    """Raises: ValueError, which says why, if this program cannot know what it describes."""
    _check_format(data, SNAPSHOT_FORMAT, "its description")
    return _snapshot_description_decoder.decode(data)


def encode_manifest(manifest: PartialManifest) -> bytes:
    return msgspec.json.encode(manifest)


_partial_manifest_decoder = msgspec.json.Decoder(PartialManifest)


def decode_manifest(data: bytes) -> PartialManifest:
    """Raises: ValueError, which says why, if this program cannot know what it describes."""
    _check_format(data, MANIFEST_FORMAT, "the manifest")
    return _partial_manifest_decoder.decode(data)
