"""Request bodies about collections → values of ``requests``, with Qdrant's errors.

Three things keep this from being a plain ``msgspec`` decode, so bodies are renamed and split first:
Qdrant takes several names for some keys, ``vectors`` is either one vector's params or a map by name,
and quantization and alias actions are told apart by their only key. Unknown keys are ignored.

Every function takes JSON bytes or what they decode to, and raises ``MalformedBody`` (400) for a
wrong shape, ``InvalidField`` (422) for a broken constraint, and the 400s of ``rules``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import replace

from protos.collections import rules
from protos.collections.payload_index import PayloadIndexParams, PayloadSchema, PayloadSchemaType
from protos.collections.requests import (
    AliasAction,
    CreateAlias,
    CreateCollection,
    CreateFieldIndex,
    DeleteAlias,
    RenameAlias,
    UpdateCollection,
)
from protos.collections.tuning import HnswConfigDiff
from protos.collections.vectors import (
    UNNAMED,
    AnyVectorParams,
    SparseIndexParams,
    SparseVectorConfig,
    SparseVectorParams,
    VectorParams,
)
from protos.errors import BadInput, MalformedBody
from protos.json_path import parse_path
from protos.structs import learn

_T = TypeVar("_T")
Body = bytes | Mapping[str, Any]

_AnyIndexParams: type[PayloadIndexParams] = cast(Any, PayloadIndexParams)
_QUANTIZATIONS = ("scalar", "product", "binary", "turbo")
_TOP_NAMES = {"optimizer_config": "optimizers_config", "quantization": "quantization_config"}
_VECTOR_NAMES = {"quantization": "quantization_config"}
_HNSW_NAMES = {"full_scan_threshold_kb": "full_scan_threshold"}
_OPTIMIZER_NAMES = {
    f"{name}_kb": name for name in ("max_segment_size", "memmap_threshold", "indexing_threshold")
}
DEPTH_MAX = 128
_ALIAS_ACTIONS: dict[str, type[CreateAlias] | type[DeleteAlias] | type[RenameAlias]] = {
    "create_alias": CreateAlias,
    "delete_alias": DeleteAlias,
    "rename_alias": RenameAlias,
}


def decode_create(body: Body) -> CreateCollection:
    fields = _canonical(_object(body))
    fields["vectors"] = _vectors_by_name(fields.get("vectors"))
    request = _convert(fields, CreateCollection)
    _limit_depth(request.metadata)
    rules.check_create(request)
    return request


def decode_update(body: Body) -> UpdateCollection:
    fields = _canonical(_object(body))
    if isinstance(fields.get("vectors"), Mapping):
        fields["vectors"] = {name: _vector(params) for name, params in fields["vectors"].items()}
    request = _convert(fields, UpdateCollection)
    _limit_depth(request.metadata)
    rules.check_update(request)
    return request


def decode_alias_actions(body: Body) -> list[AliasAction]:
    actions = _object(body).get("actions")
    if not isinstance(actions, list):
        raise MalformedBody("Expected `array` - at `$.actions`")
    decoded = [_alias_action(action) for action in actions]
    for index, action in enumerate(decoded):
        if isinstance(action, CreateAlias):
            rules.check_alias_name(action.alias_name, f"actions[{index}].create_alias.alias_name")
        elif isinstance(action, RenameAlias):
            rules.check_alias_name(action.new_alias_name, f"actions[{index}].rename_alias.new_alias_name")
    return decoded


def decode_field_index(body: Body) -> CreateFieldIndex:
    fields = _object(body)
    name = fields.get("field_name")
    if not isinstance(name, str):
        raise MalformedBody("Expected `str` - at `$.field_name`")
    parse_path(name)
    given = fields.get("field_schema", fields.get("field_type"))
    if given is None:
        raise BadInput("Can't auto-detect field type, please specify `field_schema` in the request")
    schema = _index_schema(given)
    rules.check_index(schema)
    return CreateFieldIndex(name, schema)


def decode_vector_name(body: Body) -> AnyVectorParams:
    """The body of ``PUT …/vectors/{name}`` (reference 7.5)."""
    fields = _object(body)
    if "dense" in fields:
        params = _vector_params(fields["dense"], ".dense")
        rules.check_vector_params(params, "dense")
        return params
    if "sparse" in fields:
        given = _convert(fields["sparse"], SparseVectorConfig, at=".sparse")
        index = None if given.datatype is None else SparseIndexParams(datatype=given.datatype)
        sparse = SparseVectorParams(index, given.modifier)
        rules.check_sparse_params(sparse, "sparse")
        return sparse
    raise MalformedBody("data did not match any variant of untagged enum VectorNameConfig")


# --- shapes --------------------------------------------------------------------------------------


def _canonical(fields: dict[str, Any]) -> dict[str, Any]:
    """Give every key its one name, and quantizations their one member."""
    fields = _renamed(fields, _TOP_NAMES)
    for key, names in (("hnsw_config", _HNSW_NAMES), ("optimizers_config", _OPTIMIZER_NAMES)):
        if isinstance(fields.get(key), Mapping):
            fields[key] = _renamed(fields[key], names)
    if "quantization_config" in fields:
        fields["quantization_config"] = _quantization(fields["quantization_config"])
    return fields


def _vectors_by_name(value: Any) -> Any:
    """One vector's params become ``{"": params}``; a map stays; null is no vectors at all."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise MalformedBody("data did not match any variant of untagged enum VectorsConfig")
    if any(key in value and not isinstance(value[key], Mapping) for key in ("size", "distance")):
        return {UNNAMED: _vector_params(value, ".vectors")}
    return {name: _vector_params(item, f".vectors.{name}") for name, item in value.items()}


