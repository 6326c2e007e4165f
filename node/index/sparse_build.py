"""Building the file of a sparse index from rows (offsets, indices, values).

Runs in the builder process. Besides one block's table of indices it holds a chunk of ``_CHUNK_ELEMENTS``
elements in memory; postings are written through a map of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.index import sparse_file
from node.index.postings import transpose
from node.index.sparse_file import BLOCK_ROWS, UINT8_STEPS, Block, BlockEntry, Header
from protos.collections import Datatype
from protos.ragged import elements_of

Numbers = npt.NDArray[np.uint32]
FloatArray = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_CHUNK_ELEMENTS = 1 << 22
_CHUNK_COPIES = 16  # numbers of four bytes held per element of a chunk, at most
_TABLE_MAX = 1 << 24  # indices below it are translated by a table, others by a search
_TABLE_COPIES = 3
_TABLE_SPREAD = 64  # the table is at most so many times as long as there are postings
_FLOAT16_MAX = float(np.finfo(np.float16).max)


class SparseRows(Struct, frozen=True, eq=False):
    """Row i has ``values[offsets[i]:offsets[i + 1]]`` at ``indices`` (ascending there). ``kept`` (rows,):
    which to index; None: all."""

    offsets: npt.NDArray[np.integer]
    indices: Numbers
    values: FloatArray
    kept: Mask | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1


class _Chunk(Struct, frozen=True, eq=False):
    """Some rows' elements; ``first`` counts from the block's first row. Rows not kept have none."""

    first: int
    offsets: Positions
    indices: Numbers
    values: FloatArray


class SparseParams(Struct, frozen=True):
    """What is chosen of an index when it is built: how its codes are stored."""

    datatype: Datatype = Datatype.FLOAT32


def build_sparse_index(path: Path, rows: SparseRows, datatype: Datatype) -> None:
    """Write the index of ``rows`` to ``path``, which must not exist; not synced. Raises: OSError."""
    blocks = []
    at = 0
    for first in range(0, len(rows), BLOCK_ROWS):
        last = min(first + BLOCK_ROWS, len(rows))
        entry = _build_block(path, rows, first, last, at, datatype)
        blocks.append(entry)
        at += sparse_file.block_bytes(entry.terms, entry.postings, datatype)
    if not blocks:
        sparse_file.allocate(path, 0)
    count = len(rows) if rows.kept is None else int(np.count_nonzero(rows.kept))
    sparse_file.append_header(path, Header(len(rows), count, datatype, tuple(blocks)))


def sparse_build_bytes(elements: int) -> int:
    """Memory that ``build_sparse_index`` allocates at most for so many elements of ordinary rows.

    Maps of the file are not counted: their pages can be written back.
    """
    chunk = min(elements, _CHUNK_ELEMENTS)
    table = min(elements * _TABLE_SPREAD, _TABLE_MAX)
    return chunk * 4 * _CHUNK_COPIES + table * 4 * _TABLE_COPIES


def _build_block(
    path: Path, rows: SparseRows, first: int, last: int, at: int, datatype: Datatype
) -> BlockEntry:
    indices, counts = _count_indices(rows, first, last)
    starts = np.zeros(len(indices) + 1, dtype=np.int64)
    np.cumsum(counts, out=starts[1:])
    entry = BlockEntry(first, last - first, len(indices), int(starts[-1]), at)
    sparse_file.allocate(path, at + sparse_file.block_bytes(entry.terms, entry.postings, datatype))
    block = sparse_file.map_block(path, entry, datatype, mode="r+")
    block.indices[:], block.starts[:] = indices, starts
    if datatype is Datatype.FLOAT32:
        _post(rows, first, last, block, block.codes)
        _find_bounds(block, block.codes)
    else:
        _build_coded(path, rows, block, first, last)
    return entry


def _build_coded(path: Path, rows: SparseRows, block: Block, first: int, last: int) -> None:
    """Codes need the bounds of all values first, which lie in a file of their own meanwhile."""
    scratch = path.with_name(path.name + ".values")
    try:
        sparse_file.allocate(scratch, len(block.codes) * 4)
        values: FloatArray = (
            np.memmap(scratch, dtype="<f4", mode="r+", shape=block.codes.shape).view(np.ndarray)
            if len(block.codes)
            else np.empty(0, dtype=np.float32)
        )
        _post(rows, first, last, block, values)
        _find_bounds(block, values)
        _encode(block, values)
    finally:
        scratch.unlink(missing_ok=True)


def _chunks(rows: SparseRows, first: int, last: int) -> Iterator[_Chunk]:
    """The kept elements of rows [first, last), a bounded number at a time (one row at least)."""
    start = first
    while start < last:
        limit = int(rows.offsets[start]) + _CHUNK_ELEMENTS
        end = int(np.searchsorted(rows.offsets[start + 1 : last + 1], limit, side="right")) + start
        end = max(end, start + 1)
        yield _chunk(rows, first, start, end)
        start = end


def _chunk(rows: SparseRows, first: int, start: int, end: int) -> _Chunk:
    own = rows.offsets[start : end + 1].astype(np.int64)
    kept = None if rows.kept is None else rows.kept[start:end]
    elements: slice | Positions = slice(int(own[0]), int(own[-1]))
    offsets = own - own[0]
    if kept is not None and not kept.all():
        elements, _ = elements_of(own, np.flatnonzero(kept))
        np.cumsum(np.diff(own) * kept, out=offsets[1:])
    return _Chunk(start - first, offsets, rows.indices[elements], rows.values[elements])


def _count_indices(rows: SparseRows, first: int, last: int) -> tuple[Numbers, Positions]:
    """Every index that occurs, ascending, and in how many rows."""
    parts = [np.unique(chunk.indices, return_counts=True) for chunk in _chunks(rows, first, last)]
    indices, places = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    counts = np.zeros(len(indices), dtype=np.int64)
    np.add.at(counts, places, np.concatenate([part[1] for part in parts]))
    return indices.astype(np.uint32, copy=False), counts


def _post(rows: SparseRows, first: int, last: int, block: Block, values: FloatArray) -> None:
    """Write every posting's row and value, chunk after chunk, so that rows ascend."""
    place_of = _translation(block.indices, len(block.rows))
    filled = block.starts[:-1].copy()
    for chunk in _chunks(rows, first, last):
        starts, members, data = transpose(
            chunk.offsets, place_of(chunk.indices), chunk.values, len(block.indices)
        )
        counts = np.diff(starts)
        target = np.repeat(filled - starts[:-1], counts) + np.arange(len(members))
        block.rows[target] = members + np.int32(chunk.first)
        values[target] = data
        filled += counts


