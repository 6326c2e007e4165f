"""Vectors as clients send them, checked against a collection and packed into matrices.

Lives here: packing rows of numbers into arrays per vector name, and the checks that every write and every
query must pass before anything is sent to a shard (reference 1.3, 8.2, 12).
May not live here: the forms of JSON or protobuf.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from protos.collections import (
    AnyVectorParams,
    CollectionParams,
    Distance,
    SparseVectorParams,
)
from protos.errors import (
    BadInput,
    MalformedBody,
    NotSupported,
    multi_conversion,
    sparse_conversion,
    vector_name_not_found,
    wrong_dimension,
)
from protos.operations import VectorBatch, VectorKind, VectorShape, check_shape
from protos.shard import AnyVector, FloatArray, SparseVector
from router.inference.objects import InferenceObject

INDEX_MAX = 2**32 - 1


class SparseValues(Struct, frozen=True):
    """A sparse vector as it was sent: indices in any order, each once; as many values."""

    indices: list[Annotated[int, Meta(ge=0, le=INDEX_MAX)]]
    values: list[float]


# As JSON decodes to, or arrays (dim,) and (n, dim) where the protocol has them; alike in one operation.
DenseValues = Sequence[float] | FloatArray
MultiValues = Sequence[DenseValues] | FloatArray
VectorValues = Sequence[float | list[float]] | FloatArray | SparseValues


class VectorRows(Struct):
    """Vectors of one name: ``values[i]`` belongs to the point at index ``rows[i]``, ascending.

    ``objects``: by place in ``values``, what a vector is yet to be made of.
    """

    rows: list[int] = []
    values: list[VectorValues] = []
    objects: dict[int, InferenceObject] = {}

    def add(self, row: int, value: VectorValues | InferenceObject) -> None:
        if isinstance(value, InferenceObject):
            self.objects[len(self.values)] = value
            value = ()
        self.rows.append(row)
        self.values.append(value)


def rows_of(drafts: dict[str, VectorRows], name: str) -> VectorRows:
    """Those of ``name``, which are begun if there are none yet."""
    rows = drafts.get(name)
    if rows is None:
        rows = drafts[name] = VectorRows()
    return rows


def not_supported(what: str) -> NotSupported:
    return NotSupported(f"{what} not supported by this version of Vecraft yet")


def params_of(params: CollectionParams, name: str) -> AnyVectorParams:
    """Raises: BadInput if there is no such vector."""
    found = params.named.get(name)
    if found is None:
        raise vector_name_not_found(name)
    return found


def shape_of(params: AnyVectorParams) -> VectorShape:
    if isinstance(params, SparseVectorParams):
        return VectorShape(VectorKind.SPARSE, 0)
    kind = VectorKind.DENSE if params.multivector_config is None else VectorKind.MULTI
    return VectorShape(kind, params.size)


def is_ascending(params: AnyVectorParams) -> bool:
    """Is the smaller score the better one?"""
    if isinstance(params, SparseVectorParams):
        return False
    return params.distance in (Distance.EUCLID, Distance.MANHATTAN)


# --- writes ----------------------------------------------------------------------------------------


def pack(drafts: Mapping[str, VectorRows], params: CollectionParams, points: int) -> tuple[VectorBatch, ...]:
    """Pack each name's rows into a ``VectorBatch`` for an operation on ``points`` points.

    Raises: BadInput on an unknown name, another kind of vector, a wrong dimension or a component that is
        not a finite float32; MalformedBody on lists of numbers and lists.
    """
    return tuple(
        _pack_one(name, draft, shape_of(params_of(params, name)), points) for name, draft in drafts.items()
    )


def _pack_one(name: str, draft: VectorRows, shape: VectorShape, points: int) -> VectorBatch:
    assert not draft.objects, "objects are embedded before"
    owners = b"" if len(draft.rows) == points else np.array(draft.rows, dtype="<u4").tobytes()
    if shape.kind is VectorKind.SPARSE:
        return _pack_sparse(name, [_sparse(value) for value in draft.values], owners)
    if shape.kind is VectorKind.MULTI:
        return _pack_multi(name, [_multi(value) for value in draft.values], owners, shape.dim)
    rows = [_dense(value) for value in draft.values]
    return VectorBatch(name, shape.dim, _matrix(rows, shape.dim).tobytes(), owners)


def _pack_sparse(name: str, vectors: Sequence[SparseValues], owners: bytes) -> VectorBatch:
    counts = np.fromiter((len(vector.indices) for vector in vectors), dtype="<u4", count=len(vectors))
    total = int(counts.sum())
    indices = np.fromiter(chain.from_iterable(vector.indices for vector in vectors), "<u4", total)
    values = _to_float32(chain.from_iterable(vector.values for vector in vectors), total)
    # Sorting by owner and index in one number is several times faster than by the two of them.
    keys = np.repeat(np.arange(len(vectors), dtype=np.uint64) << np.uint64(32), counts) | indices
    if (keys[1:] <= keys[:-1]).any():
        order = np.argsort(keys)
        indices, values = indices[order], values[order]
    return VectorBatch(name, 0, values.tobytes(), owners, counts.tobytes(), indices.tobytes())


def _pack_multi(name: str, vectors: Sequence[MultiValues], owners: bytes, dim: int) -> VectorBatch:
    counts = np.fromiter((len(vector) for vector in vectors), dtype="<u4", count=len(vectors))
    matrix = _matrix(list(chain.from_iterable(vectors)), dim)
    return VectorBatch(name, dim, matrix.tobytes(), owners, counts.tobytes())


def _dense(value: VectorValues) -> DenseValues:
    if isinstance(value, SparseValues):
        raise sparse_conversion()
    if _is_nested(value):
        raise multi_conversion()
    return value  # type: ignore[return-value]  # its first element is a number; the rest is found out later


def _multi(value: VectorValues) -> MultiValues:
    """A single dense vector becomes one sub-vector. Raises: MalformedBody on lists and numbers."""
    if isinstance(value, SparseValues):
        raise sparse_conversion()
    if _is_nested(value) and not isinstance(value, np.ndarray) and not all(map(_is_list, value)):
        raise MalformedBody("a multivector's parts must all be lists of numbers")
    return value if _is_nested(value) else [value]  # type: ignore[return-value,list-item]


def _sparse(value: VectorValues) -> SparseValues:
    if not isinstance(value, SparseValues):
        raise sparse_conversion()
    return value


def _is_nested(value: Sequence[float | list[float]] | FloatArray) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim == 2
    return len(value) > 0 and _is_list(value[0])


def _is_list(value: float | list[float]) -> bool:
    return isinstance(value, list)


# --- queries ---------------------------------------------------------------------------------------


def query_vector(value: VectorValues | AnyVector, params: AnyVectorParams) -> AnyVector:
    """A vector to search by, from what a client sent or from a stored one.

    Raises: BadInput on another kind, a wrong dimension or a component that is not a finite float32.
    """
    shape = shape_of(params)
    if isinstance(value, np.ndarray) and value.ndim == 1 and shape.kind is VectorKind.MULTI:
        value = value[np.newaxis]
    if isinstance(value, np.ndarray | SparseVector):
        check_shape(_shape_of_array(value), shape)
        return value if isinstance(value, SparseVector) else _finite(value.astype("<f4", copy=False))
    if shape.kind is VectorKind.SPARSE:
        batch = _pack_sparse("", [_sparse(value)], b"")
        return SparseVector(batch.index_numbers(), batch.values())
    if shape.kind is VectorKind.MULTI:
        return _matrix(list(_multi(value)), shape.dim)
    vector: FloatArray = _matrix([_dense(value)], shape.dim)[0]
    return vector


def _shape_of_array(value: AnyVector) -> VectorShape:
    if isinstance(value, SparseVector):
        return VectorShape(VectorKind.SPARSE, 0)
    return VectorShape(VectorKind.DENSE if value.ndim == 1 else VectorKind.MULTI, value.shape[-1])


def _matrix(rows: Sequence[DenseValues], dim: int) -> FloatArray:
    """(len(rows), dim)"""
    if set(map(len, rows)) - {dim}:
        raise wrong_dimension(dim, next(len(row) for row in rows if len(row) != dim))
    if rows and isinstance(rows[0], np.ndarray):
        return _finite(np.concatenate(rows).astype("<f4", copy=False)).reshape(-1, dim)
    if len(rows) == 1:  # a query, in one pass over the list
        return _to_float32(rows[0], dim).reshape(1, dim)
    return _to_float32(chain.from_iterable(rows), len(rows) * dim).reshape(-1, dim)


def _to_float32(values: Iterable[float], count: int) -> FloatArray:
    try:
        with np.errstate(over="ignore"):
            return _finite(np.fromiter(values, dtype="<f4", count=count))
    except (TypeError, ValueError) as error:  # a list among numbers
        raise MalformedBody(f"a vector's components must be numbers: {error}") from error


def _finite(array: FloatArray) -> FloatArray:
    """Raises: BadInput if a component is not."""
    if b"\0" in np.isfinite(array).tobytes():  # less than half of what ``all`` takes of a query
        raise BadInput("Vector components must be finite 32-bit floats")
    return array


# --- parts -----------------------------------------------------------------------------------------


def take_rows(batch: VectorBatch, indices: npt.NDArray[np.int64], points: int) -> VectorBatch | None:
    """The part of ``batch`` that belongs to the points at ``indices`` (ascending) of ``points``.

    Rows are renumbered to positions in ``indices``; None if none of them has such a vector.
    """
    owned = batch.row_of_point(points)[indices]
    present = np.flatnonzero(owned >= 0)
    return batch.select(owned[present], present, len(indices)) if len(present) else None
