"""Vectors. Numbers pass as whole arrays: nothing here costs a Python object per component.

Old clients send dense, sparse and multivectors in flat fields; answers use the variants alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protos.collections import UNNAMED
from protos.errors import BadInput, InvalidField
from protos.qdrant import points_pb2 as wire
from protos.shard import FloatArray, PointVectors
from router.checks import EMPTY_VECTOR
from router.grpc.errors import Unconvertible
from router.rest.bodies.explain import MULTI_CONVERSION, SPARSE_CONVERSION
from router.vectors import VectorRows, not_supported

_INFERENCE = ("document", "image", "object")
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
        _rows_of(drafts, UNNAMED).add(row, stored_vector(message.vector, path))
        return True
    named = message.vectors.vectors
    for name in named:
        _rows_of(drafts, name).add(row, stored_vector(named[name], f"{path}.?"))
    return bool(named)


def _rows_of(drafts: dict[str, VectorRows], name: str) -> VectorRows:
    rows = drafts.get(name)
    if rows is None:
        rows = drafts[name] = VectorRows()
    return rows


def stored_vector(message: wire.Vector, path: str) -> FloatArray:
    """A vector to be stored. Raises: InvalidField, BadInput, NotSupported."""
    kind = message.WhichOneof("vector")
    if kind is None:
        return _flat(message, path)
    return _of_kind(kind, getattr(message, kind), path)


def query_vector(message: wire.VectorInput, path: str) -> FloatArray:
    """A vector to search by, where no id is given. Raises: Unconvertible, as ``stored_vector``."""
    kind = message.WhichOneof("variant")
    if kind is None:
        raise Unconvertible("VectorInput variant is missing")
    return _of_kind(kind, getattr(message, kind), path)


def _of_kind(kind: str, value: Any, path: str) -> FloatArray:
    if kind == "dense":
        return dense(value.data, path)
    if kind in _INFERENCE:
        raise not_supported("Inference is")
    raise BadInput(SPARSE_CONVERSION if kind == "sparse" else MULTI_CONVERSION)


def _flat(message: wire.Vector, path: str) -> FloatArray:
    if message.HasField("indices"):
        raise BadInput(SPARSE_CONVERSION)
    if message.HasField("vectors_count"):
        raise BadInput(MULTI_CONVERSION)
    return dense(message.data, path)


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


def _fill(target: wire.VectorOutput, vector: FloatArray) -> None:
    _fill_dense(target.dense, vector)


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
