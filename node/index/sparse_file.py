"""The file of a sparse index: postings by index, mapped on opening.

A file holds *blocks* of at most ``BLOCK_ROWS`` consecutive rows. A block has, each array aligned to
``_ALIGNMENT`` bytes and little-endian:

=========  ===============  ====================================================================
indices    u32 (terms,)     which occur in it, ascending
starts     i64 (terms + 1,) where the postings of each begin
low, high  f32 (terms,)     the least and the greatest value among them
error      f32 (terms,)     how far a code is from its value at most
rows       i32 (postings,)  row within the block, ascending per index
codes      (postings,)      the values: float32, float16, or bytes that divide [low, high] evenly
=========  ===============  ====================================================================

The file ends with a JSON header, its length and the format (both u32), and ``MAGIC``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from protos.collections import Datatype

FORMAT = 1
MAGIC = b"vcsparse"
UINT8_STEPS = 255
BLOCK_ROWS = 1 << 20  # what a search holds scores of at a time
_ALIGNMENT = 64
_TAIL = struct.Struct("<II8s")  # header's length, format, magic
_CODE_DTYPES = {Datatype.FLOAT32: "<f4", Datatype.FLOAT16: "<f2", Datatype.UINT8: "u1"}

FloatArray = npt.NDArray[np.float32]


class SparseIndexCorrupted(ValueError):
    """A file that is no sparse index this program knows."""


class BlockEntry(Struct, frozen=True):
    """``first``: its first row; ``at``: where its arrays begin in the file."""

    first: int
    rows: int
    terms: int
    postings: int
    at: int


class Header(Struct, frozen=True):
    """``rows``: of the matrix that was indexed; ``count``: those of them that were."""

    rows: int
    count: int
    datatype: Datatype
    blocks: tuple[BlockEntry, ...]


class Block(Struct, frozen=True, eq=False):
    """The arrays of a block, mapped. A byte c stands for ``low + c * (high - low) / UINT8_STEPS``."""

    first: int
    length: int
    datatype: Datatype
    indices: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.int64]
    low: FloatArray
    high: FloatArray
    error: FloatArray
    rows: npt.NDArray[np.int32]
    codes: npt.NDArray[Any]


def parts_of(terms: int, postings: int, datatype: Datatype) -> list[tuple[str, int]]:
    """Dtype and length of each array of a block, in the file's order."""
    return [
        ("<u4", terms),
        ("<i8", terms + 1),
        ("<f4", terms),
        ("<f4", terms),
        ("<f4", terms),
        ("<i4", postings),
        (_CODE_DTYPES[datatype], postings),
    ]


def aligned(size: int) -> int:
    return (size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT


def block_bytes(terms: int, postings: int, datatype: Datatype) -> int:
    return sum(
        aligned(length * np.dtype(dtype).itemsize) for dtype, length in parts_of(terms, postings, datatype)
    )


def allocate(path: Path, size: int) -> None:
    """Extend ``path`` to ``size``. Raises: OSError now rather than a fault when a map of it is written."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if size:
            os.posix_fallocate(fd, 0, size)
    finally:
        os.close(fd)


def map_block(path: Path, entry: BlockEntry, datatype: Datatype, mode: str = "r") -> Block:
    at, arrays = entry.at, []
    for dtype, length in parts_of(entry.terms, entry.postings, datatype):
        arrays.append(_map(path, dtype, length, at, mode))
        at += aligned(length * np.dtype(dtype).itemsize)
    return Block(entry.first, entry.rows, datatype, *arrays)


def _map(path: Path, dtype: str, length: int, at: int, mode: Any) -> npt.NDArray[Any]:
    if not length:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode=mode, offset=at, shape=(length,)).view(np.ndarray)


def append_header(path: Path, header: Header) -> None:
    body = msgspec.json.encode(header)
    with path.open("ab") as file:
        file.write(body + _TAIL.pack(len(body), FORMAT, MAGIC))


_decoder = msgspec.json.Decoder(Header)


def read_header(path: Path) -> Header:
    """Raises: OSError, SparseIndexCorrupted."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < _TAIL.size:
            raise SparseIndexCorrupted(f"{path}: {size} bytes are no sparse index")
        file.seek(size - _TAIL.size)
        length, form, magic = _TAIL.unpack(file.read(_TAIL.size))
        if magic != MAGIC or form != FORMAT or length > size - _TAIL.size:
            raise SparseIndexCorrupted(f"{path}: no sparse index of format {FORMAT}")
        end = size - _TAIL.size - length
        file.seek(end)
        body = file.read(length)
    try:
        header = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise SparseIndexCorrupted(f"{path}: {error}") from error
    _check_extents(path, header.blocks, header.datatype, end)
    return header


def _check_extents(path: Path, blocks: Sequence[BlockEntry], datatype: Datatype, end: int) -> None:
    """A map past the end of a file would crash whoever reads it."""
    for block in blocks:
        if block.at + block_bytes(block.terms, block.postings, datatype) > end:
            raise SparseIndexCorrupted(f"{path}: shorter than its header says")
