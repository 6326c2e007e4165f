"""What is shown of collections: the JSON form of info, into messages.

The inverse of ``configuration``: fields go by their names, but for the types in the table here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from protos.qdrant import collections_pb2 as wire
from protos.qdrant import configuration_pb2
from protos.qdrant.values_pb2 import Value
from router.collections.info import AliasDescription, ClusterInfo, CollectionInfo
from router.grpc.convert.points import shard_key_message
from router.grpc.convert.values import fill as fill_value
from router.grpc.convert.words import number

_RENAMED: Final = {"vectors": "vectors_config", "sparse_vectors": "sparse_vectors_config"}


def info_message(info: CollectionInfo) -> wire.CollectionInfo:
    status = info.optimizer_status
    message = wire.CollectionInfo(
        status=_status(info.status.value),
        optimizer_status=wire.OptimizerStatus(
            ok=status == "ok", error="" if isinstance(status, str) else status["error"]
        ),
        segments_count=info.segments_count,
        points_count=info.points_count,
        indexed_vectors_count=info.indexed_vectors_count,
        warnings=[wire.CollectionWarning(message=warning.message) for warning in info.warnings],
        update_queue=wire.UpdateQueueInfo(
            length=info.update_queue.length, deferred_points=info.update_queue.deferred_points
        ),
    )
    _fill(message.config, info.config)
    for field, schema in info.payload_schema.items():
        _fill_index(message.payload_schema[field], schema)
    return message


def cluster_message(info: ClusterInfo) -> wire.CollectionClusterInfoResponse:
    message = wire.CollectionClusterInfoResponse(peer_id=info.peer_id, shard_count=info.shard_count)
    for local in info.local_shards:
        shard = message.local_shards.add(
            shard_id=local.shard_id, points_count=local.points_count, state=_state(local.state)
        )
        if local.shard_key is not None:
            shard.shard_key.CopyFrom(shard_key_message(local.shard_key))
    for remote in info.remote_shards:
        other = message.remote_shards.add(
            shard_id=remote.shard_id, peer_id=remote.peer_id, state=_state(remote.state)
        )
        if remote.shard_key is not None:
            other.shard_key.CopyFrom(shard_key_message(remote.shard_key))
    for transfer in info.shard_transfers:
        shown = message.shard_transfers.add(
            shard_id=transfer.shard_id,
            to=transfer.target,
            sync=transfer.sync,
            to_shard_id=transfer.to_shard_id,
        )
        setattr(shown, "from", transfer.source)  # a word of Python's
    for running in info.resharding_operations or ():
        operation = message.resharding_operations.add(
            shard_id=running.shard_id,
            peer_id=running.peer_id,
            direction=number("qdrant.ReshardingDirection", running.direction),
        )
        if running.shard_key is not None:
            operation.shard_key.CopyFrom(shard_key_message(running.shard_key))
    return message


def alias_messages(aliases: Iterable[AliasDescription]) -> list[wire.AliasDescription]:
    return [
        wire.AliasDescription(alias_name=alias.alias_name, collection_name=alias.collection_name)
        for alias in aliases
    ]


def _status(text: str) -> Any:
    return number("qdrant.CollectionStatus", text)


def _state(text: str) -> Any:
    return number("qdrant.ReplicaState", text)


def _fill_index(message: wire.PayloadSchemaInfo, schema: Mapping[str, Any]) -> None:
    kind = schema["data_type"]
    message.data_type = number("qdrant.PayloadSchemaType", kind)  # type: ignore[assignment]  # enums are ints
    message.points = schema["points"]
    if "params" in schema:
        params = getattr(message.params, f"{kind}_index_params")
        params.SetInParent()
        _fill(params, {name: value for name, value in schema["params"].items() if name != "type"})


# --- JSON into messages ------------------------------------------------------------------------------


def _fill(message: Any, shown: Any) -> None:
    special = _SPECIAL.get(message.DESCRIPTOR.full_name)
    if special is None:
        _fill_fields(message, shown)
    else:
        special(message, shown)


def _fill_fields(message: Any, shown: Mapping[str, Any]) -> None:
    fields = message.DESCRIPTOR.fields_by_name
    for name, value in shown.items():
        if value is not None:
            _set(message, fields[_RENAMED.get(name, name) if name not in fields else name], value)


def _set(message: Message, field: FieldDescriptor, value: Any) -> None:
    if field.message_type is None:
        if field.is_repeated:
            getattr(message, field.name).extend(value)
        else:
            setattr(message, field.name, value if field.enum_type is None else _number(field, value))
        return
    target = getattr(message, field.name)
    if not field.message_type.GetOptions().map_entry:
        target.SetInParent()
        _fill(target, value)
        return
    plain = field.message_type.fields_by_name["value"].message_type is Value.DESCRIPTOR
    for key, item in value.items():
        (fill_value if plain else _fill)(target[key], item)
        target[key].SetInParent()


def _number(field: FieldDescriptor, value: str) -> int:
    assert field.enum_type is not None
    return number(field.enum_type.full_name, value)


# --- types that look otherwise in JSON -----------------------------------------------------------------


def _vectors_config(message: configuration_pb2.VectorsConfig, shown: Mapping[str, Any]) -> None:
    """One vector's parameters are told from a map of vectors as in the decoder of requests."""
    if "size" in shown and not isinstance(shown["size"], Mapping):
        _fill(message.params, shown)
        return
    message.params_map.SetInParent()
    for name, params in shown.items():
        _fill(message.params_map.map[name], params)


