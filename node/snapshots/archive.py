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
    writer, sums = _SummingWriter(sink), {}
    sums[DESCRIPTION] = writer.add_whole(DESCRIPTION, encode_description(description))
    for shard_id, base in sorted(bases.items()):
        for file in base.files:
            name = f"shards/{shard_id}/{file.path}"
            sums[name] = writer.add_file(name, base.directory, file)
    writer.add_whole(CHECKSUMS, msgspec.json.encode(Checksums(CHECKSUMS_FORMAT, sums)))
    writer.end()


class _SummingWriter:
    def __init__(self, sink: Sink) -> None:
        self._tar = TarWriter(sink)
        self._unix_s = int(time.time())
        self._crc = 0

    def add_whole(self, name: str, data: bytes) -> Checked:
        return self._add(name, len(data), (data,))

    def add_file(self, name: str, directory: Path, file: BaseFile) -> Checked:
        return self._add(name, file.size, blocks_of(directory, file))

    def end(self) -> None:
        self._tar.end()

    def _add(self, name: str, size: int, chunks: Iterable[bytes]) -> Checked:
        self._crc = 0
        self._tar.add(name, size, self._summed(chunks), unix_s=self._unix_s)
        return Checked(size, self._crc)

    def _summed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._crc = crc32c(chunk, self._crc)
            yield chunk


# --- reading -----------------------------------------------------------------------------------------------


def unpack_archive(
    source: Source, accept: Callable[[SnapshotDescription], None], place: Callable[[int], Path]
) -> SnapshotDescription:
    """Write each shard's files below ``place(shard id)``, which must not exist, durably.

    ``accept`` sees the description before anything is written. On any failure what was written is the
    caller's to remove. Raises: ArchiveDamaged, OSError, what ``accept`` raises.
    """
    incoming = members(source)
    description, first = _description(next(incoming, None))
    accept(description)
    unpacking = _Unpacking(description, place)
    unpacking.found[DESCRIPTION] = first
    for member in incoming:
        if member.name == CHECKSUMS:
            unpacking.compare(_checksums(member))
            break
        unpacking.take(member)
    else:
        raise ArchiveDamaged(f"it ends without {CHECKSUMS}")
    if next(incoming, None) is not None:
        raise ArchiveDamaged(f"there is something behind {CHECKSUMS}")
    unpacking.sync()
    return description


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


def _checksums(member: Member) -> Checksums:
    try:
        sums = msgspec.json.decode(member.whole(CHECKSUMS_BYTES_MAX), type=Checksums)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArchiveDamaged(f"{CHECKSUMS} makes no sense: {error}") from error
    if sums.format != CHECKSUMS_FORMAT:
        raise ArchiveDamaged(f"{CHECKSUMS} has format {sums.format}, this program knows {CHECKSUMS_FORMAT}")
    return sums


class _Unpacking:
    """``found``: what came, by the names of members."""

    def __init__(self, description: SnapshotDescription, place: Callable[[int], Path]) -> None:
        shard_ids = [shard.id for shard in description.shards]
        if len(set(shard_ids)) != len(shard_ids):
            raise ArchiveDamaged("its description names a shard twice")
        self._directories = {shard_id: place(shard_id) for shard_id in shard_ids}
        for directory in self._directories.values():
            directory.mkdir(parents=True)
        self.found: dict[str, Checked] = {}

    def take(self, member: Member) -> None:
        path = self._path(member.name)
        if member.name in self.found or len(self.found) >= FILES_MAX:
            raise ArchiveDamaged(f"{member.name!r} comes twice, or there are too many files")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.found[member.name] = _write(path, member)

    def _path(self, name: str) -> Path:
        match = _FILE.fullmatch(name)
        directory = None if match is None else self._directories.get(int(match[1]))
        if match is None or directory is None or not is_base_path(match[2]):
            raise ArchiveDamaged(f"no snapshot has a file {name!r}")
        return directory / match[2]

    def compare(self, sums: Checksums) -> None:
        for name in sorted(sums.files.keys() | self.found.keys()):
            if sums.files.get(name) != self.found.get(name):
                raise ArchiveDamaged(f"{name!r} is not what was archived: size or checksum differ")
        for directory in self._directories.values():
            if not (directory / POINTS_FILE).exists():
                raise ArchiveDamaged(f"a shard without {POINTS_FILE}")

    def sync(self) -> None:
        """The files were synced as they came."""
        for root in self._directories.values():
            for directory, _, _ in os.walk(root, topdown=False):
                sync_directory(Path(directory))


def _write(path: Path, member: Member) -> Checked:
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
    if not (directory / POINTS_FILE).exists():
        raise ArchiveDamaged(f"a shard without {POINTS_FILE}")
    for changed, _, _ in os.walk(directory, topdown=False):
        sync_directory(Path(changed))


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
