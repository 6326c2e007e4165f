"""Points into messages, in place: a message that is put into another is encoded and decoded once more."""

from __future__ import annotations

from typing import Any

from protos.ids import PointId
from protos.qdrant import filters_pb2
from protos.shard import Hits, Record
from router.grpc.convert.points import shard_key_message
from router.grpc.convert.values import fill_object
from router.grpc.convert.vectors import fill_vectors


def add_scored(target: Any, hits: Hits, *, bare: bool) -> None:
    """To a repeated ``ScoredPoint``.

    ``bare``: vectors of a collection that has just the unnamed one are shown without a name.
    """
    for record, score in zip(hits.records, hits.scores.tolist()):
        _fill(target.add(score=score, version=record.version), record, bare)


def add_retrieved(target: Any, records: list[Record], *, bare: bool) -> None:
    """To a repeated ``RetrievedPoint``; ``bare`` as above."""
    for record in records:
        fill_retrieved(target.add(), record, bare=bare)


def fill_retrieved(target: Any, record: Record, *, bare: bool) -> None:
    """A ``RetrievedPoint``."""
    _fill(target, record, bare)


def fill_id(target: filters_pb2.PointId, value: PointId) -> None:
    if isinstance(value, int):
        target.num = value
    else:
        target.uuid = value


def _fill(message: Any, record: Record, bare: bool) -> None:
    fill_id(message.id, record.id)
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
