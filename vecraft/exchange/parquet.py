"""Parquet files, by pyarrow (``pip install vecraft[arrow]``).

Written is a folder of files, each complete once its name ends in ``.parquet``; columns:

    id              text: digits or a UUID
    vector[.NAME]   dense: a list of fixed size; several per point: a list of these;
                    sparse: a struct {indices, values}; null: the point has none
    payload         text: a JSON object or null
    shard_key       text: JSON, where a collection has shard keys

Read are such folders and any other Parquet files: ids from a column of numbers or texts (else the number of
the row), vectors from columns named as above or as the caller says, and every other column as a key of the
payload. Positions are rows over all files of a folder, by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Raw

from vecraft.exchange.arrays import Rows, array_id, dense_json
from vecraft.exchange.points import (
    NULL,
    BadSource,
    Batch,
    Point,
    Shape,
    VectorKind,
    in_batches,
    vector_json,
    vectors_by_name,
)

VERSION = b"1"
VERSION_KEY = b"vecraft.points"
ROWS_PER_FILE = 100_000
READ_ROWS = 1024
ID, VECTOR, PAYLOAD, SHARD_KEY = "id", "vector", "payload", "shard_key"


class ParquetSource:
    """A file, or all ``*.parquet`` of a folder.

    Args:
        id_column: None: ``id`` if there is one, else rows are numbered from ``first_id``.
        vectors: columns by the name of their vector; empty: those called ``vector`` and ``vector.NAME``.
        payload_column: a column of JSON objects; None: ``payload`` if we wrote the files, else every column
            that is nothing else is a key of the payload.
    """

    def __init__(
        self,
        path: Path,
        *,
        id_column: str | None = None,
        first_id: int = 0,
        vectors: Mapping[str, str] | None = None,
        payload_column: str | None = None,
    ) -> None:
        self._path = path
        self._paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not self._paths:
            raise BadSource(f"{path} holds no *.parquet")
        self._rows: list[int] = [self._opened(each).metadata.num_rows for each in self._paths]
        schema = self._opened(self._paths[0]).schema_arrow
        self._ours = (schema.metadata or {}).get(VERSION_KEY)
        if self._ours not in (None, VERSION):
            raise BadSource(f"{path} has version {self._ours!r} of our columns; {VERSION!r} is known here")
        self._id_column = id_column or (ID if ID in schema.names else None)
        self._first_id = first_id
        self._vectors = dict(vectors or _vector_columns(schema.names))
        self._payload_column = payload_column or (PAYLOAD if self._ours else None)
        self._check(schema)

    def _check(self, schema: pa.Schema) -> None:
        named = [self._id_column, self._payload_column, *self._vectors.values()]
        missing = [name for name in named if name is not None and name not in schema.names]
        if missing:
            raise BadSource(
                f"{self._path} has no column {', '.join(missing)}; it has {', '.join(schema.names)}"
            )
        if not self._vectors:
            raise BadSource(f"{self._path} has no column called {VECTOR}; name one by --vector-column")

    @property
    def end(self) -> int | None:
        return sum(self._rows)

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        return in_batches(self._read(start), size, unit=f"{self._path.name}, rows", start=start)

    def _read(self, start: int) -> Iterator[tuple[Point, int]]:
        begin = 0
        for path, rows in zip(self._paths, self._rows):
            if start < begin + rows:
                yield from self._read_file(path, begin, max(start, begin))
            begin += rows

    def _read_file(self, path: Path, begin: int, start: int) -> Iterator[tuple[Point, int]]:
        """Rows from position ``start`` of the file whose first row has position ``begin``."""
        file = self._opened(path)
        groups: list[int] = []
        position = begin
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if groups or position + rows > start:
                groups.append(group)
            else:
                position += rows
        for record in file.iter_batches(READ_ROWS, row_groups=groups):
            if position + len(record) > start:
                skipped = max(0, start - position)
                yield from self._points(record.slice(skipped), position + skipped)
            position += len(record)

    def _points(self, record: pa.RecordBatch, position: int) -> Iterator[tuple[Point, int]]:
        ids = None if self._id_column is None else record.column(self._id_column).to_pylist()
        vectors = {name: _rows_of(record.column(column)) for name, column in self._vectors.items()}
        payloads = self._payloads(record)
        keys = (
            record.column(SHARD_KEY).to_pylist() if self._ours and SHARD_KEY in record.schema.names else None
        )
        for row in range(len(record)):
            found = {name: text for name, rows in vectors.items() if (text := rows(row)) is not None}
            point_id = position + row + self._first_id if ids is None else array_id(ids[row])
            point = Point(point_id, vector_json(found), payloads[row])
            if keys is not None and keys[row] is not None:
                point.shard_key = orjson.loads(keys[row])
            yield point, position + row + 1

    def _payloads(self, record: pa.RecordBatch) -> Sequence[Raw]:
        if self._payload_column is not None:
            texts = record.column(self._payload_column).to_pylist()
            return [NULL if text is None else Raw(text.encode()) for text in texts]
        taken = {self._id_column, *self._vectors.values()}
        rest = [name for name in record.schema.names if name not in taken]
        rows = record.select(rest).to_pylist()
        return [Raw(orjson.dumps(row, default=_plain)) for row in rows]

    def _opened(self, path: Path) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(path, memory_map=True)
        except (OSError, pa.ArrowException) as error:
            raise BadSource(f"{path} cannot be read as Parquet: {error}") from error


def _vector_columns(names: Sequence[str]) -> dict[str, str]:
    prefix = f"{VECTOR}."
    return {
        name.removeprefix(prefix) if name.startswith(prefix) else "": name
        for name in names
        if name == VECTOR or name.startswith(prefix)
    }


def _plain(value: Any) -> Any:
    """What JSON has no form for: decimals and the like as texts, bytes as texts if they are."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _rows_of(column: pa.Array) -> Rows:
    """Each row's vector as JSON, by the column's type. Raises: BadSource."""
    kind = column.type
    if pa.types.is_struct(kind):
        return _sparse_rows(column)
    if _is_list(kind) and _is_list(kind.value_type):
        return lambda row: _matrix(column[row])
    if _is_list(kind) and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        return lambda row: _numbers(column[row])
    raise BadSource(f"a column of {kind} holds no vectors; lists of numbers, lists of these, or structs do")


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _numbers(found: pa.Scalar) -> Raw | None:
    values = found.values
    if values is None:
        return None
    numbers = values.to_numpy(zero_copy_only=False)
    return dense_json(np.ascontiguousarray(numbers, np.float32) if numbers.dtype.kind == "f" else numbers)


