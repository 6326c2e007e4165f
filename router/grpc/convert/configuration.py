"""Requests about collections, into the JSON form of the same requests.

``protos.collections`` has one decoder for them, with all the constraints; so messages become what it takes,
field by field: names are the same on both sides but for those in the tables here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from protos.collections import (
    UNNAMED,
    AliasAction,
    CreateCollection,
    CreateFieldIndex,
    UpdateCollection,
    VectorParams,
    decode_alias_actions,
    decode_create,
    decode_field_index,
    decode_update,
    decode_vector_name,
)
from protos.qdrant import collections_pb2, configuration_pb2, updates_pb2
from protos.qdrant.values_pb2 import Value
from router.grpc.convert.values import plain_object
from router.grpc.convert.words import word
from router.grpc.errors import Unconvertible

Json = dict[str, Any]

_ADDRESSING: Final = {"collection_name", "timeout", "wait", "ordering"}  # no part of the configuration
_RENAMED: Final = {"vectors_config": "vectors", "sparse_vectors_config": "sparse_vectors"}


def create_request(message: collections_pb2.CreateCollection) -> CreateCollection:
    """Raises: as ``decode_create``; Unconvertible."""
    return decode_create(_request(message))


def update_request(message: collections_pb2.UpdateCollection) -> UpdateCollection:
    """Raises: as ``decode_update``; Unconvertible."""
    return decode_update(_request(message))


def alias_actions(message: collections_pb2.ChangeAliases) -> list[AliasAction]:
    """Raises: as ``decode_alias_actions``; Unconvertible."""
    actions = []
    for action in message.actions:
        kind = action.WhichOneof("action")
        if kind is None:
            raise Unconvertible("Alias action is missing")
        actions.append({kind: _whole(getattr(action, kind))})
    return decode_alias_actions({"actions": actions})


def vector_name_request(message: updates_pb2.CreateVectorNameRequest) -> VectorParams:
    """Raises: as ``decode_vector_name``; Unconvertible."""
    kind = message.WhichOneof("vector_config")
    if kind is None:
        raise Unconvertible("vector_config is expected")
    config = _plain(getattr(message, kind))
    return decode_vector_name({kind.removesuffix("_config"): config})


def index_request(message: updates_pb2.CreateFieldIndexCollection) -> CreateFieldIndex:
    """Raises: as ``decode_field_index``; Unconvertible."""
    if not message.HasField("field_type"):
        raise Unconvertible("cannot convert field_type")
    name = word("qdrant.FieldType", message.field_type)
    schema: str | Json = name
    if message.HasField("field_index_params"):
        kind = message.field_index_params.WhichOneof("index_params")
        if kind != f"{name}_index_params":
            raise Unconvertible(f"field_type ({name}) and field_index_params do not match")
        schema = {"type": name, **_plain(getattr(message.field_index_params, kind))}
    return decode_field_index({"field_name": message.field_name, "field_schema": schema})


# --- messages into JSON ------------------------------------------------------------------------------


def _request(message: Message) -> Json:
    fields = {name: value for name, value in _plain(message).items() if name not in _ADDRESSING}
    return {_RENAMED.get(name, name): value for name, value in fields.items()}


def _plain(message: Message) -> Any:
    """What is set of a message, as its type wants it."""
    special = _SPECIAL.get(message.DESCRIPTOR.full_name)
    return _fields(message) if special is None else special(message)


def _fields(message: Message) -> Json:
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _whole(message: Message) -> Json:
    """With the fields that are left out on the wire because they are zero."""
    defaults = {
        field.name: field.default_value for field in message.DESCRIPTOR.fields if not field.has_presence
    }
    return {**defaults, **_fields(message)}


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        return word(field.enum_type.full_name, value)
    if field.message_type is None:
        return list(value) if field.is_repeated else value
    if not field.message_type.GetOptions().map_entry:
        return _plain(value)
    if field.message_type.fields_by_name["value"].message_type is Value.DESCRIPTOR:
        return plain_object(value)
    return {name: _plain(item) for name, item in value.items()}


# --- types that look otherwise in JSON -----------------------------------------------------------------


def _vectors_config(message: configuration_pb2.VectorsConfig) -> Json:
    kind = message.WhichOneof("config")
    if kind is None:
        raise Unconvertible("vectors config is expected to be params or params_map")
    if kind == "params":
        return {UNNAMED: _plain(message.params)}
    return {name: _plain(params) for name, params in message.params_map.map.items()}


def _vector_params(message: configuration_pb2.VectorParams) -> Json:
    """A size of zero is not sent, and must still be found wrong."""
    return {"size": message.size, "distance": word("qdrant.Distance", message.distance), **_fields(message)}


def _multivector(message: configuration_pb2.MultiVectorConfig) -> Json:
    return {"comparator": word("qdrant.MultiVectorComparator", message.comparator)}


def _optimizers(message: configuration_pb2.OptimizersConfigDiff) -> Json:
    fields = _fields(message)
    older = fields.pop("deprecated_max_optimization_threads", None)
    if older is not None:
        fields.setdefault("max_optimization_threads", older)
    return fields


def _threads(message: configuration_pb2.MaxOptimizationThreads) -> int | str:
    kind = message.WhichOneof("variant")
    if kind is None:
        raise Unconvertible("max_optimization_threads is expected to be a value or a setting")
    if kind == "value":
        return message.value
    return word("qdrant.MaxOptimizationThreads.Setting", message.setting)


def _quantization(message: Any) -> Json | str:
    kind = message.WhichOneof("quantization")
    if kind is None:
        raise Unconvertible("Unable to convert quantization config")
    if kind == "disabled":
        return "Disabled"
    return {"turbo" if kind == "turboquant" else kind: _plain(getattr(message, kind))}


def _scalar(message: configuration_pb2.ScalarQuantization) -> Json:
    return {**_fields(message), "type": word("qdrant.QuantizationType", message.type)}


def _product(message: configuration_pb2.ProductQuantization) -> Json:
    return {**_fields(message), "compression": word("qdrant.CompressionRatio", message.compression)}


def _query_encoding(message: configuration_pb2.BinaryQuantizationQueryEncoding) -> str:
    return word("qdrant.BinaryQuantizationQueryEncoding.Setting", message.setting)


def _text_index(message: configuration_pb2.TextIndexParams) -> Json:
    return {**_fields(message), "tokenizer": word("qdrant.TokenizerType", message.tokenizer)}


def _stemmer(message: configuration_pb2.StemmingAlgorithm) -> Json:
    kind = message.WhichOneof("stemming_params")
    if kind is None:
        raise Unconvertible("stemmer is expected to be snowball or disabled")
    if kind == "disabled":
        return {"type": "none"}
    return {"type": "snowball", "language": message.snowball.language}


_SPECIAL: Final[Mapping[str, Callable[[Any], Any]]] = {
    "qdrant.VectorsConfig": _vectors_config,
    "qdrant.VectorsConfigDiff": _vectors_config,
    "qdrant.VectorParams": _vector_params,
    "qdrant.DenseVectorCreationConfig": _vector_params,
    "qdrant.MultiVectorConfig": _multivector,
    "qdrant.SparseVectorConfig": lambda message: _fields(message).get("map", {}),
    "qdrant.OptimizersConfigDiff": _optimizers,
    "qdrant.MaxOptimizationThreads": _threads,
    "qdrant.QuantizationConfig": _quantization,
    "qdrant.QuantizationConfigDiff": _quantization,
    "qdrant.ScalarQuantization": _scalar,
    "qdrant.ProductQuantization": _product,
    "qdrant.BinaryQuantizationQueryEncoding": _query_encoding,
    "qdrant.StrictModeSparseConfig": lambda message: _fields(message).get("sparse_config", {}),
    "qdrant.StrictModeMultivectorConfig": lambda message: _fields(message).get("multivector_config", {}),
    "qdrant.KeywordPrefixParams": lambda _message: True,
    "qdrant.TextIndexParams": _text_index,
    "qdrant.StemmingAlgorithm": _stemmer,
}
