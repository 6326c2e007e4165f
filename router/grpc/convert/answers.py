"""Points into messages."""

from __future__ import annotations

from typing import Any

from protos.qdrant import points_pb2 as wire
from protos.shard import Hits, Record
from router.grpc.convert.points import id_message, shard_key_message
from router.grpc.convert.values import fill_object
from router.grpc.convert.vectors import fill_vectors


def scored_points(hits: Hits, *, bare: bool) -> list[wire.ScoredPoint]:
    """``bare``: vectors of a collection that has just the unnamed one are shown without a name."""
    return [_scored(record, score, bare) for record, score in zip(hits.records, hits.scores.tolist())]


def retrieved_points(records: list[Record], *, bare: bool) -> list[wire.RetrievedPoint]:
    return [_retrieved(record, bare) for record in records]


def _scored(record: Record, score: float, bare: bool) -> wire.ScoredPoint:
    message = wire.ScoredPoint(id=id_message(record.id), score=score, version=record.version)
    _fill(message, record, bare)
    return message


def _retrieved(record: Record, bare: bool) -> wire.RetrievedPoint:
    message = wire.RetrievedPoint(id=id_message(record.id))
    _fill(message, record, bare)
    return message


def _fill(message: Any, record: Record, bare: bool) -> None:
    if record.payload is not None:
        fill_object(message.payload, record.payload)
    if record.vectors is not None:
        fill_vectors(message.vectors, record.vectors, bare=bare)
    if record.shard_key is not None:
        message.shard_key.CopyFrom(shard_key_message(record.shard_key))
    if isinstance(record.order_value, int):
        message.order_value.int = record.order_value
    elif record.order_value is not None:
        message.order_value.float = record.order_value
