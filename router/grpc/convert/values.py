"""JSON values: payloads as the bytes they are stored as, metadata as what JSON decodes to."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from typing import Any

import orjson

from protos.qdrant.values_pb2 import Value
from router.grpc.errors import Unconvertible

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


def payload_bytes(fields: Mapping[str, Value]) -> bytes:
    """A JSON object. Messages nest less deeply than payloads may. Raises: Unconvertible."""
    return orjson.dumps(plain_object(fields))


def plain_object(fields: Mapping[str, Value]) -> dict[str, Any]:
    """Raises: Unconvertible."""
    return {key: plain(value) for key, value in fields.items()}


def plain(value: Value) -> Any:
    """What JSON of the same meaning decodes to. Raises: Unconvertible for what JSON has no number for."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return plain_object(value.struct_value.fields)
    if kind == "list_value":
        return [plain(item) for item in value.list_value.values]
    if kind is None or kind == "null_value":
        return None
    found = getattr(value, kind)
    if kind == "double_value" and not math.isfinite(found):
        raise Unconvertible("cannot convert to json number")
    return found


def fill_object(target: MutableMapping[str, Value], stored: bytes) -> None:
    """Write a payload's fields into a message's map."""
    for key, item in orjson.loads(stored).items():
        fill(target[key], item)


def fill(target: Value, item: Any) -> None:
    if isinstance(item, str):
        target.string_value = item
    elif isinstance(item, bool):
        target.bool_value = item
    elif isinstance(item, int):
        if _INT64_MIN <= item <= _INT64_MAX:
            target.integer_value = item
        else:
            target.double_value = float(item)
    elif isinstance(item, float):
        target.double_value = item
    elif item is None:
        target.null_value = 0  # type: ignore[assignment]  # its only value
    elif isinstance(item, dict):
        target.struct_value.SetInParent()
        for key, inner in item.items():
            fill(target.struct_value.fields[key], inner)
    else:
        target.list_value.SetInParent()
        for inner in item:
            fill(target.list_value.values.add(), inner)
