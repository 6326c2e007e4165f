"""The log's bytes: file headers, frames, and what a damaged frame means.

A file is a header and frames. A frame is a fixed header and a body; one with an empty body is a
*mark*. All numbers are little-endian, all checksums are crc32c started from the file's random salt, so
neither bytes of another file nor anything a client puts into a body can pass for a frame.

Every frame says how many bytes of its file were on disk for certain when it was written (``synced``).
That settles the question a bad frame at offset X poses, *lost in a crash, or damaged later?*:

  * some intact frame after X says ``synced`` > X: X was synced and acknowledged, so it is damage;
  * none does: X belongs to the group that was being written when the process or the machine stopped.
    Nothing of it was acknowledged, and the tail from X is cut. Blocks reach a disk in any order, so
    intact frames of that same group may follow X; they prove nothing and go too.

A mark follows each sync for this reason alone: it makes the claim for the group just synced without
waiting for the next one. The mark is written, not synced, so it outlives the process at once and the
machine after the system's next write-back. What is left undetected is a machine that stops in that
moment *and* damages the last group it had synced.
Refused: reading a bad last frame as torn because of its position (a flipped bit in the last
acknowledged record would drop it in silence); a second sync for the mark (half the write rate).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct as Layout
from typing import BinaryIO, NamedTuple

from crc32c import crc32c

FORMAT = 1
BODY_BYTES_MAX = 2**32 - 1

_FILE_MAGIC = b"VCRFTWAL"
_FILE = Layout("<8sIQQ8s")  # magic, format, base seq, base term, salt
_FRAME_MAGIC = b"\xf7WR\xa5"
_FRAME = Layout("<4sIIQQQ")  # magic, body length, body checksum, term, seq, synced
_CHECKSUM = Layout("<I")

FILE_HEADER_BYTES = _FILE.size + _CHECKSUM.size
FRAME_HEADER_BYTES = _FRAME.size + _CHECKSUM.size
_SCAN_BYTES = 1 << 20


class WalError(Exception):
    """The log cannot be read as asked."""


class WalCorrupted(WalError):
    """Durable bytes of the log are damaged or missing; ``seq`` is the first record affected."""

    def __init__(self, path: Path, offset: int, seq: int, reason: str) -> None:
        self.path, self.offset, self.seq, self.reason = path, offset, seq, reason
        super().__init__(f"{path} is damaged at byte {offset}, record seq {seq}: {reason}")


class WalFormatUnknown(WalError):
    """The file was written by a newer program; it is intact as far as this one can tell."""

    def __init__(self, path: Path, format_: int) -> None:
        super().__init__(f"{path} has log format {format_}, this program knows {FORMAT}")


class BadFrame(Exception):
    """No intact frame at ``offset``; whether that is damage is for the caller to find out."""

    def __init__(self, offset: int, reason: str) -> None:
        self.offset, self.reason = offset, reason
        super().__init__(reason)


class FileHeader(NamedTuple):
    """``base_seq``: seq of the first record; ``base_term``: term of the record before it."""

    base_seq: int
    base_term: int
    seed: int


class Frame(NamedTuple):
    """``offset`` and ``end`` are byte positions in the file."""

    offset: int
    end: int
    term: int
    seq: int
    synced: int

    @property
    def is_mark(self) -> bool:
        return self.end - self.offset == FRAME_HEADER_BYTES


def file_header(base_seq: int, base_term: int) -> tuple[bytes, int]:
    """Return a new file's header, with a salt of its own, and the seed of its frames' checksums."""
    salt = os.urandom(8)
    head = _FILE.pack(_FILE_MAGIC, FORMAT, base_seq, base_term, salt)
    return head + _CHECKSUM.pack(crc32c(head)), crc32c(salt)


def frame_header(seed: int, term: int, seq: int, synced: int, body: bytes) -> bytes:
    """Return the bytes that go before ``body``; an empty body makes a mark."""
    head = _FRAME.pack(_FRAME_MAGIC, len(body), crc32c(body, seed), term, seq, synced)
    return head + _CHECKSUM.pack(crc32c(head, seed))


def read_file_header(file: BinaryIO, path: Path) -> FileHeader:
    """Raises: WalCorrupted, WalFormatUnknown. A header is synced before its file gets its name."""
    data = file.read(FILE_HEADER_BYTES)
    seq = int(path.stem) if path.stem.isdigit() else 0
    if len(data) < FILE_HEADER_BYTES or not data.startswith(_FILE_MAGIC):
        raise WalCorrupted(path, 0, seq, "it does not begin with the header of a log file")
    _, format_, base_seq, base_term, salt = _FILE.unpack_from(data)
    if crc32c(data[: _FILE.size]) != _CHECKSUM.unpack_from(data, _FILE.size)[0]:
        raise WalCorrupted(path, 0, seq, "checksum mismatch in the header of the file")
    if format_ != FORMAT:
        raise WalFormatUnknown(path, format_)
    if base_seq != seq:
        raise WalCorrupted(path, 0, seq, f"its header says that it begins at seq {base_seq}")
    return FileHeader(base_seq, base_term, crc32c(salt))


def read_frames(file: BinaryIO, path: Path, header: FileHeader) -> Iterator[tuple[Frame, bytes]]:
    """Yield each frame with its body, marks included, from the file's position after its header.

    Raises: BadFrame at the first frame that is incomplete or does not match its checksums;
    WalCorrupted if an intact record does not continue the one before it (seq + 1, term not lower).
    """
    size = os.fstat(file.fileno()).st_size
    offset, seq, term = FILE_HEADER_BYTES, header.base_seq - 1, header.base_term
    while offset < size:
        frame, body = _read_frame(file, header.seed, offset, size)
        expected = seq if frame.is_mark else seq + 1
        if frame.seq != expected or frame.term < term:
            found = f"found seq {frame.seq} of term {frame.term} after seq {seq} of term {term}"
            raise WalCorrupted(path, offset, expected, found)
        yield frame, body
        offset, seq, term = frame.end, frame.seq, frame.term


def _read_frame(file: BinaryIO, seed: int, offset: int, size: int) -> tuple[Frame, bytes]:
    head = file.read(FRAME_HEADER_BYTES)
    decoded = _decode_frame(head, 0, seed)
    if decoded is None:
        raise BadFrame(offset, "no intact record header")
    length, checksum, term, seq, synced = decoded
    end = offset + FRAME_HEADER_BYTES + length
    if end > size:
        raise BadFrame(offset, f"the record ends at byte {end}, the file at {size}")
    body = file.read(length)
    if crc32c(body, seed) != checksum:
        raise BadFrame(offset, "checksum mismatch in the record")
    return Frame(offset, end, term, seq, synced), body


def _decode_frame(data: bytes, at: int, seed: int) -> tuple[int, int, int, int, int] | None:
    """Return (body length, body checksum, term, seq, synced) if an intact header is at ``at``."""
    head_end = at + _FRAME.size
    if len(data) < at + FRAME_HEADER_BYTES or not data.startswith(_FRAME_MAGIC, at):
        return None
    if crc32c(data[at:head_end], seed) != _CHECKSUM.unpack_from(data, head_end)[0]:
        return None
    _, length, checksum, term, seq, synced = _FRAME.unpack_from(data, at)
    return length, checksum, term, seq, synced


def synced_claim(file: BinaryIO, offset: int, seed: int) -> int:
    """Return the highest ``synced`` of the intact frame headers at or after ``offset``, 0 if none.

    Lengths cannot be trusted here, so headers are found by their magic; reads 1 MiB at a time.
    """
    file.seek(offset)
    claim, data = 0, b""
    while chunk := file.read(_SCAN_BYTES):
        data = data[1 - FRAME_HEADER_BYTES :] + chunk
        at = data.find(_FRAME_MAGIC)
        while at >= 0:
            decoded = _decode_frame(data, at, seed)
            claim = max(claim, decoded[4]) if decoded else claim
            at = data.find(_FRAME_MAGIC, at + 1)
    return claim
