"""Points as they travel, and batches of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec
import orjson
from msgspec import Raw, Struct

from vecraft.exits import CommandFailed

BATCH_BYTES_MAX = 8 << 20  # of JSON; servers take 32 MiB by default
NULL = Raw(b"null")

PointId = int | str


class Point(Struct):
    """``vector`` and ``payload`` are JSON texts, as the server takes and gives them."""

    id: PointId
    vector: Raw
    payload: Raw = NULL
    shard_key: int | str | None = None

    def size(self) -> int:
        return len(bytes(self.vector)) + len(bytes(self.payload))


class Batch(Struct):
    """``end``: the position behind its last point; ``where`` names the points to a person."""

    points: list[Point]
    end: int
    where: str


class Source(Protocol):
    """Points in a file. ``end``: the position behind the last one; None: not known before it is read."""

    @property
    def end(self) -> int | None: ...

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        """From position ``start``, ``size`` points at most each. Raises: BadSource."""
        ...


class BadSource(CommandFailed):
    """A file does not hold what its format says; the text names the place."""


class VectorKind(Struct, frozen=True):
    """``dim``: of dense vectors and of each of several; 0 for sparse ones."""

    kind: str  # dense, multi, sparse
    dim: int = 0


class Shape(Struct, frozen=True):
    """What the points of a collection have: vectors by name ("" is the unnamed one), shard keys or not."""

    vectors: dict[str, VectorKind]
    shard_keys: bool = False


def shape_of(params: dict[str, Any]) -> Shape:
    """From ``config.params`` of a collection's description."""
    vectors = params.get("vectors") or {}
    named = {"": vectors} if "size" in vectors else vectors
    kinds = {
        name: VectorKind("multi" if vector.get("multivector_config") else "dense", vector["size"])
        for name, vector in named.items()
    }
    kinds |= {name: VectorKind("sparse") for name in params.get("sparse_vectors") or {}}
    return Shape(kinds, params.get("sharding_method") == "custom")


def vectors_by_name(point: Point) -> dict[str, Any]:
    """The decoded vectors of a point, by name."""
    found = orjson.loads(bytes(point.vector))
    if isinstance(found, list):
        return {"": found}
    return found or {}


def vector_json(vectors: dict[str, Raw]) -> Raw:
    """The JSON text of a point's vectors, by name; the unnamed one stands alone."""
    if "" in vectors and len(vectors) == 1:
        return vectors[""]
    return Raw(msgspec.json.encode(vectors))


def numbered_id(text: str) -> PointId:
    """Digits are a number; all else is left to the server to judge."""
    return int(text) if text.isascii() and text.isdigit() else text


def in_batches(points: Iterable[tuple[Point, int]], size: int, *, unit: str, start: int) -> Iterator[Batch]:
    """Gather points with the positions behind them, bounded in number and bytes."""
    gathered: list[Point] = []
    weight, begin, end = 0, start, start
    for point, end in points:
        gathered.append(point)
        weight += point.size()
        if len(gathered) == size or weight >= BATCH_BYTES_MAX:
            yield Batch(gathered, end, f"{unit} {begin} to {end}")
            gathered, weight, begin = [], 0, end
    if gathered:
        yield Batch(gathered, end, f"{unit} {begin} to {end}")
