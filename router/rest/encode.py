"""Points into JSON: stored payload bytes pass through, floats print as the shortest float32 text.

orjson prints float32 arrays with the fewest digits that read back to the same float32 (reference 1.1),
which a float widened to 64 bits would not.
"""

from __future__ import annotations

import numpy as np
import orjson
from msgspec import UNSET, Raw

from protos.collections import UNNAMED
from protos.shard import AnyVector, FloatArray, Hits, PointVectors, Record, SparseVector
from router.rest.bodies.schemas import RecordBody, ScoredPointBody

_NO_VECTORS = Raw(b"{}")


def encode_records(records: list[Record], *, bare: bool) -> list[RecordBody]:
    """``bare``: vectors of a collection that has just the unnamed one are shown as a list."""
    return [
        RecordBody(
            record.id,
            UNSET if record.payload is None else Raw(record.payload),
            UNSET if record.vectors is None else _vectors(record.vectors, bare=bare),
            UNSET if record.shard_key is None else record.shard_key,
            UNSET if record.order_value is None else record.order_value,
        )
        for record in records
    ]


def encode_hits(hits: Hits, *, bare: bool) -> list[ScoredPointBody]:
    return [
        ScoredPointBody(
            record.id,
            record.version,
            Raw(score),
            UNSET if record.payload is None else Raw(record.payload),
            UNSET if record.vectors is None else _vectors(record.vectors, bare=bare),
            UNSET if record.shard_key is None else record.shard_key,
            UNSET if record.order_value is None else record.order_value,
        )
        for record, score in zip(hits.records, score_texts(hits.scores))
    ]


def score_texts(scores: FloatArray) -> list[bytes]:
    return float32_json(scores)[1:-1].split(b",")


def float32_json(values: FloatArray) -> bytes:
    """A JSON list; NaN and infinities become null."""
    contiguous = np.ascontiguousarray(values, dtype=np.float32)
    return orjson.dumps(contiguous, option=orjson.OPT_SERIALIZE_NUMPY)


def vector_json(vector: AnyVector) -> bytes:
    """A list, a list of lists, or indices and values."""
    if not isinstance(vector, SparseVector):
        return float32_json(vector)
    indices = orjson.dumps(np.ascontiguousarray(vector.indices), option=orjson.OPT_SERIALIZE_NUMPY)
    return b'{"indices":' + indices + b',"values":' + float32_json(vector.values) + b"}"


def _vectors(vectors: PointVectors, *, bare: bool) -> Raw:
    if not vectors:
        return _NO_VECTORS
    if bare:
        return Raw(vector_json(vectors[UNNAMED]))
    items = (orjson.dumps(name) + b":" + vector_json(vector) for name, vector in vectors.items())
    return Raw(b"{" + b",".join(items) + b"}")
