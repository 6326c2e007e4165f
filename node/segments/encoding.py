"""Vectors as clients send them into rows as they are stored, and back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from node.index.distances import normalize
from node.index.narrow import NarrowRows, Originals
from node.segments.rows import Matrix, Ragged, Rows
from node.segments.schema import VectorSchema
from protos.collections import Datatype, Distance
from protos.operations import VectorKind
from protos.shard import AnyVector, FloatArray, SparseVector

FloatMatrix = npt.NDArray[np.float32]

_FLOAT16_MAX = float(np.finfo(np.float16).max)


def encoded(matrix: FloatMatrix, schema: VectorSchema) -> Matrix:
    """Dense rows or sub-vectors (n, dim) as stored: normalised for Cosine, in the schema's datatype.

    Bytes are truncated toward zero and saturated, and never normalised (reference 12). What is too great for
    float16 becomes the greatest one: infinities would have no distances.
    """
    if schema.datatype is Datatype.UINT8:
        return np.clip(matrix, 0, 255).astype(np.uint8)
    if schema.distance is Distance.COSINE:
        matrix = normalize(matrix)
    if schema.datatype is Datatype.FLOAT16:
        matrix = np.clip(matrix, -_FLOAT16_MAX, _FLOAT16_MAX)
    return matrix.astype(schema.dtype, copy=False)


def originals(matrix: Matrix, schema: VectorSchema) -> Originals:
    """Stored rows or sub-vectors as they are compared."""
    if schema.datatype is Datatype.FLOAT32:
        return matrix
    unit = schema.datatype is Datatype.UINT8 and schema.distance is Distance.COSINE
    return NarrowRows(matrix, unit=unit)


def compared(matrix: FloatMatrix, schema: VectorSchema) -> FloatMatrix:
    """Rows (n, dim) to search by, as they would be compared had they been stored: they lose what those do."""
    if schema.datatype is not Datatype.FLOAT32:
        return originals(encoded(matrix, schema), schema)[:]
    return normalize(matrix) if schema.distance is Distance.COSINE else matrix


def blank(schema: VectorSchema, count: int) -> Rows:
    """Rows without vectors."""
    if schema.kind is VectorKind.DENSE:
        return np.zeros((count, schema.dim), dtype=schema.dtype)
    offsets = np.zeros(count + 1, dtype=np.int64)
    if schema.kind is VectorKind.SPARSE:
        return Ragged(offsets, (np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.float32)))
    return Ragged(offsets, (np.zeros((0, schema.dim), dtype=schema.dtype),))


def decoded(rows: Rows, schema: VectorSchema) -> list[AnyVector]:
    """The vectors of all ``rows``, as clients see them."""
    if not isinstance(rows, Ragged):
        return list(rows.astype(np.float32, copy=False))
    bounds = rows.offsets.tolist()
    spans = list(pairwise(bounds))
    if schema.kind is VectorKind.SPARSE:
        indices, values = rows.parts
        return [SparseVector(indices[first:last], values[first:last]) for first, last in spans]
    matrix: FloatArray = rows.parts[0].astype(np.float32, copy=False)
    return [matrix[first:last] for first, last in spans]
