"""Bodies of point changes without vectors, and batches of changes (reference 8.4 to 8.7)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from protos.collections import VectorsConfig
from protos.errors import BadRequest, InvalidField, MalformedBody
from protos.filters import decode_filter
from protos.operations import (
    ClearPayload,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    OverwritePayload,
    PointChange,
    SetPayload,
)
from router.checks import NO_VECTORS_TO_DELETE
from router.points import Draft
from router.rest.bodies.reading import decode
from router.rest.bodies.schemas import (
    NULL,
    DeletePayloadBody,
    DeleteVectorsBody,
    PointsSelectorBody,
    SetPayloadBody,
    UpdateBatchBody,
)
from router.rest.bodies.selectors import check_path, decode_ids, decode_shard_keys, decode_target
from router.rest.bodies.upserts import Body, compact_payload, decode_update_vectors, decode_upsert

DraftDecoder = Callable[[Body], Draft]

_selector = msgspec.json.Decoder(PointsSelectorBody)
_delete_vectors = msgspec.json.Decoder(DeleteVectorsBody)
_set_payload = msgspec.json.Decoder(SetPayloadBody)
_delete_payload = msgspec.json.Decoder(DeletePayloadBody)
_batch = msgspec.json.Decoder(UpdateBatchBody)


def _draft(change: PointChange, body: PointsSelectorBody) -> Draft:
    def build(_vectors: VectorsConfig) -> PointChange:
        return change

    return Draft(build, decode_shard_keys(body.shard_key))


def decode_delete(body: Body) -> Draft:
    request = decode(body, _selector)
    ids, condition = decode_target(request)
    return _draft(DeletePoints(ids, condition), request)


def decode_clear_payload(body: Body) -> Draft:
    request = decode(body, _selector)
    ids, condition = decode_target(request)
    return _draft(ClearPayload(ids, condition), request)


def decode_delete_vectors(body: Body) -> Draft:
    """Both selectors may be given, both are then executed. Raises: BadRequest if neither is."""
    request = decode(body, _delete_vectors)
    if not request.vector:
        raise InvalidField("vector", NO_VECTORS_TO_DELETE)
    if request.points is None and request.filter is None:
        raise BadRequest("No filter or points provided")
    ids = None if request.points is None else decode_ids(request.points)
    condition = None if request.filter is None else decode_filter(request.filter)
    return _draft(DeleteVectors(tuple(dict.fromkeys(request.vector)), ids, condition), request)


def decode_set_payload(body: Body) -> Draft:
    request = decode(body, _set_payload)
    ids, condition = decode_target(request)
    path = None if request.key is None else check_path(request.key)
    return _draft(SetPayload(_payload(request), path, ids, condition), request)


def decode_overwrite_payload(body: Body) -> Draft:
    request = decode(body, _set_payload)
    ids, condition = decode_target(request)
    return _draft(OverwritePayload(_payload(request), ids, condition), request)


def _payload(request: SetPayloadBody) -> bytes:
    if request.payload == NULL:
        raise MalformedBody("invalid type: null, a payload must be an object")
    return compact_payload(request.payload)


def decode_delete_payload(body: Body) -> Draft:
    request = decode(body, _delete_payload)
    ids, condition = decode_target(request)
    paths = tuple(check_path(key) for key in request.keys)
    return _draft(DeletePayload(paths, ids, condition), request)


_OPERATIONS: dict[str, DraftDecoder] = {
    "upsert": decode_upsert,
    "delete": decode_delete,
    "set_payload": decode_set_payload,
    "overwrite_payload": decode_overwrite_payload,
    "delete_payload": decode_delete_payload,
    "clear_payload": decode_clear_payload,
    "update_vectors": decode_update_vectors,
    "delete_vectors": decode_delete_vectors,
}


def decode_batch(body: Body) -> list[Draft]:
    """Every operation of a batch, decoded before the first is applied.

    Raises: MalformedBody if one names no operation; as the operations' own decoders.
    """
    drafts: list[Draft] = []
    for place, operation in enumerate(decode(body, _batch).operations):
        named = [name for name in _OPERATIONS if getattr(operation, name) != NULL]
        if len(named) != 1:
            expected = ", ".join(f"`{name}`" for name in _OPERATIONS)
            raise MalformedBody(f"operations[{place}] must have exactly one of {expected}")
        drafts.append(_OPERATIONS[named[0]](getattr(operation, named[0])))
    return drafts