def _translation(indices: Numbers, postings: int) -> Any:
    """From numbers that occur in ``indices`` to their places in it, int32."""
    if not len(indices) or indices[-1] >= min(postings * _TABLE_SPREAD, _TABLE_MAX):
        return lambda numbers: np.searchsorted(indices, numbers).astype(np.int32)
    table = np.zeros(int(indices[-1]) + 1, dtype=np.int32)
    table[indices] = np.arange(len(indices), dtype=np.int32)
    return lambda numbers: table[numbers]


def _find_bounds(block: Block, values: FloatArray) -> None:
    for terms, postings in _groups(block):
        places = block.starts[terms] - block.starts[terms.start]
        part = values[postings]
        block.low[terms] = np.minimum.reduceat(part, places)
        block.high[terms] = np.maximum.reduceat(part, places)


def _encode(block: Block, values: FloatArray) -> None:
    for terms, postings in _groups(block):
        places = block.starts[terms] - block.starts[terms.start]
        counts = np.diff(block.starts[terms.start : terms.stop + 1])
        part = values[postings].astype(np.float64)
        if block.datatype is Datatype.FLOAT16:
            codes = np.clip(part, -_FLOAT16_MAX, _FLOAT16_MAX).astype(np.float16)
            decoded = codes.astype(np.float64)
        else:
            low = np.repeat(block.low[terms].astype(np.float64), counts)
            step = (np.repeat(block.high[terms].astype(np.float64), counts) - low) / UINT8_STEPS
            codes = np.rint((part - low) / np.where(step > 0, step, 1.0)).astype(np.uint8)
            decoded = low + codes * step
        block.codes[postings] = codes
        error = np.maximum.reduceat(np.abs(decoded - part), places)
        block.error[terms] = np.nextafter(error.astype(np.float32), np.float32(np.inf))


def _groups(block: Block) -> Iterator[tuple[slice, slice]]:
    """Consecutive indices and their postings, a bounded number at a time (one index at least)."""
    first, total = 0, len(block.indices)
    while first < total:
        limit = int(block.starts[first]) + _CHUNK_ELEMENTS
        last = max(int(np.searchsorted(block.starts, limit, side="right")) - 1, first + 1)
        yield slice(first, last), slice(int(block.starts[first]), int(block.starts[last]))
        first = last
