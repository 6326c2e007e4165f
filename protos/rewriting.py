"""Stored points as the write that stores them again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protos.operations import Upsert, VectorBatch
from protos.shard import Record


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
    matrix = np.stack([(records[index].vectors or {})[name] for index in rows]).astype("<f4", copy=False)
    owners = b"" if len(rows) == len(records) else np.asarray(rows, dtype="<u4").tobytes()
    return VectorBatch(name, matrix.shape[1], matrix.tobytes(), owners)
