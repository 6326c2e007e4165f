"""The files of the local metadata log, as bytes.

A file is an 8-byte header (magic, format version), then records. A record is::

    length u32 | crc32c of the length u32 | crc32c of the body u32 | body

all little-endian. The length has a checksum of its own, so a damaged length cannot pass for a torn
tail. Each record is synced before the next one is written, hence only the last one may be torn: a
bad record is a torn tail if no intact record follows it, and damage otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import crc32c

FORMAT = 1
_HEADER = struct.Struct("<6sH")
_RECORD = struct.Struct("<III")
HEADER_BYTES = _HEADER.size
RECORD_BYTES = _RECORD.size


class MetadataCorrupted(Exception):
    """The metadata on disk is damaged or from a newer program; starting would lose some of it."""

    def __init__(self, path: Path, offset: int, what: str) -> None:
        self.path, self.offset = path, offset
        super().__init__(f"{path}, byte {offset}: {what}")


def header(magic: bytes) -> bytes:
    return _HEADER.pack(magic, FORMAT)


def pack_record(body: bytes) -> bytes:
    length = len(body).to_bytes(4, "little")
    return _RECORD.pack(len(body), crc32c.crc32c(length), crc32c.crc32c(body)) + body


def check_header(data: bytes, magic: bytes, path: Path) -> None:
    """Raises: MetadataCorrupted."""
    if len(data) < HEADER_BYTES:
        raise MetadataCorrupted(path, 0, "the file has no header")
    found, version = _HEADER.unpack_from(data)
    if found != magic:
        raise MetadataCorrupted(path, 0, f"expected {magic!r}, found {found!r}")
    if version != FORMAT:
        raise MetadataCorrupted(path, len(magic), f"format {version}; this program knows {FORMAT}")


def read_records(data: bytes, path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (offset after the record, body) for each intact record; stops at a torn tail.

    Raises: MetadataCorrupted if a damaged record is followed by an intact one.
    """
    offset = HEADER_BYTES
    while offset < len(data):
        body = _record_at(data, offset)
        if body is None:
            if _intact_record_after(data, offset):
                raise MetadataCorrupted(path, offset, "bad checksum; restore the file from a backup")
            return
        offset += RECORD_BYTES + len(body)
        yield offset, body


def _record_at(data: bytes, offset: int) -> bytes | None:
    """The body of the intact record that starts here, if one does."""
    if len(data) - offset < RECORD_BYTES:
        return None
    length, length_crc, body_crc = _RECORD.unpack_from(data, offset)
    if crc32c.crc32c(data[offset : offset + 4]) != length_crc:
        return None
    start = offset + RECORD_BYTES
    body = data[start : start + length]
    return body if len(body) == length and crc32c.crc32c(body) == body_crc else None


def _intact_record_after(data: bytes, offset: int) -> bool:
    last = len(data) - RECORD_BYTES
    return any(_record_at(data, later) is not None for later in range(offset + 1, last + 1))
