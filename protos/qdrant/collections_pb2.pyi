# mypy: ignore-errors
# ruff: noqa
# fmt: off
from protos.qdrant import configuration_pb2 as _configuration_pb2
from protos.qdrant import filters_pb2 as _filters_pb2
from protos.qdrant import values_pb2 as _values_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CollectionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UnknownCollectionStatus: _ClassVar[CollectionStatus]
    Green: _ClassVar[CollectionStatus]
    Yellow: _ClassVar[CollectionStatus]
    Red: _ClassVar[CollectionStatus]
    Grey: _ClassVar[CollectionStatus]

class ReplicaState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Active: _ClassVar[ReplicaState]
    Dead: _ClassVar[ReplicaState]
    Partial: _ClassVar[ReplicaState]
    Initializing: _ClassVar[ReplicaState]
    Listener: _ClassVar[ReplicaState]
    PartialSnapshot: _ClassVar[ReplicaState]
    Recovery: _ClassVar[ReplicaState]
    Resharding: _ClassVar[ReplicaState]
    ReshardingScaleDown: _ClassVar[ReplicaState]
    ActiveRead: _ClassVar[ReplicaState]
    ManualRecovery: _ClassVar[ReplicaState]

class ReshardingDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Up: _ClassVar[ReshardingDirection]
    Down: _ClassVar[ReshardingDirection]

class ShardTransferMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    StreamRecords: _ClassVar[ShardTransferMethod]
    Snapshot: _ClassVar[ShardTransferMethod]
    WalDelta: _ClassVar[ShardTransferMethod]
    ReshardingStreamRecords: _ClassVar[ShardTransferMethod]
UnknownCollectionStatus: CollectionStatus
Green: CollectionStatus
Yellow: CollectionStatus
Red: CollectionStatus
Grey: CollectionStatus
Active: ReplicaState
Dead: ReplicaState
Partial: ReplicaState
Initializing: ReplicaState
Listener: ReplicaState
PartialSnapshot: ReplicaState
Recovery: ReplicaState
Resharding: ReplicaState
ReshardingScaleDown: ReplicaState
ActiveRead: ReplicaState
ManualRecovery: ReplicaState
Up: ReshardingDirection
Down: ReshardingDirection
StreamRecords: ShardTransferMethod
Snapshot: ShardTransferMethod
WalDelta: ShardTransferMethod
ReshardingStreamRecords: ShardTransferMethod

class GetCollectionInfoRequest(_message.Message):
    __slots__ = ("collection_name",)
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    def __init__(self, collection_name: _Optional[str] = ...) -> None: ...

class CollectionExistsRequest(_message.Message):
    __slots__ = ("collection_name",)
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    def __init__(self, collection_name: _Optional[str] = ...) -> None: ...

class CollectionExists(_message.Message):
    __slots__ = ("exists",)
    EXISTS_FIELD_NUMBER: _ClassVar[int]
    exists: bool
    def __init__(self, exists: _Optional[bool] = ...) -> None: ...

class CollectionExistsResponse(_message.Message):
    __slots__ = ("result", "time")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    result: CollectionExists
    time: float
    def __init__(self, result: _Optional[_Union[CollectionExists, _Mapping]] = ..., time: _Optional[float] = ...) -> None: ...

class ListCollectionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CollectionDescription(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetCollectionInfoResponse(_message.Message):
    __slots__ = ("result", "time")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    result: CollectionInfo
    time: float
    def __init__(self, result: _Optional[_Union[CollectionInfo, _Mapping]] = ..., time: _Optional[float] = ...) -> None: ...

class ListCollectionsResponse(_message.Message):
    __slots__ = ("collections", "time")
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    collections: _containers.RepeatedCompositeFieldContainer[CollectionDescription]
    time: float
    def __init__(self, collections: _Optional[_Iterable[_Union[CollectionDescription, _Mapping]]] = ..., time: _Optional[float] = ...) -> None: ...

class OptimizerStatus(_message.Message):
    __slots__ = ("ok", "error")
    OK_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    error: str
    def __init__(self, ok: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...

class CollectionWarning(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...

class CreateCollection(_message.Message):
    __slots__ = ("collection_name", "hnsw_config", "wal_config", "optimizers_config", "shard_number", "on_disk_payload", "timeout", "vectors_config", "replication_factor", "write_consistency_factor", "quantization_config", "sharding_method", "sparse_vectors_config", "strict_mode_config", "metadata", "payload")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _values_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_values_pb2.Value, _Mapping]] = ...) -> None: ...
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    HNSW_CONFIG_FIELD_NUMBER: _ClassVar[int]
    WAL_CONFIG_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZERS_CONFIG_FIELD_NUMBER: _ClassVar[int]
    SHARD_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ON_DISK_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    VECTORS_CONFIG_FIELD_NUMBER: _ClassVar[int]
    REPLICATION_FACTOR_FIELD_NUMBER: _ClassVar[int]
    WRITE_CONSISTENCY_FACTOR_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_CONFIG_FIELD_NUMBER: _ClassVar[int]
    SHARDING_METHOD_FIELD_NUMBER: _ClassVar[int]
    SPARSE_VECTORS_CONFIG_FIELD_NUMBER: _ClassVar[int]
    STRICT_MODE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    hnsw_config: _configuration_pb2.HnswConfigDiff
    wal_config: _configuration_pb2.WalConfigDiff
    optimizers_config: _configuration_pb2.OptimizersConfigDiff
    shard_number: int
    on_disk_payload: bool
    timeout: int
    vectors_config: _configuration_pb2.VectorsConfig
    replication_factor: int
    write_consistency_factor: int
    quantization_config: _configuration_pb2.QuantizationConfig
    sharding_method: _configuration_pb2.ShardingMethod
    sparse_vectors_config: _configuration_pb2.SparseVectorConfig
    strict_mode_config: _configuration_pb2.StrictModeConfig
    metadata: _containers.MessageMap[str, _values_pb2.Value]
    payload: _configuration_pb2.PayloadStorageParams
    def __init__(self, collection_name: _Optional[str] = ..., hnsw_config: _Optional[_Union[_configuration_pb2.HnswConfigDiff, _Mapping]] = ..., wal_config: _Optional[_Union[_configuration_pb2.WalConfigDiff, _Mapping]] = ..., optimizers_config: _Optional[_Union[_configuration_pb2.OptimizersConfigDiff, _Mapping]] = ..., shard_number: _Optional[int] = ..., on_disk_payload: _Optional[bool] = ..., timeout: _Optional[int] = ..., vectors_config: _Optional[_Union[_configuration_pb2.VectorsConfig, _Mapping]] = ..., replication_factor: _Optional[int] = ..., write_consistency_factor: _Optional[int] = ..., quantization_config: _Optional[_Union[_configuration_pb2.QuantizationConfig, _Mapping]] = ..., sharding_method: _Optional[_Union[_configuration_pb2.ShardingMethod, str]] = ..., sparse_vectors_config: _Optional[_Union[_configuration_pb2.SparseVectorConfig, _Mapping]] = ..., strict_mode_config: _Optional[_Union[_configuration_pb2.StrictModeConfig, _Mapping]] = ..., metadata: _Optional[_Mapping[str, _values_pb2.Value]] = ..., payload: _Optional[_Union[_configuration_pb2.PayloadStorageParams, _Mapping]] = ...) -> None: ...

class UpdateCollection(_message.Message):
    __slots__ = ("collection_name", "optimizers_config", "timeout", "params", "hnsw_config", "vectors_config", "quantization_config", "sparse_vectors_config", "strict_mode_config", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _values_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_values_pb2.Value, _Mapping]] = ...) -> None: ...
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZERS_CONFIG_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    HNSW_CONFIG_FIELD_NUMBER: _ClassVar[int]
    VECTORS_CONFIG_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_CONFIG_FIELD_NUMBER: _ClassVar[int]
    SPARSE_VECTORS_CONFIG_FIELD_NUMBER: _ClassVar[int]
    STRICT_MODE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    optimizers_config: _configuration_pb2.OptimizersConfigDiff
    timeout: int
    params: _configuration_pb2.CollectionParamsDiff
    hnsw_config: _configuration_pb2.HnswConfigDiff
    vectors_config: _configuration_pb2.VectorsConfigDiff
    quantization_config: _configuration_pb2.QuantizationConfigDiff
    sparse_vectors_config: _configuration_pb2.SparseVectorConfig
    strict_mode_config: _configuration_pb2.StrictModeConfig
    metadata: _containers.MessageMap[str, _values_pb2.Value]
    def __init__(self, collection_name: _Optional[str] = ..., optimizers_config: _Optional[_Union[_configuration_pb2.OptimizersConfigDiff, _Mapping]] = ..., timeout: _Optional[int] = ..., params: _Optional[_Union[_configuration_pb2.CollectionParamsDiff, _Mapping]] = ..., hnsw_config: _Optional[_Union[_configuration_pb2.HnswConfigDiff, _Mapping]] = ..., vectors_config: _Optional[_Union[_configuration_pb2.VectorsConfigDiff, _Mapping]] = ..., quantization_config: _Optional[_Union[_configuration_pb2.QuantizationConfigDiff, _Mapping]] = ..., sparse_vectors_config: _Optional[_Union[_configuration_pb2.SparseVectorConfig, _Mapping]] = ..., strict_mode_config: _Optional[_Union[_configuration_pb2.StrictModeConfig, _Mapping]] = ..., metadata: _Optional[_Mapping[str, _values_pb2.Value]] = ...) -> None: ...