def _matrix(found: pa.Scalar) -> Raw | None:
    if found.values is None:
        return None
    rows = [_numbers(each) for each in found.values]
    return Raw(msgspec.json.encode(rows))


def _sparse_rows(column: pa.Array) -> Rows:
    try:
        indices, values = column.field("indices"), column.field("values")
    except KeyError as error:
        raise BadSource(
            f"a column of {column.type} holds no sparse vectors: indices and values do"
        ) from error

    def sparse(row: int) -> Raw | None:
        if not column.is_valid()[row].as_py():
            return None
        parts = {"indices": _numbers(indices[row]), "values": _numbers(values[row])}
        return Raw(msgspec.json.encode(parts))

    return sparse


class ParquetSink:
    """Writes files into the folder ``path``. ``kept``: how many of them stay."""

    def __init__(self, path: Path, shape: Shape, kept: int = 0) -> None:
        path.mkdir(exist_ok=True)
        self._path, self._shape, self._files = path, shape, kept
        self._schema = _schema(shape)
        self._writer: pq.ParquetWriter | None = None
        self._rows = 0
        for number, file in enumerate(sorted(path.iterdir())):
            if number >= kept:
                file.unlink()

    def write(self, points: list[Point]) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._scratch(), self._schema, compression="zstd")
        self._writer.write_batch(_record(points, self._shape, self._schema))
        self._rows += len(points)

    def flush(self) -> dict[str, int] | None:
        """Complete the file once it is large enough. None: it is not, and a kill would cost its rows."""
        return self._complete() if self._rows >= ROWS_PER_FILE else None

    def finish(self) -> None:
        if self._writer is not None or not self._files:
            if self._writer is None:
                self.write([])
            self._complete()

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _complete(self) -> dict[str, int]:
        assert self._writer is not None
        self._writer.close()
        self._writer, self._rows = None, 0
        with self._scratch().open("rb") as file:
            os.fsync(file.fileno())
        self._scratch().rename(self._path / f"points-{self._files:06}.parquet")
        self._files += 1
        return {"files": self._files}

    def _scratch(self) -> Path:
        return self._path / f"points-{self._files:06}.unfinished"


def _schema(shape: Shape) -> pa.Schema:
    fields = [pa.field(ID, pa.string(), nullable=False)]
    fields += [pa.field(_column_name(name), _type_of(kind)) for name, kind in shape.vectors.items()]
    fields.append(pa.field(PAYLOAD, pa.string()))
    if shape.shard_keys:
        fields.append(pa.field(SHARD_KEY, pa.string()))
    return pa.schema(fields, metadata={VERSION_KEY: VERSION})


def _column_name(name: str) -> str:
    return f"{VECTOR}.{name}" if name else VECTOR


def _type_of(kind: VectorKind) -> pa.DataType:
    if kind.kind == "sparse":
        return pa.struct([("indices", pa.list_(pa.uint32())), ("values", pa.list_(pa.float32()))])
    row = pa.list_(pa.float32(), kind.dim)
    return pa.list_(row) if kind.kind == "multi" else row


def _record(points: list[Point], shape: Shape, schema: pa.Schema) -> pa.RecordBatch:
    vectors = [vectors_by_name(each) for each in points]
    columns = [pa.array([str(each.id) for each in points], pa.string())]
    for name, kind in shape.vectors.items():
        found = [each.get(name) for each in vectors]
        columns.append(
            _dense_column(found, kind) if kind.kind == "dense" else pa.array(found, _type_of(kind))
        )
    columns.append(pa.array([bytes(each.payload).decode() for each in points], pa.string()))
    if shape.shard_keys:
        columns.append(pa.array([orjson.dumps(each.shard_key).decode() for each in points], pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _dense_column(vectors: list[list[float] | None], kind: VectorKind) -> pa.Array:
    """By way of numpy: pyarrow takes lists of lists number by number."""
    none = [0.0] * kind.dim
    flat = np.array([none if each is None else each for each in vectors], np.float32).ravel()
    mask = pa.array([each is None for each in vectors], pa.bool_())
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), kind.dim, mask=mask)
