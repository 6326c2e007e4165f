"""Payload indexes on disk.

A save writes each base that is not on disk yet, once, and the small rest of each column anew; every
file has a name of its own, so an earlier manifest stays good until its files are removed. The manifest
is kept by the caller, in the same transaction as the points it belongs to. A base that has been written is
read from its files from then on, so a column takes no memory of its own but for its delta and its bitmaps.

Format 2 added entries for texts and geo points, and the shape of values. Of format 1 those two kinds hold
only which points have any: ``Columns.outdated`` names them.

Lives here: file formats and their checksums. Bases are plain ``.npy`` (mapped on opening, checked by
``verify``), the rest is one ``.npz`` per column (read, and checked, on opening).
"""

from __future__ import annotations

import mmap
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import crc32c
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.filter.columns.base import Base, SavedFile
from node.filter.columns.delta import Codes, DeltaView
from node.filter.columns.dictionary import Dictionary
from node.filter.columns.flags import ShapeView
from node.filter.columns.kinds import Kind, former_kind_of, kind_of
from node.filter.columns.view import ColumnView
from protos.collections import Memory, PayloadIndexParams, decode_index_params, encode_index_params
from protos.files import sync_directory

FORMAT: Final = 2
_READ: Final = (1, 2)
_READ_BYTES: Final = 2**20
_SHAPE: Final = ("nulls", "arrays", "arrays_with_null")
# Cold pages are read one by one as needed; pinned ones ahead of need, though the kernel may drop them.
_ADVICE: Final = {Memory.COLD: mmap.MADV_RANDOM, Memory.PINNED: mmap.MADV_WILLNEED}


class ColumnsCorrupted(Exception):
    """A column's file is missing or is not what was saved."""


class SavedColumn(Struct, frozen=True):
    """``params`` is the JSON of a ``protos.collections.PayloadIndexParams``; ``base`` maps parts to files."""

    field: str
    params: str
    base: dict[str, SavedFile]
    recent: SavedFile
    points: int


class Manifest(Struct, frozen=True):
    """What a save wrote, or found written; ``format`` grows when files change their meaning."""

    columns: tuple[SavedColumn, ...] = ()
    format: int = FORMAT

    @property
    def files(self) -> frozenset[str]:
        """Names, in the directory saved to, of every file this manifest needs."""
        return frozenset(saved.name for saved in self.saved_files())

    def saved_files(self) -> Iterator[SavedFile]:
        for column in self.columns:
            yield from column.base.values()
            yield column.recent


def save(columns: Mapping[str, ColumnView], directory: Path) -> Manifest:
    """Raises: OSError when the disk does; files already written are then orphans."""
    directory.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(tuple(_save_column(field, view, directory) for field, view in columns.items()))
    sync_directory(directory)
    return manifest


def load(directory: Path, manifest: Manifest, ceiling: Memory = Memory.PINNED) -> dict[str, ColumnView]:
    """``ceiling``: no base is kept in memory more than that.

    Raises: ColumnsCorrupted; ValueError if the format is newer than this program.
    """
    if manifest.format not in _READ:
        raise ValueError(
            f"format {manifest.format} of payload indexes is not known here (this program knows {FORMAT})"
        )
    kind = kind_of if manifest.format == FORMAT else former_kind_of
    return {saved.field: _load_column(saved, directory, kind, ceiling) for saved in manifest.columns}


def verify(directory: Path, manifest: Manifest) -> None:
    """Read every file and compare its checksum. Raises: ColumnsCorrupted."""
    for saved in manifest.saved_files():
        _check(directory / saved.name, saved)


def _save_column(field: str, view: ColumnView, directory: Path) -> SavedColumn:
    base = view.base.saved
    if base is None or not all((directory / file.name).exists() for file in base.values()):
        base = view.base.saved = _save_base(view.base, directory)
        view.base.adopt(
            {part: _mapped(directory / file.name, view.params.placement) for part, file in base.items()}
        )
    recent = _save_recent(view, directory)
    return SavedColumn(field, encode_index_params(view.params).decode(), base, recent, view.points)


