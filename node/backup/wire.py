"""What coordinator and primaries say to each other. Every request and answer begins with a format byte.

``CUT`` is a stream that lasts as long as the coordinator needs the shard's files: ``Prepared``, then, after
``HOLD``, ``Held``, after ``RELEASE`` ``CutFiles``, then nothing until the coordinator ends it. ``HOLD``,
``CONFIRM``, ``RELEASE`` (all ``CutRef``, the answer is empty) and ``FILE`` (``FileRef``, a stream of bytes)
go beside it.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from node.backup.barrier import CutAt
from protos.errors import BadRequest
from protos.structs import learn

FORMAT = 1
CUT, HOLD, CONFIRM, RELEASE = "backup.cut", "backup.hold", "backup.confirm", "backup.release"
FILE = "backup.file"

T = TypeVar("T")


class CutRequest(Struct, frozen=True, array_like=True):
    """``cut`` names one try; ``term``: the shard's, as the coordinator knows it."""

    cut: str
    collection: str
    shard_id: int
    term: int


class CutRef(Struct, frozen=True, array_like=True):
    cut: str
    collection: str
    shard_id: int


class FileRef(Struct, frozen=True, array_like=True):
    cut: str
    collection: str
    shard_id: int
    path: str


class Prepared(Struct, frozen=True, array_like=True):
    """No checkpoint is under way, and most of what the next one needs is on disk."""


class Held(Struct, frozen=True, array_like=True):
    at: CutAt


class CutFile(Struct, frozen=True):
    """``path``: below the replica's directory. ``sha256`` in lower-case hex."""

    path: str
    size: int
    sha256: str


class CutFiles(Struct, frozen=True, array_like=True):
    points: int
    files: tuple[CutFile, ...]


def encode(message: Struct) -> bytes:
    return bytes([FORMAT]) + msgspec.msgpack.encode(message)


def decode(data: bytes, kind: type[T]) -> T:
    """Raises: BadRequest."""
    if data[:1] != bytes([FORMAT]):
        raise BadRequest(f"a message of format {data[:1]!r}, this program knows {FORMAT}")
    try:
        return msgspec.msgpack.decode(memoryview(data)[1:], type=kind)
    except msgspec.DecodeError as error:
        raise BadRequest(f"not a {kind.__name__}: {error}") from error


learn(CutRequest, CutRef, FileRef, Prepared, Held, CutFiles)