def _in_map(field: str) -> Callable[[Any, Mapping[str, Any]], None]:
    def fill(message: Any, shown: Mapping[str, Any]) -> None:
        for name, item in shown.items():
            target = getattr(message, field)[name]
            _fill(target, item)

    return fill


def _threads(message: configuration_pb2.MaxOptimizationThreads, shown: int) -> None:
    message.value = shown


def _quantization(message: configuration_pb2.QuantizationConfig, shown: Mapping[str, Any]) -> None:
    for kind, config in shown.items():
        target = getattr(message, "turboquant" if kind == "turbo" else kind)
        target.SetInParent()
        _fill(target, config)


def _query_encoding(message: configuration_pb2.BinaryQuantizationQueryEncoding, shown: str) -> None:
    setting = number("qdrant.BinaryQuantizationQueryEncoding.Setting", shown)
    message.setting = setting  # type: ignore[assignment]  # enums are ints


def _keyword_index(message: configuration_pb2.KeywordIndexParams, shown: Mapping[str, Any]) -> None:
    fields = dict(shown)
    if fields.pop("prefix", None):
        message.prefix.SetInParent()
    _fill_fields(message, fields)


def _stopwords(message: configuration_pb2.StopwordsSet, shown: str | Mapping[str, Any]) -> None:
    _fill_fields(message, {"languages": [shown]} if isinstance(shown, str) else shown)


def _text_index(message: configuration_pb2.TextIndexParams, shown: Mapping[str, Any]) -> None:
    """The wire has no way to leave the tokenizer out."""
    _fill_fields(message, {"tokenizer": "word", **shown})


def _stemmer(message: configuration_pb2.StemmingAlgorithm, shown: Mapping[str, Any]) -> None:
    if shown["type"] == "none":
        message.disabled.SetInParent()
    else:
        message.snowball.language = shown.get("language") or ""


_SPECIAL: Final[Mapping[str, Callable[[Any, Any], None]]] = {
    "qdrant.VectorsConfig": _vectors_config,
    "qdrant.SparseVectorConfig": _in_map("map"),
    "qdrant.StrictModeSparseConfig": _in_map("sparse_config"),
    "qdrant.StrictModeMultivectorConfig": _in_map("multivector_config"),
    "qdrant.MaxOptimizationThreads": _threads,
    "qdrant.QuantizationConfig": _quantization,
    "qdrant.BinaryQuantizationQueryEncoding": _query_encoding,
    "qdrant.KeywordIndexParams": _keyword_index,
    "qdrant.StopwordsSet": _stopwords,
    "qdrant.TextIndexParams": _text_index,
    "qdrant.StemmingAlgorithm": _stemmer,
}