def _load_column(
    saved: SavedColumn,
    directory: Path,
    kind_of: Callable[[PayloadIndexParams], Kind],
    ceiling: Memory,
) -> ColumnView:
    params = decode_index_params(saved.params.encode())
    kind = kind_of(params)
    recent = _load_recent(directory / saved.recent.name, saved.recent)
    return ColumnView(
        kind=kind,
        params=params,
        base=_load_base(saved.base, directory, kind, params.placement.at_most(ceiling)),
        delta=_delta_of(recent, kind),
        stale=recent["stale"],
        held=recent["held"],
        others=recent["others"],
        points=saved.points,
        shape=ShapeView(*(recent[name] for name in _SHAPE)) if _SHAPE[0] in recent else None,
    )


def _save_base(base: Base, directory: Path) -> dict[str, SavedFile]:
    stem = f"base-{uuid.uuid4().hex}"
    return {
        part: _write_array(directory / f"{stem}.{part}.npy", array) for part, array in base.parts().items()
    }


def _write_array(path: Path, array: npt.NDArray[Any]) -> SavedFile:
    return _write(path, lambda file: np.save(file, array, allow_pickle=False))


def _load_base(saved: dict[str, SavedFile], directory: Path, kind: Kind, placement: Memory) -> Base:
    parts = {part: _mapped(directory / file.name, placement) for part, file in saved.items()}
    expected = {"values", "slots", *kind.extras, *(("offsets", "blob") if kind.worded else ())}
    if set(parts) != expected:
        raise ColumnsCorrupted(f"{sorted(parts)} are not the parts of a {kind.name} index")
    for part in ("slots", *kind.extras):
        if len(parts["values"]) != len(parts[part]):
            raise ColumnsCorrupted(f"{saved[part].name} does not fit {saved['values'].name}")
    dictionary = Dictionary(parts["offsets"], parts["blob"]) if kind.worded else None
    base = Base(parts["values"], parts["slots"], dictionary, {name: parts[name] for name in kind.extras})
    base.saved = saved
    return base


def _mapped(path: Path, placement: Memory) -> npt.NDArray[Any]:
    try:
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:  # an empty array cannot be mapped
            return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise ColumnsCorrupted(f"{path.name}: {error}") from error
    advice = _ADVICE.get(placement)
    if advice is not None:
        mapped._mmap.madvise(advice)
    return np.asarray(mapped)


def _save_recent(view: ColumnView, directory: Path) -> SavedFile:
    arrays = {"values": view.delta.values, "slots": view.delta.slots, **view.delta.extras}
    arrays |= {"stale": view.stale, "held": view.held, "others": view.others}
    if view.shape is not None:
        arrays |= zip(_SHAPE, (view.shape.nulls, view.shape.arrays, view.shape.arrays_with_null))
    if view.delta.alive is not None:
        arrays["alive"] = view.delta.alive
    if view.delta.codes is not None:
        strings = Dictionary.of([string.encode() for string in view.delta.codes.strings[:]])
        arrays |= {"offsets": strings.offsets, "blob": strings.blob}
    path = directory / f"recent-{uuid.uuid4().hex}.npz"
    return _write(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def _load_recent(path: Path, saved: SavedFile) -> dict[str, npt.NDArray[Any]]:
    _check(path, saved)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _delta_of(recent: dict[str, npt.NDArray[Any]], kind: Kind) -> DeltaView:
    codes = None
    if "blob" in recent:
        strings = Dictionary(recent["offsets"], recent["blob"]).strings()
        codes = Codes(string.decode() for string in strings)
    extras = {name: recent[name] for name in kind.extras}
    return DeltaView(recent["values"], recent["slots"], recent.get("alive"), codes, extras)


def _write(path: Path, write: Callable[[BinaryIO], None]) -> SavedFile:
    try:
        with path.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # of a full disk, retries must not take what is left
        path.unlink(missing_ok=True)
        raise
    return SavedFile(path.name, _checksum(path))


def _check(path: Path, saved: SavedFile) -> None:
    try:
        found = _checksum(path)
    except OSError as error:
        raise ColumnsCorrupted(f"{path.name}: {error}") from error
    if found != saved.crc32c:
        raise ColumnsCorrupted(f"{path.name}: checksum {found:#010x}, expected {saved.crc32c:#010x}")


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while part := file.read(_READ_BYTES):
            checksum = crc32c.crc32c(part, checksum)
    return checksum
