"""Writing the folder of arrays that ``vecraft.exchange.arrays`` describes and reads.

Every file only grows, and says at each flush how much of it counts: so an export that was killed goes on by
cutting each file back to that.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from vecraft.exchange.arrays import MANIFEST, VERSION, Array, Manifest, stem_of
from vecraft.exchange.points import Point, Shape, VectorKind, vectors_by_name

_TEXT_ID = np.dtype("S36")


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
        stem = stem_of(name)
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
