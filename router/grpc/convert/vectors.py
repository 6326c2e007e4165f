"""Vectors. Numbers pass as whole arrays: nothing here costs a Python object per component.

Old clients send dense, sparse and multivectors in flat fields; answers use the variants alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protos.collections import UNNAMED
from protos.errors import InvalidField
from protos.qdrant import points_pb2 as wire
from protos.shard import AnyVector, FloatArray, PointVectors, SparseVector
from router.checks import EMPTY_VECTOR, check_multivector, check_vector
from router.grpc.convert.values import plain
from router.grpc.errors import Unconvertible
from router.inference.objects import InferenceObject, ObjectKind, inference_object
from router.vectors import SparseValues, VectorRows, rows_of

_KINDS = {"document": ObjectKind.TEXT, "image": ObjectKind.IMAGE, "object": ObjectKind.OBJECT}
AnyValue = FloatArray | SparseValues | InferenceObject
_PACKED_FLOATS = b"\x0a"  # field 1 of DenseVector: a length, then 32-bit floats


def add_vectors(drafts: dict[str, VectorRows], row: int, message: wire.Vectors, path: str) -> bool:
    """Add one point's vectors to those of its operation. Returns: whether it has any.

    Raises: Unconvertible, InvalidField, BadInput.
    """
    kind = message.WhichOneof("vectors_options")
    if kind is None:
        raise Unconvertible("Expected some vectors")
    if kind == "vector":
        if message.vector.WhichOneof("vector") == "sparse" or message.vector.HasField("indices"):
            raise Unconvertible("Sparse vector must be named")
        rows_of(drafts, UNNAMED).add(row, stored_vector(message.vector, path))
        return True
    named = message.vectors.vectors
    for name in named:
        rows_of(drafts, name).add(row, stored_vector(named[name], f"{path}.?"))
    return bool(named)


def stored_vector(message: wire.Vector, path: str) -> AnyValue:
    """A vector to be stored, or what it is to be made of. Raises: InvalidField, Unconvertible."""
    kind = message.WhichOneof("vector")
    if kind is None:
        return _flat(message, path)
    return _of_kind(kind, getattr(message, kind), path)


def query_vector(message: wire.VectorInput, path: str) -> AnyValue:
    """A vector to search by, where no id is given. Raises: Unconvertible, as ``stored_vector``."""
    kind = message.WhichOneof("variant")
    if kind is None:
        raise Unconvertible("VectorInput variant is missing")
    return _of_kind(kind, getattr(message, kind), path)


def _of_kind(kind: str, value: Any, path: str) -> AnyValue:
    if kind == "dense":
        return dense(value.data, path)
    if kind in _KINDS:
        return _object(kind, value, path)
    if kind == "sparse":
        return sparse(value.indices, value.values, path)
    return _multi([row.data for row in value.vectors], path)


def _object(kind: str, message: Any, path: str) -> InferenceObject:
    """Raises: InvalidField, Unconvertible."""
    data = message.text if kind == "document" else plain(getattr(message, kind))
    options = {name: plain(value) for name, value in message.options.items()}
    return inference_object(_KINDS[kind], data, message.model, options, path)


def _flat(message: wire.Vector, path: str) -> FloatArray | SparseValues:
    if message.HasField("indices"):
        return sparse(message.indices.data, message.data, path)
    if message.HasField("vectors_count"):
        return _counted(dense(message.data, path), message.vectors_count, path)
    return dense(message.data, path)


def _counted(numbers: FloatArray, count: int, path: str) -> FloatArray:
    """``numbers`` of ``count`` sub-vectors, one after another."""
    if not count or len(numbers) % count:
        raise Unconvertible(f"{len(numbers)} numbers are not {count} vectors of one size")
    check_multivector([len(numbers) // count] * count, path)
    return numbers.reshape(count, -1)


def _multi(rows: list[Any], path: str) -> FloatArray:
    check_multivector([len(row) for row in rows], path)
    return np.array([np.array(row, dtype=np.float32) for row in rows])


def sparse(indices: Any, values: Any, path: str) -> SparseValues:
    """Raises: InvalidField."""
    found = SparseValues(list(indices), list(values))
    check_vector(found, path)
    return found


def dense(data: Any, path: str) -> FloatArray:
    """A repeated float, which is a buffer for numpy. Raises: InvalidField if it is empty."""
    if not len(data):
        raise InvalidField(path, EMPTY_VECTOR)
    return np.array(data, dtype=np.float32)


def fill_vectors(target: wire.VectorsOutput, vectors: PointVectors, *, bare: bool) -> None:
    """``bare``: the collection has just the unnamed vector."""
    if bare and vectors:
        _fill(target.vector, vectors[UNNAMED])
        return
    target.vectors.SetInParent()
    for name, vector in vectors.items():
        _fill(target.vectors.vectors[name], vector)


def _fill(target: wire.VectorOutput, vector: AnyVector) -> None:
    if isinstance(vector, SparseVector):
        target.sparse.SetInParent()  # an empty one is one, too
        target.sparse.indices.extend(vector.indices.tolist())
        target.sparse.values.extend(vector.values.tolist())
    elif vector.ndim == 1:
        _fill_dense(target.dense, vector)
    else:
        for row in vector:
            _fill_dense(target.multi_dense.vectors.add(), row)


def _fill_dense(target: wire.DenseVector, vector: FloatArray) -> None:
    data = vector.astype("<f4", copy=False).tobytes()
    target.MergeFromString(_PACKED_FLOATS + _varint(len(data)) + data)


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
