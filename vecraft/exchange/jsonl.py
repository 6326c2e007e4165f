"""JSON lines: a point as REST speaks of it on each line, ``{"id": 1, "vector": [...], "payload": {...}}``.

Positions are bytes of the text. Compressed files (``.gz``) are written as one gzip member per flush, so that
what a kill cut off can be cut off cleanly, and any program reads them.
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from vecraft.exchange.points import BadSource, Batch, Point, in_batches

LINE_BYTES_MAX = 64 << 20

_points = msgspec.json.Decoder(Point)
_encoder = msgspec.json.Encoder()


class _Line(msgspec.Struct, omit_defaults=True):
    id: int | str
    vector: msgspec.Raw
    payload: msgspec.Raw
    shard_key: int | str | None = None


class JsonlSource:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._zipped = path.suffix == ".gz"

    @property
    def end(self) -> int | None:
        return None if self._zipped else self._path.stat().st_size

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        return in_batches(self._read(start), size, unit=f"{self._path.name}, bytes", start=start)

    def _read(self, start: int) -> Iterator[tuple[Point, int]]:
        with self._open() as file:
            file.seek(start)
            position = start
            while line := file.readline(LINE_BYTES_MAX):
                if line.strip():
                    yield self._point(line, position), position + len(line)
                position += len(line)

    def _open(self) -> IO[bytes]:
        return gzip.open(self._path, "rb") if self._zipped else self._path.open("rb")  # type: ignore[return-value]

    def _point(self, line: bytes, position: int) -> Point:
        try:
            return _points.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadSource(f"{self._path}, the line at byte {position} is no point: {error}") from error


class JsonlSink:
    """Appends to ``path``, after ``kept`` bytes of it."""

    def __init__(self, path: Path, *, zipped: bool, kept: int = 0) -> None:
        self._zipped = zipped
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(kept)
        self._file.seek(kept)
        self._lines = io.BytesIO()

    def write(self, points: list[Point]) -> None:
        lines = (_Line(each.id, each.vector, each.payload, each.shard_key) for each in points)
        self._lines.write(_encoder.encode_lines(list(lines)))

    def flush(self) -> dict[str, int]:
        """Make durable what was written. Returns what ``kept`` needs to be to go on from here."""
        text = self._lines.getvalue()
        self._lines = io.BytesIO()
        self._file.write(gzip.compress(text, compresslevel=1) if self._zipped and text else text)
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"bytes": self._file.tell()}

    def finish(self) -> None:
        self.flush()
        self._file.close()

    def abandon(self) -> None:
        self._file.close()
