"""Messages on a stream: a flag, a length, the bytes; and their compression."""

from __future__ import annotations

import asyncio
import zlib
from typing import NamedTuple

from grpc import StatusCode

PREFIX_BYTES = 5
GZIP, DEFLATE, IDENTITY = "gzip", "deflate", "identity"
# A message grows no further than this when it is inflated, whatever its sender made of it.
INFLATED_BYTES_MAX = 1 << 29
THREAD_FROM_BYTES = 32 * 1024  # from here on compression costs more than a hop to a thread

_WINDOW_BITS = {GZIP: 16 + zlib.MAX_WBITS, DEFLATE: zlib.MAX_WBITS}
_LEVEL = 1  # the time spent compressing is taken from searching


class Refused(Exception):
    """A call that is not answered but with a status."""

    def __init__(self, code: StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Framed(NamedTuple):
    compressed: bool
    body: bytes


class Assembler:
    """Puts the messages of one stream together. ``wanted``: bytes of the one that has begun, its prefix
    included, as far as they are known."""

    __slots__ = ("_held", "_parts", "wanted")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held, self.wanted = 0, PREFIX_BYTES

    @property
    def between(self) -> bool:
        """Has no message begun that is not complete?"""
        return not self._held

    def feed(self, data: bytes) -> list[Framed]:
        """The messages that ``data`` completes. Raises: Refused if it is none."""
        if not self._held and len(data) >= PREFIX_BYTES and len(data) == _size(data):
            return [_framed(data[0], data[PREFIX_BYTES:])]  # by far the most frequent
        self._parts.append(data)
        self._held += len(data)
        return self._complete() if self._held >= self.wanted else []

    def _complete(self) -> list[Framed]:
        data, at, found = b"".join(self._parts), 0, []
        while len(data) - at >= PREFIX_BYTES:
            self.wanted = _size(data, at)
            if len(data) - at < self.wanted:
                break
            found.append(_framed(data[at], data[at + PREFIX_BYTES : at + self.wanted]))
            at += self.wanted
            self.wanted = PREFIX_BYTES
        rest = data[at:] if at else data
        self._parts, self._held = [rest] if rest else [], len(rest)
        return found


def _size(data: bytes, at: int = 0) -> int:
    return PREFIX_BYTES + int.from_bytes(data[at + 1 : at + PREFIX_BYTES], "big")


def _framed(flag: int, body: bytes) -> Framed:
    if flag > 1:
        raise Refused(StatusCode.INTERNAL, f"a message begins with the flag {flag}, which nobody has defined")
    return Framed(flag == 1, body)


def frame(body: bytes, *, compressed: bool = False) -> bytes:
    return b"%c%b%b" % (compressed, len(body).to_bytes(4, "big"), body)


async def plain(message: Framed, encoding: str) -> bytes:
    """Its bytes as they were before ``encoding``. Raises: Refused."""
    if not message.compressed:
        return message.body
    if encoding == IDENTITY:
        raise Refused(StatusCode.INTERNAL, "a message is compressed, and grpc-encoding does not say how")
    if len(message.body) < THREAD_FROM_BYTES:
        return _inflated(message.body, encoding)
    return await asyncio.to_thread(_inflated, message.body, encoding)


def _inflated(body: bytes, encoding: str) -> bytes:
    unpacker = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        found = unpacker.decompress(body, INFLATED_BYTES_MAX)
    except zlib.error as error:
        raise Refused(StatusCode.INTERNAL, f"a message is not {encoding}: {error}") from error
    if unpacker.unconsumed_tail:
        raise Refused(
            StatusCode.RESOURCE_EXHAUSTED, f"a message has more than {INFLATED_BYTES_MAX} bytes, inflated"
        )
    if not unpacker.eof:
        raise Refused(StatusCode.INTERNAL, f"a message is not {encoding}: it ends too early")
    return found


async def gzipped(body: bytes) -> bytes:
    return _gzip(body) if len(body) < THREAD_FROM_BYTES else await asyncio.to_thread(_gzip, body)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS[GZIP])
    return packer.compress(body) + packer.flush()
