"""Bodies that carry vectors: upserts (both forms) and vector updates (reference 8.3, 8.4).

The usual body decodes in one typed pass. Only when that fails is it decoded again, loosely, because objects
that vectors are to be made of may stand among the vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import orjson
from msgspec import UNSET, Raw, UnsetType

from protos.collections import UNNAMED, CollectionParams
from protos.errors import InvalidField, MalformedBody
from protos.filters import Filter
from protos.ids import PointId
from protos.operations import UpdateMode, UpdateVectors, Upsert
from protos.structs import learn
from router.checks import NO_VECTORS_TO_UPDATE, NOTHING_TO_UPDATE, check_vector
from router.inference.objects import InferenceObject
from router.points import Draft
from router.rest.bodies.objects import decode_object, is_object
from router.rest.bodies.reading import decode
from router.rest.bodies.schemas import (
    NULL,
    AnyUpdateVectorsBody,
    AnyUpsertBody,
    BatchBody,
    ListVector,
    NamedVectors,
    PointBody,
    PointVectorsBody,
    UpdateVectorsBody,
    UpsertBody,
)
from router.rest.bodies.selectors import decode_ids, decode_optional_filter, decode_shard_keys
from router.vectors import SparseValues, VectorRows, pack, rows_of

T = TypeVar("T")
Body = bytes | Raw

# Payloads are edited and searched recursively. With a path of the most steps before it, the deepest one
# still stays below what the JSON encoder takes (254), so no accepted change can fail to be applied.
PAYLOAD_DEPTH_MAX = 120

_upsert = msgspec.json.Decoder(UpsertBody)
_update = msgspec.json.Decoder(UpdateVectorsBody)
_any_upsert = msgspec.json.Decoder(AnyUpsertBody)
_any_update = msgspec.json.Decoder(AnyUpdateVectorsBody)


def decode_upsert(body: Body) -> Draft:
    """Raises: MalformedBody, InvalidField, BadInput, BadRequest as reference 8.3."""
    request = _decode_upsert(body)
    mode = _mode(request.update_mode)
    condition = decode_optional_filter(request.update_filter, "update_filter")
    if request.batch is not UNSET:
        ids, payloads, drafts = _columns(request.batch)
    elif request.points is not UNSET:
        ids, payloads, drafts = _rows(request.points)
    else:
        raise MalformedBody("Invalid PointInsertOperations format")

    def build(params: CollectionParams) -> Upsert:
        return Upsert(ids, pack(drafts, params, len(ids)), payloads, mode, condition)

    return Draft(build, decode_shard_keys(request.shard_key), drafts)


def decode_update_vectors(body: Body) -> Draft:
    request = _decode_update(body)
    if not request.points:
        raise InvalidField("points", NOTHING_TO_UPDATE)
    drafts: dict[str, VectorRows] = {}
    for row, point in enumerate(request.points):
        value = _vector_of(point, row)
        if not value:
            raise InvalidField(f"points[{row}]", NO_VECTORS_TO_UPDATE)
        _add(drafts, row, value, f"points[{row}].vector")
    ids = decode_ids([point.id for point in request.points])
    condition: Filter | None = decode_optional_filter(request.update_filter, "update_filter")

    def build(params: CollectionParams) -> UpdateVectors:
        return UpdateVectors(ids, pack(drafts, params, len(ids)), condition)

    return Draft(build, decode_shard_keys(request.shard_key), drafts)


def _decode_upsert(body: Body) -> UpsertBody:
    try:
        return decode(body, _upsert)
    except MalformedBody:
        loose = _decode_loosely(body, _any_upsert)
        if loose is None:
            raise
        objects = 0
        if not isinstance(loose.points, UnsetType):
            objects += _interpret(loose.points)
        if not isinstance(loose.batch, UnsetType):
            objects += _interpret_columns(loose.batch)
        if not objects:
            raise
        return loose


def _decode_update(body: Body) -> UpdateVectorsBody:
    try:
        return decode(body, _update)
    except MalformedBody:
        loose = _decode_loosely(body, _any_update)
        if loose is None or not _interpret(loose.points):
            raise
        return loose


def _decode_loosely(body: Body, decoder: msgspec.json.Decoder[T]) -> T | None:
    try:
        return decode(body, decoder)
    except MalformedBody:
        return None


# --- objects that vectors are to be made of ----------------------------------------------------------------


def _interpret(points: Sequence[PointBody | PointVectorsBody]) -> int:
    """Turn what was decoded loosely into vectors and objects. Returns: how many are objects."""
    objects = 0
    for row, point in enumerate(points):
        if isinstance(point.vector, UnsetType):
            point.vector = point.vectors
        if not isinstance(point.vector, UnsetType):
            path = f"points[{row}].vector"
            point.vector, found = _with_objects(point.vector, path, NamedVectors)
            objects += found
    return objects


def _interpret_columns(batch: BatchBody) -> int:
    values, objects = batch.vectors, 0
    if isinstance(values, dict):
        named = {}
        for name, column in values.items():
            named[name], found = _column(column, f"batch.vectors.{name}")
            objects += found
        batch.vectors = named
    else:
        batch.vectors, objects = _column(values, "batch.vectors")
    return objects


def _column(values: Any, path: str) -> tuple[Any, int]:
    if not isinstance(values, list):
        raise MalformedBody(f"invalid type in `{path}`: a list is expected")
    found = [_with_objects(value, f"{path}[{row}]", SparseValues) for row, value in enumerate(values)]
    return [value for value, _ in found], sum(objects for _, objects in found)


def _with_objects(value: Any, path: str, otherwise: Any) -> tuple[Any, int]:
    """``otherwise``: what stands here if it is neither an object nor a list."""
    if is_object(value):
        return decode_object(value, path), 1
    if isinstance(value, dict) and otherwise is NamedVectors:
        named = {name: _with_objects(each, f"{path}.?", SparseValues) for name, each in value.items()}
        return {name: each for name, (each, _) in named.items()}, sum(found for _, found in named.values())
    try:
        return msgspec.convert(value, ListVector if isinstance(value, list) else otherwise), 0
    except msgspec.ValidationError as problem:
        raise MalformedBody(f"{problem} in `{path}`") from problem


def _mode(text: str | None) -> UpdateMode:
    try:
        return UpdateMode.UPSERT if text is None else UpdateMode(text)
    except ValueError as error:
        expected = ", ".join(f"`{mode.value}`" for mode in UpdateMode)
        raise MalformedBody(f"unknown variant `{text}`, expected one of {expected}") from error


Parts = tuple[list[PointId], list[bytes], dict[str, VectorRows]]


def _rows(points: list[PointBody]) -> Parts:
    drafts: dict[str, VectorRows] = {}
    for row, point in enumerate(points):
        _add(drafts, row, _vector_of(point, row), f"points[{row}].vector")
    ids = decode_ids([point.id for point in points])
    return ids, [compact_payload(point.payload) for point in points], drafts


def _vector_of(point: PointBody | PointVectorsBody, row: int) -> ListVector | NamedVectors:
    value = point.vectors if isinstance(point.vector, UnsetType) else point.vector
    if isinstance(value, UnsetType):
        raise MalformedBody(f"missing field `vector` - at `$.points[{row}]`")
    return value


def _add(drafts: dict[str, VectorRows], row: int, value: ListVector | NamedVectors, path: str) -> None:
    if isinstance(value, list | InferenceObject):
        check_vector(value, path)
        rows_of(drafts, UNNAMED).add(row, value)
        return
    for name, vector in value.items():
        check_vector(vector, f"{path}.?")
        rows_of(drafts, name).add(row, vector)


def _columns(batch: BatchBody) -> Parts:
    named = batch.vectors if isinstance(batch.vectors, dict) else {UNNAMED: batch.vectors}
    drafts: dict[str, VectorRows] = {}
    for name, values in named.items():
        _same_length("vectors", len(batch.ids), len(values))
        rows = drafts[name] = VectorRows()
        for row, value in enumerate(values):
            check_vector(value, f"batch.vectors[{row}]")
            rows.add(row, value)
    payloads: Iterable[Raw] = [NULL] * len(batch.ids)
    if batch.payloads is not None:
        _same_length("payloads", len(batch.ids), len(batch.payloads))
        payloads = batch.payloads
    return decode_ids(batch.ids), [compact_payload(payload) for payload in payloads], drafts


def _same_length(what: str, ids: int, others: int) -> None:
    if ids != others:
        raise InvalidField("batch", f"number of ids and {what} must be equal ({ids} != {others})")


def compact_payload(raw: Raw) -> bytes:
    """A JSON object without whitespace, key order and number kinds kept; null becomes ``{}``.

    Integers beyond 64 bits become floats, as in Qdrant.

    Raises: MalformedBody if it is no object, or nested deeper than ``PAYLOAD_DEPTH_MAX``.
    """
    if raw == NULL:
        return b"{}"
    text = memoryview(raw)
    try:
        payload: Any = orjson.loads(text)
        if isinstance(payload, dict):
            return _of_bounded_depth(orjson.dumps(payload), payload)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise MalformedBody(str(error)) from error
    raise MalformedBody(f"invalid type: {type(payload).__name__}, a payload must be an object")


def _of_bounded_depth(text: bytes, payload: Any) -> bytes:
    if text.count(b"{") + text.count(b"[") > PAYLOAD_DEPTH_MAX:  # else it cannot be too deep
        level, depth = [payload], 0
        while level:
            depth += 1
            if depth > PAYLOAD_DEPTH_MAX:
                raise MalformedBody(
                    f"recursion limit exceeded: payloads nest at most {PAYLOAD_DEPTH_MAX} deep"
                )
            level = [child for value in level for child in _containers(value)]
    return text


def _containers(value: dict[str, Any] | list[Any]) -> Iterable[dict[str, Any] | list[Any]]:
    children = value.values() if isinstance(value, dict) else value
    return (child for child in children if isinstance(child, dict | list))


learn(ListVector, SparseValues, NamedVectors)
