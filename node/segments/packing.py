"""How the rows of a finished segment lie in files: as ``layout`` has them, or dense float32 ones packed.

Lives here: writing packed rows, mapping either. May not live here: the form of a packed row
(``node.index.packed_rows``), when rows are packed (``building``): only those that a graph is made of are, as
searches of others go over the rows themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.bits import bytes_for
from node.index.packed_rows import OTHERS_DTYPE, PackedRows, choose_tops, packing, row_bytes
from node.segments.errors import SegmentCorrupted
from node.segments.files import map_array
from node.segments.layout import layout_of
from node.segments.rows import Stored
from node.segments.schema import VectorSchema, packed_file, packed_others_file
from protos.collections import Datatype
from protos.operations import VectorKind

SAVED_MIN: Final = 4 * 1024 * 1024
"""Fewer bytes are not worth that each row has to be unpacked."""


class PackedEntry(Struct, frozen=True):
    """In a manifest. ``tops``: the uppermost bytes that are named; ``others``: components with another."""

    tops: bytes
    others: int


def are_worth_packing(schema: VectorSchema, rows: int) -> bool:
    if schema.kind is not VectorKind.DENSE or schema.datatype is not Datatype.FLOAT32:
        return False
    return rows * (schema.row_bytes - row_bytes(schema.dim)) >= SAVED_MIN


def write_packed(directory: Path, position: int, matrix: npt.NDArray[np.float32]) -> PackedEntry | None:
    """Write the files of ``matrix``, rows as they are stored; None: they save too little.

    Raises: OSError. Nothing is synced.
    """
    tops = choose_tops(matrix)
    if tops is None:
        return None
    with (directory / packed_file(position)).open("wb") as file:
        others, marked = packing(matrix, tops, lambda block: file.write(block.data))
    (directory / packed_others_file(position)).write_bytes(others.tobytes() + marked.tobytes())
    return PackedEntry(tops, len(others))


def files_of_rows(schema: VectorSchema, position: int, packed: PackedEntry | None) -> tuple[str, ...]:
    if packed is not None:
        return packed_file(position), packed_others_file(position)
    return tuple(file.name for file in layout_of(schema, position).files)


def open_rows(
    directory: Path, schema: VectorSchema, position: int, packed: PackedEntry | None, rows: int
) -> Stored:
    """Raises: OSError, SegmentCorrupted for an entry that cannot be of such rows."""
    if packed is None:
        return layout_of(schema, position).open(directory, rows)
    try:
        return _open_packed(directory, schema, position, packed, rows)
    except ValueError as error:
        raise SegmentCorrupted(directory / packed_file(position), 0, str(error)) from error


def _open_packed(
    directory: Path, schema: VectorSchema, position: int, packed: PackedEntry, rows: int
) -> PackedRows:
    data = map_array(directory / packed_file(position), "u1", (rows, row_bytes(schema.dim)))
    others_bytes = packed.others * np.dtype(OTHERS_DTYPE).itemsize
    whole = map_array(directory / packed_others_file(position), "u1", (others_bytes + bytes_for(rows),))
    others = whole[:others_bytes].view(OTHERS_DTYPE)
    return PackedRows(data, schema.dim, packed.tops, whole[others_bytes:], others)
