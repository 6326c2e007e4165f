"""Vectors as clients send them, checked against a collection and packed into matrices.

Lives here: packing rows of numbers into one float32 matrix per vector name, and the checks that every
write and every query must pass before anything is sent to a shard (reference 1.3, 8.2).
May not live here: the forms of JSON or protobuf.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from protos.collections import Distance, VectorParams, VectorsConfig
from protos.errors import BadInput, NotSupported, vector_name_not_found, wrong_dimension
from protos.operations import VectorBatch
from protos.shard import FloatArray

# As JSON decodes to, or an array (dim,) where the protocol has one; all of an operation are alike.
VectorValues = Sequence[float] | FloatArray


class VectorRows(Struct):
    """Vectors of one name: ``values[i]`` belongs to the point at index ``rows[i]``, ascending."""

    rows: list[int] = []
    values: list[VectorValues] = []

    def add(self, row: int, value: VectorValues) -> None:
        self.rows.append(row)
        self.values.append(value)


def not_supported(what: str) -> NotSupported:
    return NotSupported(f"{what} not supported by this version of Vecraft yet")


def params_of(vectors: VectorsConfig, name: str) -> VectorParams:
    """Raises: BadInput if there is no such vector, BadRequest if it is not a plain dense one."""
    params = vectors.get(name)
    if params is None:
        raise vector_name_not_found(name)
    if params.multivector_config is not None:
        raise not_supported("Multivectors are")
    return params


def is_ascending(distance: Distance) -> bool:
    """Is the smaller score the better one?"""
    return distance in (Distance.EUCLID, Distance.MANHATTAN)


def pack(drafts: Mapping[str, VectorRows], vectors: VectorsConfig, points: int) -> tuple[VectorBatch, ...]:
    """Pack each name's rows into a ``VectorBatch`` for an operation on ``points`` points.

    Raises: BadInput on an unknown name, a wrong dimension or a component that is not a finite float32.
    """
    return tuple(_pack_one(name, draft, vectors, points) for name, draft in drafts.items())


def _pack_one(name: str, draft: VectorRows, vectors: VectorsConfig, points: int) -> VectorBatch:
    size = params_of(vectors, name).size
    if set(map(len, draft.values)) - {size}:
        raise wrong_dimension(size, next(len(value) for value in draft.values if len(value) != size))
    matrix = _concatenated(draft.values, len(draft.values) * size)
    rows = b"" if len(draft.rows) == points else np.array(draft.rows, dtype="<u4").tobytes()
    return VectorBatch(name, size, matrix.tobytes(), rows)


def query_vector(value: VectorValues, params: VectorParams) -> FloatArray:
    """Raises: BadInput on a wrong dimension or a component that is not a finite float32."""
    if len(value) != params.size:
        raise wrong_dimension(params.size, len(value))
    return _to_float32(value, params.size)


def _concatenated(values: Sequence[VectorValues], count: int) -> FloatArray:
    if values and isinstance(values[0], np.ndarray):
        return _finite(np.concatenate(values))
    return _to_float32(chain.from_iterable(values), count)


def _to_float32(values: Iterable[float], count: int) -> FloatArray:
    if isinstance(values, np.ndarray):
        return _finite(values.astype("<f4", copy=False))
    with np.errstate(over="ignore"):
        return _finite(np.fromiter(values, dtype="<f4", count=count))


def _finite(array: FloatArray) -> FloatArray:
    if not np.isfinite(array).all():
        raise BadInput("Vector components must be finite 32-bit floats")
    return array


def take_rows(batch: VectorBatch, indices: npt.NDArray[np.int64], points: int) -> VectorBatch | None:
    """The part of ``batch`` that belongs to the points at ``indices`` (ascending) of ``points``.

    Rows are renumbered to positions in ``indices``; None if none of them has such a vector.
    """
    owned = batch.row_of_point(points)[indices]
    present = np.flatnonzero(owned >= 0)
    if not len(present):
        return None
    data = batch.matrix()[owned[present]].tobytes()
    rows = b"" if len(present) == len(indices) else present.astype("<u4").tobytes()
    return VectorBatch(batch.name, batch.dim, data, rows)
