"""NumPy arrays: a matrix as it is (``vectors.npy``), or a folder that holds whole points.

A folder has ``manifest.json`` (its version, the vectors by name) and, with a row per point,

    ids.npy                     texts (S36): digits or a UUID
    payloads.jsonl              a JSON object or null on each line
    shard_keys.jsonl            likewise, where a collection has shard keys
    vector[.NAME].npy           dense: (points, dim) float32; a row of NaN: the point has none
                                several per point: (all, dim), and in vector[.NAME].starts.npy where each
                                point's begin (points + 1); none: the point has none
                                sparse: .starts.npy, .indices.npy, .values.npy, and .present.npy (points,)

Positions are rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson
from msgspec import Raw, Struct

from vecraft.exchange.points import (
    NULL,
    BadSource,
    Batch,
    Point,
    PointId,
    VectorKind,
    in_batches,
    numbered_id,
    vector_json,
)

VERSION = 1
MANIFEST = "manifest.json"
READ_ROWS = 1024

Array = npt.NDArray[Any]
Rows = Callable[[int], Raw | None]  # the JSON text of a row's vector; None: it has none


class Manifest(Struct, frozen=True):
    version: int
    points: int
    vectors: dict[str, VectorKind]
    shard_keys: bool = False


def dense_json(row: Array) -> Raw:
    return Raw(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY))


# --- reading ---------------------------------------------------------------------------------------------


class MatrixSource:
    """One matrix of dense vectors, or a stack of matrices (n, m, dim) of several per point.

    Args:
        ids: an array of numbers or texts; None: the row number plus ``first_id``.
        payloads: JSON lines, one per row.
        name: of the vector; "" is the unnamed one.
    """

    def __init__(
        self, path: Path, *, ids: Path | None, first_id: int, payloads: Path | None, name: str
    ) -> None:
        self._path = path
        self._rows = _mapped(path)
        if self._rows.ndim not in (2, 3) or self._rows.dtype.kind not in "fiu":
            shape = f"{self._rows.dtype} {self._rows.shape}"
            raise BadSource(f"{path} must hold a matrix of numbers, a row per point; it holds {shape}")
        self._ids = None if ids is None else _mapped(ids)
        if self._ids is not None and self._ids.shape != (len(self._rows),):
            raise BadSource(
                f"{ids} must hold {len(self._rows)} ids, as {path} has rows; it holds {self._ids.shape}"
            )
        self._first_id = first_id
        self._payloads = payloads
        self._name = name

    @property
    def end(self) -> int | None:
        return len(self._rows)

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        return in_batches(self._read(start), size, unit=f"{self._path.name}, rows", start=start)

    def _read(self, start: int) -> Iterator[tuple[Point, int]]:
        payloads = itertools.repeat(NULL) if self._payloads is None else _json_lines(self._payloads, start)
        for begin in range(start, len(self._rows), READ_ROWS):
            block = self._rows[begin : begin + READ_ROWS]
            block = np.ascontiguousarray(block, np.float32 if block.dtype.kind == "f" else block.dtype)
            for row, vector in enumerate(block, begin):
                payload = next(payloads, None)
                if payload is None:
                    raise BadSource(f"{self._payloads} has fewer lines than {self._path} has rows")
                yield Point(self._id(row), vector_json({self._name: dense_json(vector)}), payload), row + 1

    def _id(self, row: int) -> PointId:
        return row + self._first_id if self._ids is None else array_id(self._ids[row])


class FolderSource:
    """What ``ArraySink`` wrote. Raises: BadSource."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
        except (OSError, msgspec.DecodeError) as error:
            raise BadSource(f"{path / MANIFEST} cannot be read: {error}") from error
        if self._manifest.version != VERSION:
            raise BadSource(f"{path} has version {self._manifest.version}; {VERSION} is known here")

    @property
    def end(self) -> int | None:
        return self._manifest.points

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        return in_batches(self._read(start), size, unit=f"{self._path.name}, rows", start=start)

    def _read(self, start: int) -> Iterator[tuple[Point, int]]:
        ids = _mapped(self._path / "ids.npy")
        vectors = {name: self._rows_of(name, kind) for name, kind in self._manifest.vectors.items()}
        payloads = _json_lines(self._path / "payloads.jsonl", start)
        keys: Iterator[Raw] = itertools.repeat(NULL)
        if self._manifest.shard_keys:
            keys = _json_lines(self._path / "shard_keys.jsonl", start)
        for row, payload, key in zip(range(start, self._manifest.points), payloads, keys):
            found = {name: text for name, rows in vectors.items() if (text := rows(row)) is not None}
            point = Point(array_id(ids[row]), vector_json(found), payload, orjson.loads(bytes(key)))
            yield point, row + 1

    def _rows_of(self, name: str, kind: VectorKind) -> Rows:
        stem = self._path / stem_of(name)
        if kind.kind == "dense":
            matrix = _mapped(stem.with_name(f"{stem.name}.npy"))
            return lambda row: (
                None if np.isnan(matrix[row, 0]) else dense_json(np.ascontiguousarray(matrix[row]))
            )
        starts = _mapped(stem.with_name(f"{stem.name}.starts.npy"))
        if kind.kind == "multi":
            rows = _mapped(stem.with_name(f"{stem.name}.npy"))
            return lambda row: _part(rows, starts, row) if starts[row] < starts[row + 1] else None
        indices = _mapped(stem.with_name(f"{stem.name}.indices.npy"))
        values = _mapped(stem.with_name(f"{stem.name}.values.npy"))
        present = _mapped(stem.with_name(f"{stem.name}.present.npy"))

        def sparse(row: int) -> Raw | None:
            if not present[row]:
                return None
            parts = {"indices": _part(indices, starts, row), "values": _part(values, starts, row)}
            return Raw(msgspec.json.encode(parts))

        return sparse


def array_id(value: Any) -> PointId:
    if isinstance(value, bytes | str):
        return numbered_id(value.decode() if isinstance(value, bytes) else value)
    return int(value)


def _part(rows: Array, starts: Array, row: int) -> Raw:
    return dense_json(np.ascontiguousarray(rows[starts[row] : starts[row + 1]]))


def _mapped(path: Path) -> Array:
    """Raises: BadSource."""
    try:
        found: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BadSource(f"{path} cannot be read as a NumPy array: {error}") from error
    return found


def _json_lines(path: Path, start: int) -> Iterator[Raw]:
    """The lines from number ``start`` (from 0). Raises: BadSource."""
    decode = msgspec.json.Decoder(Raw).decode
    try:
        with path.open("rb") as file:
            for number, line in enumerate(itertools.islice(file, start, None), start):
                try:
                    yield Raw(bytes(decode(line)))
                except msgspec.DecodeError as error:
                    raise BadSource(f"{path}, line {number + 1} is no JSON: {error}") from error
    except OSError as error:
        raise BadSource(f"{path} cannot be read: {error}") from error


def stem_of(name: str) -> str:
    """How the files of a vector are called."""
    return f"vector.{name}" if name else "vector"
