"""The archive of a collection's or a shard's snapshot.

In this order: ``snapshot.json``, the description (``node.client.snapshots``); ``shards/<id>/<file>``, the
files of each shard's base; ``checksums.json``, the size and the CRC-32C of every file before it, without
which an archive is not complete. What is read back is exactly that, or refused.
May not live here: exporting bases, what becomes of unpacked files, threads.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from crc32c import crc32c
from msgspec import Struct

from node.client.snapshots import (
    ContentFile,
    SnapshotDescription,
    decode_description,
    encode_description,
)
from node.replica.checkpoint import POINTS_FILE
from node.snapshots.tar import CHUNK_BYTES, ArchiveDamaged, Member, Sink, Source, TarWriter, members
from node.transfer.export import Base, BaseFile
from node.transfer.files import blocks_of, is_base_path
from protos.files import sync_directory, write_all

DESCRIPTION, CHECKSUMS = "snapshot.json", "checksums.json"
CHECKSUMS_FORMAT = 1
DESCRIPTION_BYTES_MAX = 16 << 20
CHECKSUMS_BYTES_MAX = 64 << 20
FILES_MAX = 1_000_000

_FILE = re.compile(r"shards/(0|[1-9][0-9]{0,9})/(.+)")


class Checked(Struct, frozen=True, array_like=True):
    size: int
    crc32c: int


class Checksums(Struct, frozen=True):
    """``files``: by the name of the member."""

    format: int
    files: dict[str, Checked]


# --- writing -----------------------------------------------------------------------------------------------


def write_archive(sink: Sink, description: SnapshotDescription, bases: Mapping[int, Base]) -> None:
    """``bases``: by shard id, as ``description`` names them. Raises: OSError, SegmentError."""
    writer = ArchiveWriter(sink, description)
    for shard_id, base in sorted(bases.items()):
        for file in base.files:
            writer.add_file(shard_id, base.directory, file)
    writer.end()


class ArchiveWriter:
    """Between the description, which it begins with, and the checksums, which it ends with."""

    def __init__(self, sink: Sink, description: SnapshotDescription) -> None:
        self._tar = TarWriter(sink)
        self._unix_s = int(time.time())
        self._crc = 0
        self._sums: dict[str, Checked] = {}
        self.add_whole(DESCRIPTION, encode_description(description))

    def add_whole(self, name: str, data: bytes) -> None:
        self.add(name, len(data), (data,))

    def add_file(self, shard_id: int, directory: Path, file: BaseFile) -> None:
        self.add(f"shards/{shard_id}/{file.path}", file.size, blocks_of(directory, file))

    def add(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        self._crc = 0
        self._tar.add(name, size, self._summed(chunks), unix_s=self._unix_s)
        self._sums[name] = Checked(size, self._crc)

    def end(self) -> None:
        data = msgspec.json.encode(Checksums(CHECKSUMS_FORMAT, self._sums))
        self._tar.add(CHECKSUMS, len(data), (data,), unix_s=self._unix_s)
        self._tar.end()

    def _summed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._crc = crc32c(chunk, self._crc)
            yield chunk


# --- reading -----------------------------------------------------------------------------------------------


class Taking(Protocol):
    """What becomes of the members between the description and the checksums."""

    def take(self, member: Member) -> Checked:
        """Raises: ArchiveDamaged, OSError."""
        ...

    def finish(self) -> None:
        """Every member is what was archived. Make it durable. Raises: ArchiveDamaged, OSError."""
        ...


def read_archive(
    source: Source,
    accept: Callable[[SnapshotDescription], None],
    begin: Callable[[SnapshotDescription], Taking],
) -> SnapshotDescription:
    """Hand an archive's members on. ``accept`` sees the description before anything is written.

    On any failure what was written is the caller's to remove. Raises: ArchiveDamaged, OSError, what
    ``accept`` and ``begin`` raise.
    """
    incoming = members(source)
    description, first = _description(next(incoming, None))
    accept(description)
    taking, found = begin(description), {DESCRIPTION: first}
    for member in incoming:
        if member.name == CHECKSUMS:
            _compare(_checksums(member), found)
            break
        if member.name in found or len(found) >= FILES_MAX:
            raise ArchiveDamaged(f"{member.name!r} comes twice, or there are too many files")
        found[member.name] = taking.take(member)
    else:
        raise ArchiveDamaged(f"it ends without {CHECKSUMS}")
    if next(incoming, None) is not None:
        raise ArchiveDamaged(f"there is something behind {CHECKSUMS}")
    taking.finish()
    return description


def _compare(sums: Checksums, found: Mapping[str, Checked]) -> None:
    for name in sorted(sums.files.keys() | found.keys()):
        if sums.files.get(name) != found.get(name):
            raise ArchiveDamaged(f"{name!r} is not what was archived: size or checksum differ")


def _description(member: Member | None) -> tuple[SnapshotDescription, Checked]:
    if member is None or member.name != DESCRIPTION:
        found = "nothing" if member is None else repr(member.name)
        raise ArchiveDamaged(f"it begins with {found}, not with {DESCRIPTION}: no archive of this program")
    data = member.whole(DESCRIPTION_BYTES_MAX)
    try:
        description = decode_description(data)
    except (ValueError, msgspec.MsgspecError) as error:
        raise ArchiveDamaged(str(error)) from error
    return description, Checked(len(data), crc32c(data))


_decoder = msgspec.json.Decoder(Checksums)


def _checksums(member: Member) -> Checksums:
    try:
        sums = _decoder.decode(member.whole(CHECKSUMS_BYTES_MAX))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArchiveDamaged(f"{CHECKSUMS} makes no sense: {error}") from error
    if sums.format != CHECKSUMS_FORMAT:
        raise ArchiveDamaged(f"{CHECKSUMS} has format {sums.format}, this program knows {CHECKSUMS_FORMAT}")
    return sums


class Unpacking:
    """Each shard's files below ``place(shard id)``, which must not exist. Implements ``Taking``."""

    def __init__(self, description: SnapshotDescription, place: Callable[[int], Path]) -> None:
        shard_ids = [shard.id for shard in description.shards]
        if len(set(shard_ids)) != len(shard_ids):
            raise ArchiveDamaged("its description names a shard twice")
        self._directories = {shard_id: place(shard_id) for shard_id in shard_ids}
        for directory in self._directories.values():
            directory.mkdir(parents=True)

    def take(self, member: Member) -> Checked:
        shard_id, path = shard_file(member.name)
        if shard_id not in self._directories:
            raise ArchiveDamaged(f"no snapshot has a file {member.name!r}")
        return write_member(self._directories[shard_id] / path, member)

    def finish(self) -> None:
        """The files were synced as they came."""
        for directory in self._directories.values():
            finish_shard(directory)