class DeleteCollection(_message.Message):
    __slots__ = ("collection_name", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., timeout: _Optional[int] = ...) -> None: ...

class CollectionOperationResponse(_message.Message):
    __slots__ = ("result", "time")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    result: bool
    time: float
    def __init__(self, result: _Optional[bool] = ..., time: _Optional[float] = ...) -> None: ...

class PayloadSchemaInfo(_message.Message):
    __slots__ = ("data_type", "params", "points")
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    data_type: _configuration_pb2.PayloadSchemaType
    params: _configuration_pb2.PayloadIndexParams
    points: int
    def __init__(self, data_type: _Optional[_Union[_configuration_pb2.PayloadSchemaType, str]] = ..., params: _Optional[_Union[_configuration_pb2.PayloadIndexParams, _Mapping]] = ..., points: _Optional[int] = ...) -> None: ...

class UpdateQueueInfo(_message.Message):
    __slots__ = ("length", "deferred_points")
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    DEFERRED_POINTS_FIELD_NUMBER: _ClassVar[int]
    length: int
    deferred_points: int
    def __init__(self, length: _Optional[int] = ..., deferred_points: _Optional[int] = ...) -> None: ...

class CollectionInfo(_message.Message):
    __slots__ = ("status", "optimizer_status", "segments_count", "config", "payload_schema", "points_count", "indexed_vectors_count", "warnings", "update_queue")
    class PayloadSchemaEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: PayloadSchemaInfo
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[PayloadSchemaInfo, _Mapping]] = ...) -> None: ...
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_STATUS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    POINTS_COUNT_FIELD_NUMBER: _ClassVar[int]
    INDEXED_VECTORS_COUNT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    UPDATE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    status: CollectionStatus
    optimizer_status: OptimizerStatus
    segments_count: int
    config: _configuration_pb2.CollectionConfig
    payload_schema: _containers.MessageMap[str, PayloadSchemaInfo]
    points_count: int
    indexed_vectors_count: int
    warnings: _containers.RepeatedCompositeFieldContainer[CollectionWarning]
    update_queue: UpdateQueueInfo
    def __init__(self, status: _Optional[_Union[CollectionStatus, str]] = ..., optimizer_status: _Optional[_Union[OptimizerStatus, _Mapping]] = ..., segments_count: _Optional[int] = ..., config: _Optional[_Union[_configuration_pb2.CollectionConfig, _Mapping]] = ..., payload_schema: _Optional[_Mapping[str, PayloadSchemaInfo]] = ..., points_count: _Optional[int] = ..., indexed_vectors_count: _Optional[int] = ..., warnings: _Optional[_Iterable[_Union[CollectionWarning, _Mapping]]] = ..., update_queue: _Optional[_Union[UpdateQueueInfo, _Mapping]] = ...) -> None: ...

class ChangeAliases(_message.Message):
    __slots__ = ("actions", "timeout")
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    actions: _containers.RepeatedCompositeFieldContainer[AliasOperations]
    timeout: int
    def __init__(self, actions: _Optional[_Iterable[_Union[AliasOperations, _Mapping]]] = ..., timeout: _Optional[int] = ...) -> None: ...

class AliasOperations(_message.Message):
    __slots__ = ("create_alias", "rename_alias", "delete_alias")
    CREATE_ALIAS_FIELD_NUMBER: _ClassVar[int]
    RENAME_ALIAS_FIELD_NUMBER: _ClassVar[int]
    DELETE_ALIAS_FIELD_NUMBER: _ClassVar[int]
    create_alias: CreateAlias
    rename_alias: RenameAlias
    delete_alias: DeleteAlias
    def __init__(self, create_alias: _Optional[_Union[CreateAlias, _Mapping]] = ..., rename_alias: _Optional[_Union[RenameAlias, _Mapping]] = ..., delete_alias: _Optional[_Union[DeleteAlias, _Mapping]] = ...) -> None: ...

