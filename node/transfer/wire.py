"""The bytes of a base on its way: a stream of parts, in order.

A part is its kind (one byte), a checksum, and a body. The checksum is the CRC-32C of kind and body, begun
with that of the part before: so parts that were changed, lost, doubled or exchanged all show. A stream is

  ``h``  the header: the format (one byte), then a ``Header`` in msgpack;
  ``f``  a file begins: ``FileStart``; then ``d``, its bytes, at most ``CHUNK_BYTES`` at a time;
  ``r``  in place of files: a ``RecordBatch``;
  ``e``  the end, without which nothing is complete.

The request that asks for one is a format byte and a ``BaseRequest``.
"""

from __future__ import annotations

import enum
from typing import TypeVar

import msgspec
from crc32c import crc32c
from msgspec import Struct

from protos.structs import learn

FORMAT = 1
CHUNK_BYTES = 1 << 20

HEADER, FILE, DATA, RECORDS, END = b"h", b"f", b"d", b"r", b"e"
_BODY_AT = 5

T = TypeVar("T")


class BaseRefused(Exception):
    """What came in is no base that this program can take: damaged, incomplete, of an unknown format, or
    with files that no base has."""


class Form(enum.Enum):
    """What a base is sent as. ``FILES``: a replica's files, graphs included; ``RECORDS``: points alone."""

    FILES = "files"
    RECORDS = "records"


class BaseRequest(Struct, frozen=True, array_like=True):
    """``epoch`` is the transfer's (``consensus.state.Transfer``)."""

    collection: str
    shard_id: int
    epoch: int
    form: Form = Form.FILES


class Header(Struct, frozen=True):
    """``seq``: of the last operation that the base has, -1: none; ``term``: of that operation.

    ``points``: how many there are. For files, ``files`` and ``total_bytes`` are those that follow. For
    records, ``total_bytes`` is the size of the source's point store, ``meta`` its checkpoint's record
    (``node.replica.checkpoint``); empty: it never had one.
    """

    seq: int
    term: int
    points: int
    form: Form = Form.FILES
    files: int = 0
    total_bytes: int = 0
    meta: bytes = b""


class FileStart(Struct, frozen=True, array_like=True):
    path: str
    size: int


class VectorRows(Struct, frozen=True, array_like=True):
    """Vectors of one name, as stored, of those points of a batch that have one, in little-endian C order.

    ``data``: dense (m, dim), multi (sum of counts, dim), sparse (sum of counts,); ``present``: packed bits,
    little bit order, one per point; ``counts`` uint32 (m,) and ``indices`` as in ``VectorBatch``.
    """

    name: str
    data: bytes
    present: bytes
    counts: bytes = b""
    indices: bytes = b""


class RecordBatch(Struct, frozen=True, array_like=True):
    """n points by ascending ``keys`` (``protos.ids.id_key``). ``versions``: little-endian uint64 (n,)."""

    keys: list[bytes]
    versions: bytes
    payloads: list[bytes]
    vectors: list[VectorRows]


class Packing:
    """Makes parts of one stream."""

    def __init__(self) -> None:
        self._checksum = 0

    def part(self, kind: bytes, body: bytes = b"") -> bytes:
        self._checksum = crc32c(body, crc32c(kind, self._checksum))
        return b"".join((kind, self._checksum.to_bytes(4, "little"), body))

    def header(self, header: Header) -> bytes:
        return self.part(HEADER, bytes([FORMAT]) + msgspec.msgpack.encode(header))

    def struct(self, kind: bytes, body: Struct) -> bytes:
        return self.part(kind, msgspec.msgpack.encode(body))


class Unpacking:
    """Takes parts of one stream apart. Every method raises BaseRefused."""

    def __init__(self) -> None:
        self._checksum = 0
        self._parts = 0

    def part(self, data: bytes) -> tuple[bytes, memoryview]:
        """The kind and the body."""
        self._parts += 1
        kind, body = data[:1], memoryview(data)[_BODY_AT:]
        self._checksum = crc32c(body, crc32c(kind, self._checksum))
        if len(data) < _BODY_AT or data[1:_BODY_AT] != self._checksum.to_bytes(4, "little"):
            raise BaseRefused(f"part {self._parts} is damaged, or another one was expected here")
        return kind, body

    def header(self, data: bytes) -> Header:
        kind, body = self.part(data)
        if kind != HEADER or not body:
            raise BaseRefused(f"it begins with a part of kind {kind!r}, not with a header")
        if body[0] != FORMAT:
            raise BaseRefused(f"it has format {body[0]}, this program knows {FORMAT}")
        return decoded(body[1:], Header)


def decoded(body: bytes | memoryview, type: type[T]) -> T:
    """Raises: BaseRefused."""
    try:
        return msgspec.msgpack.decode(body, type=type)
    except msgspec.DecodeError as error:
        raise BaseRefused(f"a part of it is no {type.__name__}: {error}") from error


def encode_request(request: BaseRequest) -> bytes:
    return bytes([FORMAT]) + msgspec.msgpack.encode(request)


def decode_request(data: bytes) -> BaseRequest:
    """Raises: BaseRefused."""
    if data[:1] != bytes([FORMAT]):
        raise BaseRefused(f"the request has format {data[:1]!r}, this program knows {FORMAT}")
    return decoded(memoryview(data)[1:], BaseRequest)


learn(Header, BaseRequest)  # and what `decoded` is asked for: where it is asked
