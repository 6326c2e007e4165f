"""Ids of points, shard keys, JSON paths, and what to return of a point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from consensus.state import ShardKey
from protos.errors import MalformedBody
from protos.ids import PointId, parse_point_id
from protos.json_path import parse_path
from protos.qdrant import collections_pb2, filters_pb2, points_pb2
from protos.shard import PayloadSelector, Projection
from router.grpc.errors import Unconvertible
from router.shards import KeyWithFallback, ShardSelector


def point_id(message: filters_pb2.PointId) -> PointId:
    """Raises: Unconvertible."""
    kind = message.WhichOneof("point_id_options")
    if kind == "num":
        return message.num
    if kind is None:
        raise Unconvertible("Empty ID is not allowed")
    try:
        return parse_point_id(message.uuid)
    except MalformedBody as error:
        raise Unconvertible(f"Unable to parse UUID: {message.uuid}") from error


def point_ids(messages: Iterable[filters_pb2.PointId]) -> list[PointId]:
    return [point_id(message) for message in messages]


def shard_key(message: collections_pb2.ShardKey) -> ShardKey:
    """Raises: Unconvertible."""
    kind = message.WhichOneof("key")
    if kind is None:
        raise Unconvertible("Shard key is expected")
    return message.keyword if kind == "keyword" else message.number


def shard_key_message(value: ShardKey) -> collections_pb2.ShardKey:
    if isinstance(value, int):
        return collections_pb2.ShardKey(number=value)
    return collections_pb2.ShardKey(keyword=value)


def shard_selector(message: points_pb2.ShardKeySelector) -> ShardSelector:
    """Raises: Unconvertible."""
    keys = tuple(shard_key(key) for key in message.shard_keys)
    if not message.HasField("fallback"):
        return keys
    if len(keys) != 1:
        raise Unconvertible("exactly one shard key is expected beside a fallback")
    return KeyWithFallback(keys[0], shard_key(message.fallback))


def keys_in(message: Any) -> ShardSelector | None:
    """Of any message that has ``shard_key_selector``. Raises: Unconvertible."""
    return shard_selector(message.shard_key_selector) if message.HasField("shard_key_selector") else None


def json_path(text: str) -> str:
    """Raises: MalformedBody."""
    parse_path(text)
    return text


def payload_part(message: points_pb2.WithPayloadSelector) -> bool | PayloadSelector:
    """Raises: Unconvertible, MalformedBody."""
    kind = message.WhichOneof("selector_options")
    if kind is None:
        raise Unconvertible("No PayloadSelector")
    if kind == "enable":
        return message.enable
    if kind == "include":
        return PayloadSelector(include=tuple(map(json_path, message.include.fields)))
    return PayloadSelector(exclude=tuple(map(json_path, message.exclude.fields)))


def vectors_part(message: points_pb2.WithVectorsSelector) -> bool | tuple[str, ...]:
    """Raises: Unconvertible."""
    kind = message.WhichOneof("selector_options")
    if kind is None:
        raise Unconvertible("No WithVectorsSelector")
    return message.enable if kind == "enable" else tuple(message.include.names)


def projection(
    payload: points_pb2.WithPayloadSelector | None,
    vectors: points_pb2.WithVectorsSelector | None,
    *,
    payload_default: bool = False,
) -> Projection:
    """None: not said. Raises: Unconvertible, MalformedBody."""
    return Projection(
        payload_default if payload is None else payload_part(payload),
        False if vectors is None else vectors_part(vectors),
    )