def _vector_params(value: Any, at: str) -> VectorParams:
    """An HNSW diff that changes nothing is none."""
    params = _convert(_vector(value), VectorParams, at=at)
    return replace(params, hnsw_config=None) if params.hnsw_config == HnswConfigDiff() else params


def _vector(params: Any) -> Any:
    if not isinstance(params, Mapping):
        return params
    params = _renamed(params, _VECTOR_NAMES)
    if isinstance(params.get("hnsw_config"), Mapping):
        params["hnsw_config"] = _renamed(params["hnsw_config"], _HNSW_NAMES)
    if "quantization_config" in params:
        params["quantization_config"] = _quantization(params["quantization_config"])
    return params


def _quantization(value: Any) -> Any:
    """Keep the first known member, as Qdrant's untagged union does."""
    if not isinstance(value, Mapping):
        return value
    for kind in _QUANTIZATIONS:
        if value.get(kind) is not None:
            return {kind: value[kind]}
    raise MalformedBody("data did not match any variant of untagged enum QuantizationConfig")


def _alias_action(value: Any) -> AliasAction:
    if isinstance(value, Mapping):
        for key, kind in _ALIAS_ACTIONS.items():
            if key in value:
                return _convert(value[key], kind, at=f".actions[...].{key}")
    raise MalformedBody("data did not match any variant of untagged enum AliasOperations")


def _index_schema(given: Any) -> PayloadSchema:
    if isinstance(given, str):
        return PayloadSchema(_convert(given, PayloadSchemaType, at=".field_schema"))
    params = _convert(given, _AnyIndexParams, at=".field_schema")
    return PayloadSchema(params.data_type, params)


def _renamed(fields: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in fields.items()}


def _object(body: Body) -> dict[str, Any]:
    if isinstance(body, Mapping):
        return dict(body)
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedBody(str(error)) from error
    except RecursionError as error:
        raise MalformedBody("recursion limit exceeded") from error


def _limit_depth(value: object) -> None:
    """Metadata is encoded again and again, ever deeper inside other values; keep far from the limit."""
    level: list[object] = [value]
    for _ in range(DEPTH_MAX):
        containers = [item for item in level if isinstance(item, dict | list)]
        level = [
            inner for item in containers for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise MalformedBody("recursion limit exceeded")


def _convert(value: Any, kind: type[_T], *, at: str = "") -> _T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise MalformedBody(_located(str(error), at)) from error


def _located(text: str, at: str) -> str:
    """Put ``at`` in front of the path in a msgspec message."""
    if not at:
        return text
    return text.replace("`$", f"`${at}", 1) if "`$" in text else f"{text} - at `${at}`"


learn(CreateCollection, UpdateCollection, SparseVectorConfig, VectorParams, PayloadSchemaType)
learn(_AnyIndexParams, *_ALIAS_ACTIONS.values())
