"""A base as files: reading an export into parts, and writing parts into a directory.

What is read is compared with the checksums that finished segments have of their own, so that a damaged disk
does not spread.
May not live here: threads, the event loop, the beginning and the end of a stream.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

from crc32c import crc32c

from node.replica.checkpoint import COLUMNS_DIRECTORY, POINTS_FILE, SEGMENTS_DIRECTORY
from node.segments import SegmentCorrupted
from node.segments.manifest import BLOCK_BYTES, MANIFEST_FILE, read_manifest
from node.transfer.export import Base, BaseFile
from node.transfer.wire import (
    CHUNK_BYTES,
    DATA,
    END,
    FILE,
    BaseRefused,
    FileStart,
    Form,
    Header,
    Packing,
    decoded,
)
from protos.files import write_all
from protos.structs import learn

assert CHUNK_BYTES == BLOCK_BYTES

_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_PATHS = re.compile(
    rf"{re.escape(POINTS_FILE)}|live\.[0-9a-f]+\.bits|{COLUMNS_DIRECTORY}/{_NAME}"
    rf"|{SEGMENTS_DIRECTORY}/[0-9a-f]+/{_NAME}"
)

Parts = Generator[tuple[bytes, int], None, None]  # each with the points that it and those before hold


def file_parts(base: Base) -> Parts:
    """Raises: OSError, SegmentError."""
    packing = Packing()
    total = base.total_bytes
    header = Header(base.seq, base.term, base.points, Form.FILES, len(base.files), total)
    yield packing.header(header), 0
    sent = 0
    for file in base.files:
        yield packing.struct(FILE, FileStart(file.path, file.size)), base.points * sent // total
        for data in blocks_of(base.directory, file):
            sent += len(data)
            yield packing.part(DATA, data), base.points * sent // total
    yield packing.part(END), base.points


def is_base_path(path: str) -> bool:
    """May a base have a file of this path?"""
    return _PATHS.fullmatch(path) is not None


def blocks_of(directory: Path, file: BaseFile) -> Iterator[bytes]:
    """The file's bytes, ``CHUNK_BYTES`` at a time. Raises: OSError, SegmentError."""
    path = directory / file.path
    expected = _own_checksums(path)
    left = file.size
    with path.open("rb", buffering=0) as reading:
        for position in range(-(-file.size // CHUNK_BYTES)):
            data = reading.read(min(CHUNK_BYTES, left))
            if not data or (expected is not None and crc32c(data) != expected[position]):
                raise SegmentCorrupted(path, position * CHUNK_BYTES, "cut short, or checksum mismatch")
            left -= len(data)
            yield data


def _own_checksums(path: Path) -> tuple[int, ...] | None:
    """Of each block, if the file belongs to a finished segment."""
    if not (path.parent / MANIFEST_FILE).exists():
        return None
    files = {entry.name: entry for entry in read_manifest(path.parent).files}
    return files[path.name].blocks if path.name in files else None


class FilesTarget:
    """Writes a base's files below ``directory``, which exists. Implements ``receiving.Target``."""

    def __init__(self, directory: Path, header: Header) -> None:
        self._directory, self._header = directory, header
        self._seen: set[str] = set()
        self._path = ""
        self._fd = -1
        self._left = 0
        self.done_bytes = 0

    @property
    def points_done(self) -> int:
        return self._header.points * self.done_bytes // max(1, self._header.total_bytes)

    def take(self, kind: bytes, body: memoryview) -> None:
        if kind == FILE:
            self._begin(decoded(body, FileStart))
        elif kind == DATA:
            self._write(body)
        else:
            raise BaseRefused(f"a part of kind {kind!r} in a base of files")

    def finish(self) -> None:
        self._require_finished_file()
        if len(self._seen) != self._header.files or self.done_bytes != self._header.total_bytes:
            found = f"{len(self._seen)} files of {self.done_bytes} bytes"
            raise BaseRefused(f"{found}, not {self._header.files} of {self._header.total_bytes} bytes")
        if POINTS_FILE not in self._seen:
            raise BaseRefused(f"it has no {POINTS_FILE}")

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _begin(self, start: FileStart) -> None:
        self._require_finished_file()
        if not is_base_path(start.path) or start.path in self._seen:
            raise BaseRefused(f"no base has a file {start.path!r}, or it came twice")
        self._seen.add(start.path)
        path = self._directory / start.path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._path, self._left = start.path, start.size
        self._end_file()

    def _write(self, data: memoryview) -> None:
        if len(data) > self._left or not data:
            raise BaseRefused(f"{len(data)} bytes where {self._left} are missing of {self._path!r}")
        write_all(self._fd, [data])
        self._left -= len(data)
        self.done_bytes += len(data)
        self._end_file()

    def _end_file(self) -> None:
        if not self._left:
            os.fsync(self._fd)
            self.close()

    def _require_finished_file(self) -> None:
        if self._left:
            raise BaseRefused(f"{self._left} bytes are missing of {self._path!r}")


learn(FileStart)
