"""Vectors as clients send them into rows as they are stored, and back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from node.index import turbo
from node.index.distances import normalize
from node.index.narrow import NarrowRows, Originals
from node.index.packed_rows import PackedRows
from node.index.rotation import turn
from node.segments.rows import Dense, Matrix, Ragged, Rows
from node.segments.schema import VectorSchema
from protos.collections import Datatype, Distance
from protos.operations import VectorKind
from protos.shard import AnyVector, FloatArray, SparseVector

FloatMatrix = npt.NDArray[np.float32]

_FLOAT16_MAX = float(np.finfo(np.float16).max)


def encoded(matrix: FloatMatrix, schema: VectorSchema) -> Matrix:
    """Dense rows or sub-vectors (n, dim) as stored, (n, width): of unit length for Cosine, in their datatype.

    Bytes are truncated toward zero and saturated, and never normalised (reference 12). What is too great for
    float16 becomes the greatest one: infinities would have no distances.
    """
    if schema.datatype is Datatype.UINT8:
        return np.clip(matrix, 0, 255).astype(np.uint8)
    if schema.distance is Distance.COSINE:
        matrix = normalize(matrix)
    if schema.datatype is Datatype.TURBO4:
        return turbo.encode(matrix)
    if schema.datatype is Datatype.FLOAT16:
        matrix = np.clip(matrix, -_FLOAT16_MAX, _FLOAT16_MAX)
    return matrix.astype(schema.dtype, copy=False)


def originals(matrix: Dense, schema: VectorSchema) -> Originals:
    """Stored rows or sub-vectors as they are compared."""
    if schema.datatype is Datatype.FLOAT32 or isinstance(matrix, PackedRows):
        return matrix
    if schema.datatype is Datatype.TURBO4:
        return turbo.TurboRows(matrix, schema.dim, turned=_turned(schema))
    unit = schema.datatype is Datatype.UINT8 and schema.distance is Distance.COSINE
    return NarrowRows(matrix, unit=unit)


def compared(matrix: FloatMatrix, schema: VectorSchema) -> FloatMatrix:
    """Rows (n, dim) to search by, as they would be compared had they been stored: they lose what those do.

    Not with ``turbo4``: one side that is exact halves the error of a score.
    """
    if schema.datatype in (Datatype.FLOAT16, Datatype.UINT8):
        return originals(encoded(matrix, schema), schema)[:]
    if schema.distance is Distance.COSINE:
        matrix = normalize(matrix)
    return turn(matrix) if _turned(schema) else matrix


def _turned(schema: VectorSchema) -> bool:
    """Are vectors compared turned? Only sums of absolute differences depend on how vectors lie."""
    return schema.datatype is Datatype.TURBO4 and schema.distance is not Distance.MANHATTAN


def blank(schema: VectorSchema, count: int) -> Rows:
    """Rows without vectors."""
    if schema.kind is VectorKind.DENSE:
        return np.zeros((count, schema.width), dtype=schema.dtype)
    offsets = np.zeros(count + 1, dtype=np.int64)
    if schema.kind is VectorKind.SPARSE:
        return Ragged(offsets, (np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.float32)))
    return Ragged(offsets, (np.zeros((0, schema.width), dtype=schema.dtype),))


def decoded(rows: Rows, schema: VectorSchema) -> list[AnyVector]:
    """The vectors of all ``rows``, as clients see them."""
    if not isinstance(rows, Ragged):
        return list(_shown(rows, schema))
    bounds = rows.offsets.tolist()
    spans = list(pairwise(bounds))
    if schema.kind is VectorKind.SPARSE:
        indices, values = rows.parts
        return [SparseVector(indices[first:last], values[first:last]) for first, last in spans]
    matrix = _shown(rows.parts[0], schema)
    return [matrix[first:last] for first, last in spans]


def _shown(matrix: Matrix, schema: VectorSchema) -> FloatArray:
    if schema.datatype is Datatype.TURBO4:
        return turbo.decode(matrix, schema.dim)
    return matrix.astype(np.float32, copy=False)
