"""What a segment's vectors of one name look like, and the file names that go with it.

A vector name may hold any character, so files are named by its position in the segment's list of schemas.
"""

from __future__ import annotations

from msgspec import Struct

from node.index.turbo import row_bytes as turbo_bytes
from protos.collections import AnyVectorParams, Datatype, Distance, SparseVectorParams
from protos.operations import VectorKind, VectorShape

_DTYPES = {Datatype.FLOAT32: "<f4", Datatype.FLOAT16: "<f2", Datatype.UINT8: "u1", Datatype.TURBO4: "u1"}
_OFFSET_BYTES = 8


class VectorSchema(Struct, frozen=True):
    """``dim`` is 0 and ``distance`` Dot for sparse vectors. Stored in manifests: new fields get a default."""

    name: str
    dim: int
    distance: Distance
    kind: VectorKind = VectorKind.DENSE
    datatype: Datatype = Datatype.FLOAT32

    @property
    def shape(self) -> VectorShape:
        return VectorShape(self.kind, self.dim)

    @property
    def dtype(self) -> str:
        """Of a number in a stored row."""
        return _DTYPES[self.datatype]

    @property
    def width(self) -> int:
        """Numbers in a stored row or sub-vector: its components, or of ``turbo4`` the bytes of its codes."""
        return turbo_bytes(self.dim) if self.datatype is Datatype.TURBO4 else self.dim

    @property
    def row_bytes(self) -> int:
        """What each row takes; the elements of multivectors and sparse vectors come on top."""
        if self.kind is not VectorKind.DENSE:
            return _OFFSET_BYTES
        return self.width * int(self.dtype[-1])


def schema_of(name: str, params: AnyVectorParams) -> VectorSchema:
    if isinstance(params, SparseVectorParams):
        return VectorSchema(name, 0, Distance.DOT, VectorKind.SPARSE)
    kind = VectorKind.DENSE if params.multivector_config is None else VectorKind.MULTI
    return VectorSchema(name, params.size, params.distance, kind, params.datatype or Datatype.FLOAT32)


def vectors_file(position: int, dtype: str = "<f4") -> str:
    """Little-endian numbers, C order, no header: rows, sub-vectors one after another, sparse values."""
    return f"vectors.{position}.{dtype.lstrip('<')[0]}{int(dtype[-1]) * 8}"


def packed_file(position: int) -> str:
    """In place of ``vectors_file``: rows of float32 in 28 bits a component (``node.index.packed_rows``)."""
    return f"vectors.{position}.packed"


def packed_others_file(position: int) -> str:
    """Little-endian uint64, the components that do not fit into packed rows, ascending; then packed bits of
    the rows that have such ones."""
    return f"vectors.{position}.others"


def offsets_file(position: int) -> str:
    """Little-endian int64, one more than rows: where each multivector or sparse vector begins and ends."""
    return f"offsets.{position}.i64"


def indices_file(position: int) -> str:
    """Little-endian uint32: the index of each value of sparse vectors, ascending within a row."""
    return f"indices.{position}.u32"


def present_file(position: int) -> str:
    """Packed bits of the rows that have a vector; no file: all have."""
    return f"present.{position}.bits"


GRAPH = "graph"


def graph_file(position: int) -> str:
    return f"{GRAPH}.{position}.faiss"


def graph_rows_file(position: int) -> str:
    """Little-endian uint32, the row of each node; no file: node i is row i."""
    return f"{GRAPH}.{position}.rows"


def twins_file(position: int) -> str:
    """Little-endian uint32: the heads of the graph's twins, then the twins (``node.index.twins``)."""
    return f"{GRAPH}.{position}.twins"


def value_graph_file(position: int, number: int) -> str:
    return f"{GRAPH}.{position}.{number}.faiss"


def value_rows_file(position: int, number: int) -> str:
    """Little-endian uint32, the row of each node."""
    return f"{GRAPH}.{position}.{number}.rows"


def value_twins_file(position: int, number: int) -> str:
    """As ``twins_file``."""
    return f"{GRAPH}.{position}.{number}.twins"


POSTINGS = "postings"


def is_index(file: str) -> bool:
    """Of a file of a segment: can it be made again from the others?"""
    return file.partition(".")[0] in (GRAPH, POSTINGS)


def postings_file(position: int) -> str:
    """The inverted index of sparse vectors (``node.index.sparse_file``)."""
    return f"{POSTINGS}.{position}.sparse"


SLOTS_FILE = "slots.u32"  # of a compacted segment: little-endian uint32, the old slot of each row
