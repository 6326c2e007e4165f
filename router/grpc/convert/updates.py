"""Writes into drafts. A change of a batch has the fields of the request of its own, so both convert alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from protos.collections import CollectionParams
from protos.errors import BadRequest, InvalidField
from protos.filters import Filter
from protos.ids import PointId
from protos.operations import (
    ClearPayload,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    OverwritePayload,
    PointChange,
    SetPayload,
    UpdateMode,
    UpdateResult,
    UpdateStatus,
    UpdateVectors,
    Upsert,
)
from protos.qdrant import points_pb2, updates_pb2
from router.checks import NO_VECTORS_TO_DELETE, NO_VECTORS_TO_UPDATE, NOTHING_TO_UPDATE
from router.grpc.convert.filters import filter_of
from router.grpc.convert.points import json_path, keys_in, point_id, point_ids
from router.grpc.convert.values import payload_bytes
from router.grpc.convert.vectors import add_vectors
from router.grpc.convert.words import known
from router.grpc.errors import Unconvertible
from router.points import Draft
from router.vectors import VectorRows, pack

Target = tuple[list[PointId] | None, Filter | None]

_MODES: Final = {
    updates_pb2.Upsert: UpdateMode.UPSERT,
    updates_pb2.InsertOnly: UpdateMode.INSERT_ONLY,
    updates_pb2.UpdateOnly: UpdateMode.UPDATE_ONLY,
}
_STATUSES: Final = {
    UpdateStatus.ACKNOWLEDGED: updates_pb2.Acknowledged,
    UpdateStatus.COMPLETED: updates_pb2.Completed,
    UpdateStatus.WAIT_TIMEOUT: updates_pb2.WaitTimeout,
}


def upsert(message: Any) -> Draft:
    """Raises: Unconvertible, InvalidField, BadInput, MalformedBody, as all below."""
    drafts: dict[str, VectorRows] = {}
    ids, payloads = [], []
    for row, point in enumerate(message.points):
        ids.append(point_id(point.id))
        add_vectors(drafts, row, point.vectors, f"points[{row}].vector")
        payloads.append(payload_bytes(point.payload))
    mode = known(_MODES, message.update_mode, "UpdateMode")
    condition = _update_filter(message)

    def build(params: CollectionParams) -> Upsert:
        return Upsert(ids, pack(drafts, params, len(ids)), payloads, mode, condition)

    return Draft(build, keys_in(message), drafts)


def update_vectors(message: Any) -> Draft:
    if not message.points:
        raise InvalidField("points", NOTHING_TO_UPDATE)
    drafts: dict[str, VectorRows] = {}
    ids = []
    for row, point in enumerate(message.points):
        ids.append(point_id(point.id))
        if not add_vectors(drafts, row, point.vectors, f"points[{row}].vector"):
            raise InvalidField(f"points[{row}]", NO_VECTORS_TO_UPDATE)
    condition = _update_filter(message)

    def build(params: CollectionParams) -> UpdateVectors:
        return UpdateVectors(ids, pack(drafts, params, len(ids)), condition)

    return Draft(build, keys_in(message), drafts)


def delete(message: Any) -> Draft:
    return _draft(DeletePoints(*_points_of(message)), message)


def delete_vectors(message: Any) -> Draft:
    if not message.vectors.names:
        raise InvalidField("vectors", NO_VECTORS_TO_DELETE)
    if not message.HasField("points_selector"):
        raise BadRequest("No filter or points provided")
    names = tuple(dict.fromkeys(message.vectors.names))
    return _draft(DeleteVectors(names, *_selected(message.points_selector)), message)


def set_payload(message: Any) -> Draft:
    path = json_path(message.key) if message.HasField("key") else None
    change = SetPayload(payload_bytes(message.payload), path, *_selector_of(message))
    return _draft(change, message)


def overwrite_payload(message: Any) -> Draft:
    return _draft(OverwritePayload(payload_bytes(message.payload), *_selector_of(message)), message)


def delete_payload(message: Any) -> Draft:
    paths = tuple(map(json_path, message.keys))
    return _draft(DeletePayload(paths, *_selector_of(message)), message)


def clear_payload(message: Any) -> Draft:
    return _draft(ClearPayload(*_points_of(message)), message)


def _delete_deprecated(message: points_pb2.PointsSelector) -> Draft:
    change = DeletePoints(*_selected(message))
    return Draft(lambda _vectors: change)


def _clear_deprecated(message: points_pb2.PointsSelector) -> Draft:
    change = ClearPayload(*_selected(message))
    return Draft(lambda _vectors: change)


_OPERATIONS: Final[dict[str, Callable[[Any], Draft]]] = {
    "upsert": upsert,
    "delete_deprecated": _delete_deprecated,
    "set_payload": set_payload,
    "overwrite_payload": overwrite_payload,
    "delete_payload": delete_payload,
    "clear_payload_deprecated": _clear_deprecated,
    "update_vectors": update_vectors,
    "delete_vectors": delete_vectors,
    "delete_points": delete,
    "clear_payload": clear_payload,
}


def batch(operations: Iterable[updates_pb2.PointsUpdateOperation]) -> list[Draft]:
    """Every operation, converted before the first is applied."""
    drafts = []
    for operation in operations:
        kind = operation.WhichOneof("operation")
        if kind is None:
            raise Unconvertible("Operation is missing")
        drafts.append(_OPERATIONS[kind](getattr(operation, kind)))
    return drafts


def result_message(result: UpdateResult) -> updates_pb2.UpdateResult:
    return updates_pb2.UpdateResult(operation_id=result.operation_id, status=_STATUSES[result.status])


# --- parts -------------------------------------------------------------------------------------------


def _draft(change: PointChange, message: Any) -> Draft:
    return Draft(lambda _vectors: change, keys_in(message))


def _update_filter(message: Any) -> Filter | None:
    if not message.HasField("update_filter"):
        return None
    return filter_of(message.update_filter, path="update_filter")


def _points_of(message: Any) -> Target:
    if not message.HasField("points"):
        raise Unconvertible("PointSelector is missing")
    return _selected(message.points)


def _selector_of(message: Any) -> Target:
    if not message.HasField("points_selector"):
        raise Unconvertible("points_selector is expected")
    return _selected(message.points_selector)


def _selected(message: points_pb2.PointsSelector) -> Target:
    kind = message.WhichOneof("points_selector_one_of")
    if kind is None:
        raise Unconvertible("Malformed PointsSelector type")
    if kind == "points":
        return point_ids(message.points.ids), None
    return None, filter_of(message.filter)
