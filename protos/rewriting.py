"""Stored points as the write that stores them again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protos.operations import Upsert, VectorBatch
from protos.shard import AnyVector, Record, SparseVector


def upsert_of(records: Sequence[Record]) -> Upsert:
    """``records`` hold payloads and vectors, as read with a full ``Projection``."""
    names = sorted({name for record in records for name in record.vectors or {}})
    return Upsert(
        ids=[record.id for record in records],
        vectors=tuple(_batch(name, records) for name in names),
        payloads=[record.payload or b"{}" for record in records],
    )


def _batch(name: str, records: Sequence[Record]) -> VectorBatch:
    rows = [index for index, record in enumerate(records) if name in (record.vectors or {})]
    found = [(records[index].vectors or {})[name] for index in rows]
    owners = b"" if len(rows) == len(records) else np.asarray(rows, dtype="<u4").tobytes()
    return batch_of(name, found, owners)


def batch_of(name: str, vectors: Sequence[AnyVector], owners: bytes = b"") -> VectorBatch:
    """One or more vectors of one kind, of the points that ``VectorBatch.rows`` says."""
    sparse = [vector for vector in vectors if isinstance(vector, SparseVector)]
    if sparse:
        counts = np.array([len(vector.indices) for vector in sparse], dtype="<u4").tobytes()
        values = np.concatenate([vector.values for vector in sparse]).astype("<f4", copy=False)
        indices = np.concatenate([vector.indices for vector in sparse]).astype("<u4", copy=False)
        return VectorBatch(name, 0, values.tobytes(), owners, counts, indices.tobytes())
    arrays = [vector for vector in vectors if not isinstance(vector, SparseVector)]
    if arrays[0].ndim == 1:
        matrix = np.stack(arrays).astype("<f4", copy=False)
        return VectorBatch(name, matrix.shape[1], matrix.tobytes(), owners)
    matrix = np.concatenate(arrays).astype("<f4", copy=False)
    counts = np.array([len(array) for array in arrays], dtype="<u4").tobytes()
    return VectorBatch(name, matrix.shape[1], matrix.tobytes(), owners, counts)
