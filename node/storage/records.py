"""A stored point as bytes: version, id key and payload under one checksum.

Layout, little-endian: format u8, key length u8, crc32c u32, version u64, key, payload. The checksum
covers everything but itself. The payload is a JSON object's bytes, kept as the client sent it.
"""

from __future__ import annotations

from struct import Struct as Layout

from crc32c import crc32c
from msgspec import Struct

FORMAT = 1

_PREFIX = Layout("<BBI")  # format, key length, checksum
_VERSION = Layout("<Q")
_HEADER = Layout("<BBIQ")
_STARTS = [crc32c(bytes((FORMAT, length))) for length in range(256)]  # checksums of what precedes them


class RecordCorrupted(Exception):
    """Stored bytes are not what was stored: a damaged file, or bytes that are no record."""


class StoredRecord(Struct, frozen=True, gc=False):
    """``version``: seq of the last operation that touched the point; ``key``: protos.ids.id_key."""

    version: int
    key: bytes
    payload: bytes


def pack_record(version: int, key: bytes, payload: bytes) -> bytes:
    """Return the record's bytes. ``version`` is 0..2**64-1, ``key`` has at most 255 bytes."""
    body = _VERSION.pack(version) + key + payload
    start = bytes((FORMAT, len(key)))
    return start + crc32c(body, crc32c(start)).to_bytes(4, "little") + body


def unpack_record(data: bytes) -> StoredRecord:
    """Raises: RecordCorrupted if the checksum does not match or the format is not known here."""
    if len(data) < _HEADER.size:
        raise RecordCorrupted(f"a record of {len(data)} bytes is shorter than its header")
    format_, key_length, checksum, version = _HEADER.unpack_from(data)
    start = _STARTS[key_length] if format_ == FORMAT else crc32c(data[:2])
    if crc32c(data[_PREFIX.size :], start) != checksum:
        raise RecordCorrupted(f"checksum mismatch in a record of {len(data)} bytes")
    if format_ != FORMAT:
        raise RecordCorrupted(f"record format {format_} is not known here (this program knows {FORMAT})")
    key_end = _HEADER.size + key_length
    return StoredRecord(version, data[_HEADER.size : key_end], data[key_end:])
