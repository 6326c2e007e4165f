"""Vectors as clients send them into rows as they are stored, and back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from node.index.distances import normalize
from node.segments.rows import Matrix, Ragged, Rows
from node.segments.schema import VectorSchema
from protos.collections import Datatype, Distance
from protos.operations import VectorKind
from protos.shard import AnyVector, FloatArray, SparseVector

FloatMatrix = npt.NDArray[np.float32]


def encoded(matrix: FloatMatrix, schema: VectorSchema) -> Matrix:
    """Dense rows or sub-vectors (n, dim) as stored: normalised for Cosine, in the schema's datatype.

    Bytes are truncated toward zero and saturated, and never normalised (reference 12).
    """
    if schema.datatype is Datatype.UINT8:
        return np.clip(matrix, 0, 255).astype(np.uint8)
    if schema.distance is Distance.COSINE:
        matrix = normalize(matrix)
    return matrix.astype(schema.dtype, copy=False)


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
