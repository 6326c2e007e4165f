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

import io
import itertools
import os
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
    Shape,
    VectorKind,
    in_batches,
    numbered_id,
    vector_json,
    vectors_by_name,
)

VERSION = 1
MANIFEST = "manifest.json"
READ_ROWS = 1024
_TEXT_ID = np.dtype("S36")

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
        stem = self._path / _stem(name)
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


# --- writing ---------------------------------------------------------------------------------------------


class ArraySink:
    """Writes a folder at ``path``. ``kept``: what ``flush`` returned, to go on from there."""

    def __init__(self, path: Path, shape: Shape, kept: dict[str, int] | None = None) -> None:
        path.mkdir(exist_ok=True)
        self._path = path
        self._shape = shape
        self._kept = kept or {}
        self._ids = self._array("ids.npy", _TEXT_ID)
        self._payloads = self._text("payloads.jsonl")
        self._keys = self._text("shard_keys.jsonl") if shape.shard_keys else None
        self._columns = {name: self._column(name, kind) for name, kind in shape.vectors.items()}

    def write(self, points: list[Point]) -> None:
        self._ids.append(np.array([str(each.id).encode() for each in points], _TEXT_ID))
        self._payloads.append(b"".join(bytes(each.payload) + b"\n" for each in points))
        if self._keys is not None:
            self._keys.append(b"".join(orjson.dumps(each.shard_key) + b"\n" for each in points))
        vectors = [vectors_by_name(each) for each in points]
        for name, column in self._columns.items():
            column.append([each.get(name) for each in vectors])

    def flush(self) -> dict[str, int]:
        """Make durable what was written. Returns how much that is, by file."""
        return {file.name: file.flush() for file in self._files()}

    def finish(self) -> None:
        kept = self.flush()
        for file in self._files():
            file.close()
        points = kept["ids.npy"]
        manifest = Manifest(VERSION, points, self._shape.vectors, self._shape.shard_keys)
        (self._path / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))

    def abandon(self) -> None:
        for file in self._files():
            file.close()

    def _files(self) -> list[_Growing]:
        texts = [self._payloads] if self._keys is None else [self._payloads, self._keys]
        return [self._ids, *texts, *(file for column in self._columns.values() for file in column.files)]

    def _array(self, name: str, dtype: npt.DTypeLike, width: tuple[int, ...] = ()) -> _GrowingArray:
        return _GrowingArray(self._path / name, np.dtype(dtype), width, self._kept.get(name, 0))

    def _text(self, name: str) -> _GrowingText:
        return _GrowingText(self._path / name, self._kept.get(name, 0))

    def _column(self, name: str, kind: VectorKind) -> _Column:
        stem = _stem(name)
        if kind.kind == "dense":
            return _DenseColumn(self._array(f"{stem}.npy", np.float32, (kind.dim,)))
        starts = self._array(f"{stem}.starts.npy", np.int64)
        if kind.kind == "multi":
            return _MultiColumn(self._array(f"{stem}.npy", np.float32, (kind.dim,)), starts)
        indices, values = (
            self._array(f"{stem}.indices.npy", np.uint32),
            self._array(f"{stem}.values.npy", np.float32),
        )
        return _SparseColumn(indices, values, starts, self._array(f"{stem}.present.npy", np.bool_))


class _Growing:
    """A file that grows. ``kept``: how much of what it holds stays."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._file = path.open("r+b" if path.exists() else "w+b")

    def flush(self) -> int:
        """Make it durable. Returns how much it holds."""
        held = self._held()
        self._file.flush()
        os.fsync(self._file.fileno())
        return held

    def close(self) -> None:
        self._file.close()

    def _held(self) -> int:
        return self._file.tell()

    def _begin(self, offset: int) -> None:
        self._file.truncate(offset)
        self._file.seek(offset)


class _GrowingText(_Growing):
    def __init__(self, path: Path, kept: int) -> None:
        super().__init__(path)
        self._begin(kept)

    def append(self, text: bytes) -> None:
        self._file.write(text)


class _GrowingArray(_Growing):
    """``kept`` counts rows. NumPy leaves room in the header for the number of rows to grow."""

    def __init__(self, path: Path, dtype: np.dtype[Any], width: tuple[int, ...], kept: int) -> None:
        super().__init__(path)
        self._dtype, self._width, self.rows = dtype, width, kept
        header = self._header()
        self._file.write(header)
        self._begin(len(header) + kept * dtype.itemsize * int(np.prod(width, initial=1)))

    def append(self, rows: Array) -> None:
        assert rows.shape[1:] == self._width
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
        self.rows += len(rows)

    def _held(self) -> int:
        end = self._file.tell()
        self._file.seek(0)
        self._file.write(self._header())
        self._file.seek(end)
        return self.rows

    def _header(self) -> bytes:
        header = io.BytesIO()
        described = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.rows, *self._width),
        }
        np.lib.format.write_array_header_1_0(header, described)
        return header.getvalue()


class _Column:
    """The vectors of one name."""

    files: list[_Growing]

    def append(self, vectors: list[Any]) -> None:
        raise NotImplementedError


class _DenseColumn(_Column):
    def __init__(self, rows: _GrowingArray) -> None:
        self._rows = rows
        self.files = [rows]
        self._none = [float("nan")] * rows._width[0]

    def append(self, vectors: list[Any]) -> None:
        self._rows.append(np.array([self._none if each is None else each for each in vectors], np.float32))


class _MultiColumn(_Column):
    def __init__(self, rows: _GrowingArray, starts: _GrowingArray) -> None:
        self._rows, self._starts = rows, starts
        self.files = [rows, starts]
        _begin_starts(starts)

    def append(self, vectors: list[Any]) -> None:
        self._starts.append(_starts_after(self._rows.rows, vectors))
        rows = [row for each in vectors if each is not None for row in each]
        if rows:
            self._rows.append(np.array(rows, np.float32))


class _SparseColumn(_Column):
    def __init__(
        self, indices: _GrowingArray, values: _GrowingArray, starts: _GrowingArray, present: _GrowingArray
    ) -> None:
        self._indices, self._values, self._starts, self._present = indices, values, starts, present
        self.files = [indices, values, starts, present]
        _begin_starts(starts)

    def append(self, vectors: list[Any]) -> None:
        indices = [None if each is None else each["indices"] for each in vectors]
        self._starts.append(_starts_after(self._indices.rows, indices))
        self._present.append(np.array([each is not None for each in vectors], np.bool_))
        held = [each for each in vectors if each is not None]
        self._indices.append(np.array([index for each in held for index in each["indices"]], np.uint32))
        self._values.append(np.array([value for each in held for value in each["values"]], np.float32))


def _begin_starts(starts: _GrowingArray) -> None:
    if not starts.rows:
        starts.append(np.zeros(1, np.int64))


def _starts_after(held: int, parts: list[list[Any] | None]) -> Array:
    lengths = [0 if part is None else len(part) for part in parts]
    return held + np.cumsum(lengths, dtype=np.int64)


def _stem(name: str) -> str:
    return f"vector.{name}" if name else "vector"
