"""What a segment's vectors of one name look like, and the file names that go with it.

A vector name may hold any character, so files are named by its position in the segment's list of schemas.
"""

from __future__ import annotations

from msgspec import Struct

from protos.collections import Distance

FLOAT_BYTES = 4


class VectorSchema(Struct, frozen=True):
    name: str
    dim: int
    distance: Distance

    @property
    def row_bytes(self) -> int:
        return self.dim * FLOAT_BYTES


def vectors_file(position: int) -> str:
    """Little-endian float32 rows, C order, no header."""
    return f"vectors.{position}.f32"


def present_file(position: int) -> str:
    """Packed bits of the rows that have a vector; no file: all have."""
    return f"present.{position}.bits"


GRAPH = "graph"


def graph_file(position: int) -> str:
    return f"{GRAPH}.{position}.faiss"


def graph_rows_file(position: int) -> str:
    """Little-endian uint32, the row of each node; no file: node i is row i."""
    return f"{GRAPH}.{position}.rows"


SLOTS_FILE = "slots.u32"  # of a compacted segment: little-endian uint32, the old slot of each row
