"""Edits of stored payloads: bytes of a JSON object in, bytes out.

Lives here: what each payload operation of the log does to one point's payload (reference 8.5).
May not live here: which points it does it to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from protos.json_path import delete_at, merge, parse_path, set_at
from protos.operations import DropPayloadKeys, EmptyPayload, MergePayload, ReplacePayload

EMPTY = b"{}"

PayloadOperation = MergePayload | ReplacePayload | DropPayloadKeys | EmptyPayload
Edit = Callable[[bytes], bytes]


def decode_payload(data: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = orjson.loads(data)
    return payload


def edit_of(operation: PayloadOperation) -> Edit:
    """What ``operation`` does to each point's payload; bytes that it need not look into stay as they are."""
    match operation:
        case ReplacePayload():
            return lambda _: operation.payload
        case EmptyPayload():
            return lambda _: EMPTY
        case MergePayload():
            return _merging(operation)
        case DropPayloadKeys():
            return _dropping(operation)


def _merging(operation: MergePayload) -> Edit:
    values = decode_payload(operation.payload)
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
