"""Which format a path has, and its source or sink. pyarrow is imported by who meets Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from vecraft.exchange.points import Point, Shape, Source
from vecraft.exits import MISUSED, CommandFailed

FORMATS = ("jsonl", "numpy", "parquet")
_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".npy": "numpy",
    ".numpy": "numpy",
    ".parquet": "parquet",
}


class Sink(Protocol):
    def write(self, points: list[Point]) -> None: ...

    def flush(self) -> dict[str, int] | None:
        """Make durable what was written: what ``sink`` needs to go on from here. None: not possible yet."""
        ...

    def finish(self) -> None: ...

    def abandon(self) -> None: ...


class Reading(Struct, frozen=True, kw_only=True):
    """How a source is read, where its format does not say.

    Attributes:
        ids: NumPy: a file of ids.
        id_column: Parquet.
        first_id: of the first row, where rows have no ids.
        vectors: Parquet: columns by the name of their vector.
        vector_name: NumPy: of a matrix.
        payloads: NumPy: a file of JSON lines.
        payload_column: Parquet: of JSON objects.
    """

    ids: Path | None = None
    id_column: str | None = None
    first_id: int = 0
    vectors: dict[str, str] = {}
    vector_name: str = ""
    payloads: Path | None = None
    payload_column: str | None = None


def format_of(path: Path, given: str | None) -> str:
    """Raises: CommandFailed if neither the path nor ``given`` tells it."""
    if given is not None:
        return given
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if path.is_dir():
        return "numpy" if (path / "manifest.json").exists() else "parquet"
    raise CommandFailed(f"the format of {path} does not show in its name; give --format", status=MISUSED)


def source(path: Path, form: str, reading: Reading) -> Source:
    """Raises: BadSource; CommandFailed if pyarrow is needed and missing."""
    if not path.exists():
        raise CommandFailed(f"{path} does not exist")
    if form == "jsonl":
        from vecraft.exchange.jsonl import JsonlSource

        return JsonlSource(path)
    if form == "parquet":
        made: Source = _parquet().ParquetSource(
            path,
            id_column=reading.id_column,
            first_id=reading.first_id,
            vectors=reading.vectors,
            payload_column=reading.payload_column,
        )
        return made
    from vecraft.exchange.arrays import FolderSource, MatrixSource

    if path.is_dir():
        return FolderSource(path)
    return MatrixSource(
        path,
        ids=reading.ids,
        first_id=reading.first_id,
        payloads=reading.payloads,
        name=reading.vector_name,
    )


def sink(path: Path, form: str, shape: Shape, *, zipped: bool, kept: dict[str, int]) -> Sink:
    """Written at ``path``, from where ``kept`` says on."""
    if form == "jsonl":
        from vecraft.exchange.jsonl import JsonlSink

        return JsonlSink(path, zipped=zipped, kept=kept.get("bytes", 0))
    if form == "parquet":
        made: Sink = _parquet().ParquetSink(path, shape, kept.get("files", 0))
        return made
    from vecraft.exchange.array_sink import ArraySink

    return ArraySink(path, shape, kept)


def _parquet() -> Any:
    """Raises: CommandFailed."""
    try:
        from vecraft.exchange import parquet
    except ImportError as error:
        raise CommandFailed("Parquet needs pyarrow: pip install 'vecraft[arrow]'") from error
    return parquet
