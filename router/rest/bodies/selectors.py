"""Parts that many bodies share: ids, filters, shard keys, what to return of a point (reference 9.1)."""

from __future__ import annotations

from typing import Any

from consensus.state import ShardKey
from protos.errors import MalformedBody
from protos.filters import Filter, decode_filter
from protos.ids import PointId, parse_point_id
from protos.json_path import parse_path
from protos.shard import PayloadSelector, Projection
from router.rest.bodies.schemas import PayloadSelectorBody, PointsSelectorBody, Selector
from router.shards import KeyWithFallback, ShardSelector

SHARD_KEY_MAX = 2**64 - 1


def decode_ids(values: list[Any]) -> list[PointId]:
    """Raises: MalformedBody if one is no point id."""
    return [parse_point_id(value) for value in values]


def decode_optional_filter(value: Any, path: str = "filter") -> Filter | None:
    return None if value is None else decode_filter(value, path=path)


def decode_shard_keys(value: Any) -> ShardSelector | None:
    """A key, a list of keys, or a target with a fallback. Raises: MalformedBody on another shape."""
    if value is None:
        return None
    if isinstance(value, dict):
        if not {"target", "fallback"} <= value.keys():
            raise MalformedBody("a shard key with a fallback has the fields `target` and `fallback`")
        return KeyWithFallback(shard_key(value["target"]), shard_key(value["fallback"]))
    keys = value if isinstance(value, list) else [value]
    return tuple(shard_key(key) for key in keys)


def shard_key(value: Any) -> ShardKey:
    """A string or an unsigned 64-bit number. Raises: MalformedBody."""
    if isinstance(value, str) or (
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= SHARD_KEY_MAX
    ):
        return value
    raise MalformedBody(f"value {value} is not a valid shard key")


def decode_target(body: PointsSelectorBody) -> tuple[list[PointId] | None, Filter | None]:
    """Ids or a filter; ids win when both are given (reference 8.5).

    Raises: MalformedBody if there is neither.
    """
    if body.points is not None:
        return decode_ids(body.points), None
    if body.filter is not None:
        return None, decode_filter(body.filter)
    raise MalformedBody("Either list of ids or filter conditions must be specified")


def decode_projection(
    with_payload: PayloadSelectorBody,
    with_vector: Selector,
    with_vectors: Selector,
    *,
    payload_default: bool = False,
) -> Projection:
    """Raises: MalformedBody on an unknown selector or path."""
    vectors = with_vectors if with_vector is None else with_vector
    return Projection(
        payload_default if with_payload is None else _payload_part(with_payload),
        tuple(vectors) if isinstance(vectors, list) else bool(vectors),
    )


def _payload_part(value: bool | list[str] | dict[str, Any]) -> bool | PayloadSelector:
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        return PayloadSelector(include=_paths(value))
    if value.keys() == {"include"}:
        return PayloadSelector(include=_paths(value["include"]))
    if value.keys() == {"exclude"}:
        return PayloadSelector(exclude=_paths(value["exclude"]))
    raise MalformedBody("a payload selector has exactly one of the fields `include` and `exclude`")


def _paths(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise MalformedBody("a payload selector takes a list of paths")
    return tuple(check_path(value) for value in values)


def check_path(value: Any) -> str:
    """Raises: MalformedBody if ``value`` is not a JSON path."""
    if not isinstance(value, str):
        raise MalformedBody(f"Invalid json path: {value!r} is not a string")
    parse_path(value)
    return value