class CreateAlias(_message.Message):
    __slots__ = ("collection_name", "alias_name")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    ALIAS_NAME_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    alias_name: str
    def __init__(self, collection_name: _Optional[str] = ..., alias_name: _Optional[str] = ...) -> None: ...

class RenameAlias(_message.Message):
    __slots__ = ("old_alias_name", "new_alias_name")
    OLD_ALIAS_NAME_FIELD_NUMBER: _ClassVar[int]
    NEW_ALIAS_NAME_FIELD_NUMBER: _ClassVar[int]
    old_alias_name: str
    new_alias_name: str
    def __init__(self, old_alias_name: _Optional[str] = ..., new_alias_name: _Optional[str] = ...) -> None: ...

class DeleteAlias(_message.Message):
    __slots__ = ("alias_name",)
    ALIAS_NAME_FIELD_NUMBER: _ClassVar[int]
    alias_name: str
    def __init__(self, alias_name: _Optional[str] = ...) -> None: ...

class ListAliasesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCollectionAliasesRequest(_message.Message):
    __slots__ = ("collection_name",)
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    def __init__(self, collection_name: _Optional[str] = ...) -> None: ...

class AliasDescription(_message.Message):
    __slots__ = ("alias_name", "collection_name")
    ALIAS_NAME_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    alias_name: str
    collection_name: str
    def __init__(self, alias_name: _Optional[str] = ..., collection_name: _Optional[str] = ...) -> None: ...

class ListAliasesResponse(_message.Message):
    __slots__ = ("aliases", "time")
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    aliases: _containers.RepeatedCompositeFieldContainer[AliasDescription]
    time: float
    def __init__(self, aliases: _Optional[_Iterable[_Union[AliasDescription, _Mapping]]] = ..., time: _Optional[float] = ...) -> None: ...

class CollectionClusterInfoRequest(_message.Message):
    __slots__ = ("collection_name",)
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    def __init__(self, collection_name: _Optional[str] = ...) -> None: ...