def shard_file(name: str) -> tuple[int, str]:
    """Which shard's a member is, and its path below the shard's directory. Raises: ArchiveDamaged."""
    match = _FILE.fullmatch(name)
    if match is None or not is_base_path(match[2]):
        raise ArchiveDamaged(f"no snapshot has a file {name!r}")
    return int(match[1]), match[2]


def write_member(path: Path, member: Member) -> Checked:
    """Write a member's bytes to ``path``, which must not exist, and sync the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    crc = 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        for chunk in member.chunks():
            crc = crc32c(chunk, crc)
            write_all(fd, [chunk])
        os.fsync(fd)
    finally:
        os.close(fd)
    return Checked(member.size, crc)


def finish_shard(directory: Path) -> None:
    """Sync the directories of a shard whose files are. Raises: ArchiveDamaged, OSError."""
    if not (directory / POINTS_FILE).exists():
        raise ArchiveDamaged(f"a shard without {POINTS_FILE}")
    for changed, _, _ in os.walk(directory, topdown=False):
        sync_directory(Path(changed))


# --- from contents that were kept one by one --------------------------------------------------------------


def assemble(directory: Path, files: Sequence[ContentFile]) -> None:
    """Copy files into ``directory``, which must not exist, durably. Raises: ArchiveDamaged, OSError."""
    directory.mkdir(parents=True)
    for file in files:
        if not is_base_path(file.path):
            raise ArchiveDamaged(f"no shard has a file {file.path!r}")
        target = directory / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if _copied(file.content, target) != file.sha256:
            raise ArchiveDamaged(f"{file.content} is not what was kept: its checksum differs")
    finish_shard(directory)


def _copied(source: Path, target: Path) -> str:
    """Returns: the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("xb") as writing:
        while chunk := reading.read(CHUNK_BYTES):
            digest.update(chunk)
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    return digest.hexdigest()
