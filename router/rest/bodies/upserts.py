"""Bodies that carry vectors: upserts (both forms) and vector updates (reference 8.3, 8.4).

The usual body decodes in one typed pass. Only when that fails is it decoded again, loosely, to find
out what the client meant and answer with the error Qdrant's clients know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import orjson
from msgspec import UNSET, Raw, UnsetType

from protos.collections import UNNAMED, VectorsConfig
from protos.errors import InvalidField, MalformedBody
from protos.filters import Filter
from protos.ids import PointId
from protos.operations import UpdateMode, UpdateVectors, Upsert
from router.checks import EMPTY_VECTOR, NO_VECTORS_TO_UPDATE, NOTHING_TO_UPDATE
from router.points import Draft
from router.rest.bodies.explain import explain_vectors
from router.rest.bodies.reading import decode
from router.rest.bodies.schemas import (
    NULL,
    BatchBody,
    DenseVector,
    NamedVectors,
    PointBody,
    PointVectorsBody,
    UpdateVectorsBody,
    UpsertBody,
)
from router.rest.bodies.selectors import decode_ids, decode_optional_filter, decode_shard_keys
from router.vectors import VectorRows, pack

T = TypeVar("T")
Body = bytes | Raw

# Payloads are edited and searched recursively. With a path of the most steps before it, the deepest one
# still stays below what the JSON encoder takes (254), so no accepted change can fail to be applied.
PAYLOAD_DEPTH_MAX = 120

_upsert = msgspec.json.Decoder(UpsertBody)
_update = msgspec.json.Decoder(UpdateVectorsBody)


def decode_upsert(body: Body) -> Draft:
    """Raises: MalformedBody, InvalidField, BadInput, BadRequest as reference 8.3."""
    request = _decode_vectors(body, _upsert)
    mode = _mode(request.update_mode)
    condition = decode_optional_filter(request.update_filter, "update_filter")
    if request.batch is not UNSET:
        ids, payloads, drafts = _columns(request.batch)
    elif request.points is not UNSET:
        ids, payloads, drafts = _rows(request.points)
    else:
        raise MalformedBody("Invalid PointInsertOperations format")

    def build(vectors: VectorsConfig) -> Upsert:
        return Upsert(ids, pack(drafts, vectors, len(ids)), payloads, mode, condition)

    return Draft(build, decode_shard_keys(request.shard_key))


def decode_update_vectors(body: Body) -> Draft:
    request = _decode_vectors(body, _update)
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

    def build(vectors: VectorsConfig) -> UpdateVectors:
        return UpdateVectors(ids, pack(drafts, vectors, len(ids)), condition)

    return Draft(build, decode_shard_keys(request.shard_key))


def _decode_vectors(body: Body, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decode(body, decoder)
    except MalformedBody:
        explain_vectors(body)
        raise


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


def _vector_of(point: PointBody | PointVectorsBody, row: int) -> DenseVector | NamedVectors:
    value = point.vectors if isinstance(point.vector, UnsetType) else point.vector
    if isinstance(value, UnsetType):
        raise MalformedBody(f"missing field `vector` - at `$.points[{row}]`")
    return value


def _add(drafts: dict[str, VectorRows], row: int, value: DenseVector | NamedVectors, path: str) -> None:
    if isinstance(value, list):
        _rows_of(drafts, UNNAMED).add(row, _not_empty(value, path))
        return
    for name, vector in value.items():
        _rows_of(drafts, name).add(row, _not_empty(vector, f"{path}.?"))


def _rows_of(drafts: dict[str, VectorRows], name: str) -> VectorRows:
    rows = drafts.get(name)
    if rows is None:
        rows = drafts[name] = VectorRows()
    return rows


def _not_empty(vector: DenseVector, path: str) -> DenseVector:
    if not vector:
        raise InvalidField(path, EMPTY_VECTOR)
    return vector


def _columns(batch: BatchBody) -> Parts:
    named = batch.vectors if isinstance(batch.vectors, dict) else {UNNAMED: batch.vectors}
    drafts: dict[str, VectorRows] = {}
    for name, values in named.items():
        _same_length("vectors", len(batch.ids), len(values))
        for row, value in enumerate(values):
            _not_empty(value, f"batch.vectors[{row}]")
        drafts[name] = VectorRows(list(range(len(values))), list(values))
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