class ShardKey(_message.Message):
    __slots__ = ("keyword", "number")
    KEYWORD_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    keyword: str
    number: int
    def __init__(self, keyword: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class LocalShardInfo(_message.Message):
    __slots__ = ("shard_id", "points_count", "state", "shard_key")
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    POINTS_COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_FIELD_NUMBER: _ClassVar[int]
    shard_id: int
    points_count: int
    state: ReplicaState
    shard_key: ShardKey
    def __init__(self, shard_id: _Optional[int] = ..., points_count: _Optional[int] = ..., state: _Optional[_Union[ReplicaState, str]] = ..., shard_key: _Optional[_Union[ShardKey, _Mapping]] = ...) -> None: ...

class RemoteShardInfo(_message.Message):
    __slots__ = ("shard_id", "peer_id", "state", "shard_key")
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_FIELD_NUMBER: _ClassVar[int]
    shard_id: int
    peer_id: int
    state: ReplicaState
    shard_key: ShardKey
    def __init__(self, shard_id: _Optional[int] = ..., peer_id: _Optional[int] = ..., state: _Optional[_Union[ReplicaState, str]] = ..., shard_key: _Optional[_Union[ShardKey, _Mapping]] = ...) -> None: ...

class ShardTransferInfo(_message.Message):
    __slots__ = ("shard_id", "to_shard_id", "to", "sync")
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    TO_SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    shard_id: int
    to_shard_id: int
    to: int
    sync: bool
    def __init__(self, shard_id: _Optional[int] = ..., to_shard_id: _Optional[int] = ..., to: _Optional[int] = ..., sync: _Optional[bool] = ..., **kwargs) -> None: ...

class ReshardingInfo(_message.Message):
    __slots__ = ("shard_id", "peer_id", "shard_key", "direction")
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    shard_id: int
    peer_id: int
    shard_key: ShardKey
    direction: ReshardingDirection
    def __init__(self, shard_id: _Optional[int] = ..., peer_id: _Optional[int] = ..., shard_key: _Optional[_Union[ShardKey, _Mapping]] = ..., direction: _Optional[_Union[ReshardingDirection, str]] = ...) -> None: ...

class CollectionClusterInfoResponse(_message.Message):
    __slots__ = ("peer_id", "shard_count", "local_shards", "remote_shards", "shard_transfers", "resharding_operations", "time")
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_COUNT_FIELD_NUMBER: _ClassVar[int]
    LOCAL_SHARDS_FIELD_NUMBER: _ClassVar[int]
    REMOTE_SHARDS_FIELD_NUMBER: _ClassVar[int]
    SHARD_TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    RESHARDING_OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    peer_id: int
    shard_count: int
    local_shards: _containers.RepeatedCompositeFieldContainer[LocalShardInfo]
    remote_shards: _containers.RepeatedCompositeFieldContainer[RemoteShardInfo]
    shard_transfers: _containers.RepeatedCompositeFieldContainer[ShardTransferInfo]
    resharding_operations: _containers.RepeatedCompositeFieldContainer[ReshardingInfo]
    time: float
    def __init__(self, peer_id: _Optional[int] = ..., shard_count: _Optional[int] = ..., local_shards: _Optional[_Iterable[_Union[LocalShardInfo, _Mapping]]] = ..., remote_shards: _Optional[_Iterable[_Union[RemoteShardInfo, _Mapping]]] = ..., shard_transfers: _Optional[_Iterable[_Union[ShardTransferInfo, _Mapping]]] = ..., resharding_operations: _Optional[_Iterable[_Union[ReshardingInfo, _Mapping]]] = ..., time: _Optional[float] = ...) -> None: ...

class MoveShard(_message.Message):
    __slots__ = ("shard_id", "to_shard_id", "from_peer_id", "to_peer_id", "method")
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    TO_SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    TO_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    shard_id: int
    to_shard_id: int
    from_peer_id: int
    to_peer_id: int
    method: ShardTransferMethod
    def __init__(self, shard_id: _Optional[int] = ..., to_shard_id: _Optional[int] = ..., from_peer_id: _Optional[int] = ..., to_peer_id: _Optional[int] = ..., method: _Optional[_Union[ShardTransferMethod, str]] = ...) -> None: ...

class ReplicateShard(_message.Message):
    __slots__ = ("shard_id", "to_shard_id", "from_peer_id", "to_peer_id", "method")
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    TO_SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    TO_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    shard_id: int
    to_shard_id: int
    from_peer_id: int
    to_peer_id: int
    method: ShardTransferMethod
    def __init__(self, shard_id: _Optional[int] = ..., to_shard_id: _Optional[int] = ..., from_peer_id: _Optional[int] = ..., to_peer_id: _Optional[int] = ..., method: _Optional[_Union[ShardTransferMethod, str]] = ...) -> None: ...

class AbortShardTransfer(_message.Message):
    __slots__ = ("shard_id", "to_shard_id", "from_peer_id", "to_peer_id")
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    TO_SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    TO_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    shard_id: int
    to_shard_id: int
    from_peer_id: int
    to_peer_id: int
    def __init__(self, shard_id: _Optional[int] = ..., to_shard_id: _Optional[int] = ..., from_peer_id: _Optional[int] = ..., to_peer_id: _Optional[int] = ...) -> None: ...

class RestartTransfer(_message.Message):
    __slots__ = ("shard_id", "to_shard_id", "from_peer_id", "to_peer_id", "method")
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    TO_SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    TO_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    shard_id: int
    to_shard_id: int
    from_peer_id: int
    to_peer_id: int
    method: ShardTransferMethod
    def __init__(self, shard_id: _Optional[int] = ..., to_shard_id: _Optional[int] = ..., from_peer_id: _Optional[int] = ..., to_peer_id: _Optional[int] = ..., method: _Optional[_Union[ShardTransferMethod, str]] = ...) -> None: ...

class ReplicatePoints(_message.Message):
    __slots__ = ("from_shard_key", "to_shard_key", "filter")
    FROM_SHARD_KEY_FIELD_NUMBER: _ClassVar[int]
    TO_SHARD_KEY_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    from_shard_key: ShardKey
    to_shard_key: ShardKey
    filter: _filters_pb2.Filter
    def __init__(self, from_shard_key: _Optional[_Union[ShardKey, _Mapping]] = ..., to_shard_key: _Optional[_Union[ShardKey, _Mapping]] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ...) -> None: ...

class Replica(_message.Message):
    __slots__ = ("shard_id", "peer_id")
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    shard_id: int
    peer_id: int
    def __init__(self, shard_id: _Optional[int] = ..., peer_id: _Optional[int] = ...) -> None: ...

class CreateShardKey(_message.Message):
    __slots__ = ("shard_key", "shards_number", "replication_factor", "placement", "initial_state")
    SHARD_KEY_FIELD_NUMBER: _ClassVar[int]
    SHARDS_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REPLICATION_FACTOR_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    INITIAL_STATE_FIELD_NUMBER: _ClassVar[int]
    shard_key: ShardKey
    shards_number: int
    replication_factor: int
    placement: _containers.RepeatedScalarFieldContainer[int]
    initial_state: ReplicaState
    def __init__(self, shard_key: _Optional[_Union[ShardKey, _Mapping]] = ..., shards_number: _Optional[int] = ..., replication_factor: _Optional[int] = ..., placement: _Optional[_Iterable[int]] = ..., initial_state: _Optional[_Union[ReplicaState, str]] = ...) -> None: ...

class DeleteShardKey(_message.Message):
    __slots__ = ("shard_key",)
    SHARD_KEY_FIELD_NUMBER: _ClassVar[int]
    shard_key: ShardKey
    def __init__(self, shard_key: _Optional[_Union[ShardKey, _Mapping]] = ...) -> None: ...

class UpdateCollectionClusterSetupRequest(_message.Message):
    __slots__ = ("collection_name", "move_shard", "replicate_shard", "abort_transfer", "drop_replica", "create_shard_key", "delete_shard_key", "restart_transfer", "replicate_points", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    MOVE_SHARD_FIELD_NUMBER: _ClassVar[int]
    REPLICATE_SHARD_FIELD_NUMBER: _ClassVar[int]
    ABORT_TRANSFER_FIELD_NUMBER: _ClassVar[int]
    DROP_REPLICA_FIELD_NUMBER: _ClassVar[int]
    CREATE_SHARD_KEY_FIELD_NUMBER: _ClassVar[int]
    DELETE_SHARD_KEY_FIELD_NUMBER: _ClassVar[int]
    RESTART_TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REPLICATE_POINTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    move_shard: MoveShard
    replicate_shard: ReplicateShard
    abort_transfer: AbortShardTransfer
    drop_replica: Replica
    create_shard_key: CreateShardKey
    delete_shard_key: DeleteShardKey
    restart_transfer: RestartTransfer
    replicate_points: ReplicatePoints
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., move_shard: _Optional[_Union[MoveShard, _Mapping]] = ..., replicate_shard: _Optional[_Union[ReplicateShard, _Mapping]] = ..., abort_transfer: _Optional[_Union[AbortShardTransfer, _Mapping]] = ..., drop_replica: _Optional[_Union[Replica, _Mapping]] = ..., create_shard_key: _Optional[_Union[CreateShardKey, _Mapping]] = ..., delete_shard_key: _Optional[_Union[DeleteShardKey, _Mapping]] = ..., restart_transfer: _Optional[_Union[RestartTransfer, _Mapping]] = ..., replicate_points: _Optional[_Union[ReplicatePoints, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class UpdateCollectionClusterSetupResponse(_message.Message):
    __slots__ = ("result", "time")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    result: bool
    time: float
    def __init__(self, result: _Optional[bool] = ..., time: _Optional[float] = ...) -> None: ...

class CreateShardKeyRequest(_message.Message):
    __slots__ = ("collection_name", "request", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    request: CreateShardKey
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., request: _Optional[_Union[CreateShardKey, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class DeleteShardKeyRequest(_message.Message):
    __slots__ = ("collection_name", "request", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    request: DeleteShardKey
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., request: _Optional[_Union[DeleteShardKey, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class ListShardKeysRequest(_message.Message):
    __slots__ = ("collection_name",)
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    def __init__(self, collection_name: _Optional[str] = ...) -> None: ...

class CreateShardKeyResponse(_message.Message):
    __slots__ = ("result", "time")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    result: bool
    time: float
    def __init__(self, result: _Optional[bool] = ..., time: _Optional[float] = ...) -> None: ...

class DeleteShardKeyResponse(_message.Message):
    __slots__ = ("result", "time")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    result: bool
    time: float
    def __init__(self, result: _Optional[bool] = ..., time: _Optional[float] = ...) -> None: ...

class ShardKeyDescription(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: ShardKey
    def __init__(self, key: _Optional[_Union[ShardKey, _Mapping]] = ...) -> None: ...

class ListShardKeysResponse(_message.Message):
    __slots__ = ("shard_keys", "time")
    SHARD_KEYS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    shard_keys: _containers.RepeatedCompositeFieldContainer[ShardKeyDescription]
    time: float
    def __init__(self, shard_keys: _Optional[_Iterable[_Union[ShardKeyDescription, _Mapping]]] = ..., time: _Optional[float] = ...) -> None: ...
