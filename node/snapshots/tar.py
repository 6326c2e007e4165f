"""Uncompressed tar, one regular file after another, written and read as a stream.

Only what an archive of ours has is read: regular files, whose names may be long. Anything else (links,
devices, sparse files, extended headers) is refused before a byte of it is looked at, so that no archive can
make this program allocate, follow or create what it should not. Headers are the library's (``tarfile``).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from typing import Protocol

CHUNK_BYTES = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_NAME_BYTES_MAX = 4096
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)


class ArchiveDamaged(Exception):
    """It is no tar, it is cut short, or it holds what no archive of ours does."""


class Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class TarWriter:
    """``end`` completes the archive; the sink stays open."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def add(self, name: str, size: int, chunks: Iterable[bytes], *, unix_s: int = 0) -> None:
        """Raises: ValueError if the chunks are not ``size`` bytes; what ``chunks`` and the sink raise."""
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, unix_s, 0o644
        self._sink.write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        written = 0
        for chunk in chunks:
            written += len(chunk)
            self._sink.write(chunk)
        if written != size:
            raise ValueError(f"{name} has {written} bytes, not {size} as was said")
        self._sink.write(bytes(-size % _BLOCK))

    def end(self) -> None:
        self._sink.write(bytes(2 * _BLOCK))


class Member:
    """One file of an archive, to be read before the next one is asked for."""

    def __init__(self, name: str, size: int, source: Source) -> None:
        self.name, self.size = name, size
        self._source, self._left = source, size

    def chunks(self) -> Iterator[bytes]:
        """Raises: ArchiveDamaged."""
        while self._left:
            data = _exactly(self._source, min(self._left, CHUNK_BYTES))
            self._left -= len(data)
            yield data

    def exactly(self, size: int) -> bytes:
        """The next bytes. Raises: ArchiveDamaged, also if there are not so many."""
        if size > self._left:
            raise ArchiveDamaged(f"{self.name!r} has only {self.size} bytes")
        self._left -= size
        return _exactly(self._source, size)

    def whole(self, bytes_max: int) -> bytes:
        """Raises: ArchiveDamaged, also if it is larger than that."""
        if self.size > bytes_max:
            raise ArchiveDamaged(f"{self.name!r} has {self.size} bytes, {bytes_max} are the most")
        return b"".join(self.chunks())


def members(source: Source) -> Iterator[Member]:
    """The files of an archive in order, up to its end mark; what is behind that is not looked at.

    Raises: ArchiveDamaged.
    """
    while (info := _next_header(source)) is not None:
        name = info.name
        if info.type == tarfile.GNUTYPE_LONGNAME:
            name = _long_name(source, info)
            info = _next_header(source)
            if info is None:
                raise ArchiveDamaged("a name without a file")
        if info.type not in _REGULAR or info.size < 0:
            raise ArchiveDamaged(f"{name!r} is no regular file")
        member = Member(name, info.size, source)
        yield member
        for _ in member.chunks():
            pass  # what its reader left
        _exactly(source, -info.size % _BLOCK)


def _next_header(source: Source) -> tarfile.TarInfo | None:
    block = _exactly(source, _BLOCK)
    if not any(block):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ArchiveDamaged(f"not a tar archive, or damaged: {error}") from error


def _long_name(source: Source, info: tarfile.TarInfo) -> str:
    data = Member("a long name", info.size, source).whole(_NAME_BYTES_MAX)
    _exactly(source, -info.size % _BLOCK)
    return data.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _exactly(source: Source, size: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        raise ArchiveDamaged("it is cut short")
    return data
