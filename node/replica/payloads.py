"""Edits of stored payloads: bytes of a JSON object in, bytes out.

Lives here: what each payload operation of the log does to one point's payload (reference 8.5).
May not live here: which points it does it to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from protos.errors import MalformedBody
from protos.json_path import delete_at, merge, parse_path, set_at
from protos.operations import DropPayloadKeys, EmptyPayload, MergePayload, ReplacePayload

EMPTY = b"{}"
DEPTH_MAX = 128  # of a payload; with a path of STEPS_MAX above it, still less than what can be encoded

PayloadOperation = MergePayload | ReplacePayload | DropPayloadKeys | EmptyPayload
Edit = Callable[[bytes], bytes]


def decode_payload(data: bytes) -> dict[str, Any]:
    """A stored payload, which was ``checked`` before."""
    payload: dict[str, Any] = orjson.loads(data)
    return payload


def checked(data: bytes) -> dict[str, Any]:
    """A payload that comes in, decoded: whatever is done to it later cannot fail.

    Raises: MalformedBody if it is no JSON object or nests deeper than ``DEPTH_MAX``.
    """
    if data == EMPTY:
        return {}
    try:
        payload: Any = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"a payload is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise MalformedBody(f"invalid type: {type(payload).__name__}, a payload must be an object")
    if data.count(b"{") + data.count(b"[") > DEPTH_MAX and _depth(payload) > DEPTH_MAX:
        raise MalformedBody(f"recursion limit exceeded: payloads nest at most {DEPTH_MAX} deep")
    return payload


def _depth(payload: dict[str, Any]) -> int:
    """How deep containers nest; at most ``DEPTH_MAX`` + 1 is counted."""
    level: list[Any] = [payload]
    depth = 0
    while level and depth <= DEPTH_MAX:
        depth += 1
        children = (child for one in level for child in (one.values() if isinstance(one, dict) else one))
        level = [child for child in children if isinstance(child, dict | list)]
    return depth


def edit_of(operation: PayloadOperation) -> Edit:
    """What ``operation`` does to each point's payload; bytes that it need not look into stay as they are.

    Everything that can fail does so here; the edit itself does not, on a stored payload.
    Raises: MalformedBody for a payload or a path that is none.
    """
    match operation:
        case ReplacePayload():
            checked(operation.payload)
            return lambda _: operation.payload
        case EmptyPayload():
            return lambda _: EMPTY
        case MergePayload():
            return _merging(operation)
        case DropPayloadKeys():
            return _dropping(operation)


def _merging(operation: MergePayload) -> Edit:
    values = checked(operation.payload)
    path = None if operation.path is None else parse_path(operation.path)

    def edit(data: bytes) -> bytes:
        payload = decode_payload(data)
        if path is None:
            merge(payload, values)
        else:
            set_at(payload, path, values)
        return orjson.dumps(payload)

    return edit


def _dropping(operation: DropPayloadKeys) -> Edit:
    paths = [parse_path(path) for path in operation.paths]

    def edit(data: bytes) -> bytes:
        payload = decode_payload(data)
        for path in paths:
            delete_at(payload, path)
        return orjson.dumps(payload)

    return edit
