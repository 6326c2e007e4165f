# mypy: ignore-errors
# ruff: noqa
# fmt: off
from protos.qdrant import configuration_pb2 as _configuration_pb2
from protos.qdrant import filters_pb2 as _filters_pb2
from protos.qdrant import points_pb2 as _points_pb2
from protos.qdrant import values_pb2 as _values_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UpdateMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Upsert: _ClassVar[UpdateMode]
    InsertOnly: _ClassVar[UpdateMode]
    UpdateOnly: _ClassVar[UpdateMode]

class FieldType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FieldTypeKeyword: _ClassVar[FieldType]
    FieldTypeInteger: _ClassVar[FieldType]
    FieldTypeFloat: _ClassVar[FieldType]
    FieldTypeGeo: _ClassVar[FieldType]
    FieldTypeText: _ClassVar[FieldType]
    FieldTypeBool: _ClassVar[FieldType]
    FieldTypeDatetime: _ClassVar[FieldType]
    FieldTypeUuid: _ClassVar[FieldType]

class UpdateStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UnknownUpdateStatus: _ClassVar[UpdateStatus]
    Acknowledged: _ClassVar[UpdateStatus]
    Completed: _ClassVar[UpdateStatus]
    ClockRejected: _ClassVar[UpdateStatus]
    WaitTimeout: _ClassVar[UpdateStatus]
Upsert: UpdateMode
InsertOnly: UpdateMode
UpdateOnly: UpdateMode
FieldTypeKeyword: FieldType
FieldTypeInteger: FieldType
FieldTypeFloat: FieldType
FieldTypeGeo: FieldType
FieldTypeText: FieldType
FieldTypeBool: FieldType
FieldTypeDatetime: FieldType
FieldTypeUuid: FieldType
UnknownUpdateStatus: UpdateStatus
Acknowledged: UpdateStatus
Completed: UpdateStatus
ClockRejected: UpdateStatus
WaitTimeout: UpdateStatus

class UpsertPoints(_message.Message):
    __slots__ = ("collection_name", "wait", "points", "ordering", "shard_key_selector", "update_filter", "timeout", "update_mode")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FILTER_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MODE_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    points: _containers.RepeatedCompositeFieldContainer[_points_pb2.PointStruct]
    ordering: _points_pb2.WriteOrdering
    shard_key_selector: _points_pb2.ShardKeySelector
    update_filter: _filters_pb2.Filter
    timeout: int
    update_mode: UpdateMode
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., points: _Optional[_Iterable[_Union[_points_pb2.PointStruct, _Mapping]]] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., update_filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., timeout: _Optional[int] = ..., update_mode: _Optional[_Union[UpdateMode, str]] = ...) -> None: ...

class DeletePoints(_message.Message):
    __slots__ = ("collection_name", "wait", "points", "ordering", "shard_key_selector", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    points: _points_pb2.PointsSelector
    ordering: _points_pb2.WriteOrdering
    shard_key_selector: _points_pb2.ShardKeySelector
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., points: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class UpdatePointVectors(_message.Message):
    __slots__ = ("collection_name", "wait", "points", "ordering", "shard_key_selector", "update_filter", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FILTER_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    points: _containers.RepeatedCompositeFieldContainer[PointVectors]
    ordering: _points_pb2.WriteOrdering
    shard_key_selector: _points_pb2.ShardKeySelector
    update_filter: _filters_pb2.Filter
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., points: _Optional[_Iterable[_Union[PointVectors, _Mapping]]] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., update_filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class PointVectors(_message.Message):
    __slots__ = ("id", "vectors")
    ID_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    id: _filters_pb2.PointId
    vectors: _points_pb2.Vectors
    def __init__(self, id: _Optional[_Union[_filters_pb2.PointId, _Mapping]] = ..., vectors: _Optional[_Union[_points_pb2.Vectors, _Mapping]] = ...) -> None: ...

class DeletePointVectors(_message.Message):
    __slots__ = ("collection_name", "wait", "points_selector", "vectors", "ordering", "shard_key_selector", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    POINTS_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    points_selector: _points_pb2.PointsSelector
    vectors: _points_pb2.VectorsSelector
    ordering: _points_pb2.WriteOrdering
    shard_key_selector: _points_pb2.ShardKeySelector
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., points_selector: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., vectors: _Optional[_Union[_points_pb2.VectorsSelector, _Mapping]] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class SetPayloadPoints(_message.Message):
    __slots__ = ("collection_name", "wait", "payload", "points_selector", "ordering", "shard_key_selector", "key", "timeout")
    class PayloadEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _values_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_values_pb2.Value, _Mapping]] = ...) -> None: ...
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    POINTS_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    payload: _containers.MessageMap[str, _values_pb2.Value]
    points_selector: _points_pb2.PointsSelector
    ordering: _points_pb2.WriteOrdering
    shard_key_selector: _points_pb2.ShardKeySelector
    key: str
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., payload: _Optional[_Mapping[str, _values_pb2.Value]] = ..., points_selector: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., key: _Optional[str] = ..., timeout: _Optional[int] = ...) -> None: ...

class DeletePayloadPoints(_message.Message):
    __slots__ = ("collection_name", "wait", "keys", "points_selector", "ordering", "shard_key_selector", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    POINTS_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    keys: _containers.RepeatedScalarFieldContainer[str]
    points_selector: _points_pb2.PointsSelector
    ordering: _points_pb2.WriteOrdering
    shard_key_selector: _points_pb2.ShardKeySelector
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., keys: _Optional[_Iterable[str]] = ..., points_selector: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class ClearPayloadPoints(_message.Message):
    __slots__ = ("collection_name", "wait", "points", "ordering", "shard_key_selector", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    points: _points_pb2.PointsSelector
    ordering: _points_pb2.WriteOrdering
    shard_key_selector: _points_pb2.ShardKeySelector
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., points: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class CreateFieldIndexCollection(_message.Message):
    __slots__ = ("collection_name", "wait", "field_name", "field_type", "field_index_params", "ordering", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    FIELD_NAME_FIELD_NUMBER: _ClassVar[int]
    FIELD_TYPE_FIELD_NUMBER: _ClassVar[int]
    FIELD_INDEX_PARAMS_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    field_name: str
    field_type: FieldType
    field_index_params: _configuration_pb2.PayloadIndexParams
    ordering: _points_pb2.WriteOrdering
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., field_name: _Optional[str] = ..., field_type: _Optional[_Union[FieldType, str]] = ..., field_index_params: _Optional[_Union[_configuration_pb2.PayloadIndexParams, _Mapping]] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class DeleteFieldIndexCollection(_message.Message):
    __slots__ = ("collection_name", "wait", "field_name", "ordering", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    FIELD_NAME_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    field_name: str
    ordering: _points_pb2.WriteOrdering
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., field_name: _Optional[str] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class DenseVectorCreationConfig(_message.Message):
    __slots__ = ("size", "distance", "multivector_config", "datatype")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    MULTIVECTOR_CONFIG_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    size: int
    distance: _configuration_pb2.Distance
    multivector_config: _configuration_pb2.MultiVectorConfig
    datatype: _configuration_pb2.Datatype
    def __init__(self, size: _Optional[int] = ..., distance: _Optional[_Union[_configuration_pb2.Distance, str]] = ..., multivector_config: _Optional[_Union[_configuration_pb2.MultiVectorConfig, _Mapping]] = ..., datatype: _Optional[_Union[_configuration_pb2.Datatype, str]] = ...) -> None: ...

class SparseVectorCreationConfig(_message.Message):
    __slots__ = ("modifier", "datatype")
    MODIFIER_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    modifier: _configuration_pb2.Modifier
    datatype: _configuration_pb2.Datatype
    def __init__(self, modifier: _Optional[_Union[_configuration_pb2.Modifier, str]] = ..., datatype: _Optional[_Union[_configuration_pb2.Datatype, str]] = ...) -> None: ...

class CreateVectorNameRequest(_message.Message):
    __slots__ = ("collection_name", "wait", "vector_name", "dense_config", "sparse_config", "timeout", "ordering")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    VECTOR_NAME_FIELD_NUMBER: _ClassVar[int]
    DENSE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    SPARSE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    vector_name: str
    dense_config: DenseVectorCreationConfig
    sparse_config: SparseVectorCreationConfig
    timeout: int
    ordering: _points_pb2.WriteOrdering
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., vector_name: _Optional[str] = ..., dense_config: _Optional[_Union[DenseVectorCreationConfig, _Mapping]] = ..., sparse_config: _Optional[_Union[SparseVectorCreationConfig, _Mapping]] = ..., timeout: _Optional[int] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ...) -> None: ...

class DeleteVectorNameRequest(_message.Message):
    __slots__ = ("collection_name", "wait", "vector_name", "timeout", "ordering")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    VECTOR_NAME_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    vector_name: str
    timeout: int
    ordering: _points_pb2.WriteOrdering
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., vector_name: _Optional[str] = ..., timeout: _Optional[int] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ...) -> None: ...

class PointsUpdateOperation(_message.Message):
    __slots__ = ("upsert", "delete_deprecated", "set_payload", "overwrite_payload", "delete_payload", "clear_payload_deprecated", "update_vectors", "delete_vectors", "delete_points", "clear_payload")
    class PointStructList(_message.Message):
        __slots__ = ("points", "shard_key_selector", "update_filter", "update_mode")
        POINTS_FIELD_NUMBER: _ClassVar[int]
        SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        UPDATE_FILTER_FIELD_NUMBER: _ClassVar[int]
        UPDATE_MODE_FIELD_NUMBER: _ClassVar[int]
        points: _containers.RepeatedCompositeFieldContainer[_points_pb2.PointStruct]
        shard_key_selector: _points_pb2.ShardKeySelector
        update_filter: _filters_pb2.Filter
        update_mode: UpdateMode
        def __init__(self, points: _Optional[_Iterable[_Union[_points_pb2.PointStruct, _Mapping]]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., update_filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., update_mode: _Optional[_Union[UpdateMode, str]] = ...) -> None: ...
    class SetPayload(_message.Message):
        __slots__ = ("payload", "points_selector", "shard_key_selector", "key")
        class PayloadEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: _values_pb2.Value
            def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_values_pb2.Value, _Mapping]] = ...) -> None: ...
        PAYLOAD_FIELD_NUMBER: _ClassVar[int]
        POINTS_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        KEY_FIELD_NUMBER: _ClassVar[int]
        payload: _containers.MessageMap[str, _values_pb2.Value]
        points_selector: _points_pb2.PointsSelector
        shard_key_selector: _points_pb2.ShardKeySelector
        key: str
        def __init__(self, payload: _Optional[_Mapping[str, _values_pb2.Value]] = ..., points_selector: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., key: _Optional[str] = ...) -> None: ...
    class OverwritePayload(_message.Message):
        __slots__ = ("payload", "points_selector", "shard_key_selector", "key")
        class PayloadEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: _values_pb2.Value
            def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_values_pb2.Value, _Mapping]] = ...) -> None: ...
        PAYLOAD_FIELD_NUMBER: _ClassVar[int]
        POINTS_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        KEY_FIELD_NUMBER: _ClassVar[int]
        payload: _containers.MessageMap[str, _values_pb2.Value]
        points_selector: _points_pb2.PointsSelector
        shard_key_selector: _points_pb2.ShardKeySelector
        key: str
        def __init__(self, payload: _Optional[_Mapping[str, _values_pb2.Value]] = ..., points_selector: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., key: _Optional[str] = ...) -> None: ...
    class DeletePayload(_message.Message):
        __slots__ = ("keys", "points_selector", "shard_key_selector")
        KEYS_FIELD_NUMBER: _ClassVar[int]
        POINTS_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        keys: _containers.RepeatedScalarFieldContainer[str]
        points_selector: _points_pb2.PointsSelector
        shard_key_selector: _points_pb2.ShardKeySelector
        def __init__(self, keys: _Optional[_Iterable[str]] = ..., points_selector: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ...) -> None: ...
    class UpdateVectors(_message.Message):
        __slots__ = ("points", "shard_key_selector", "update_filter")
        POINTS_FIELD_NUMBER: _ClassVar[int]
        SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        UPDATE_FILTER_FIELD_NUMBER: _ClassVar[int]
        points: _containers.RepeatedCompositeFieldContainer[PointVectors]
        shard_key_selector: _points_pb2.ShardKeySelector
        update_filter: _filters_pb2.Filter
        def __init__(self, points: _Optional[_Iterable[_Union[PointVectors, _Mapping]]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., update_filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ...) -> None: ...
    class DeleteVectors(_message.Message):
        __slots__ = ("points_selector", "vectors", "shard_key_selector")
        POINTS_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        VECTORS_FIELD_NUMBER: _ClassVar[int]
        SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        points_selector: _points_pb2.PointsSelector
        vectors: _points_pb2.VectorsSelector
        shard_key_selector: _points_pb2.ShardKeySelector
        def __init__(self, points_selector: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., vectors: _Optional[_Union[_points_pb2.VectorsSelector, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ...) -> None: ...
    class DeletePoints(_message.Message):
        __slots__ = ("points", "shard_key_selector")
        POINTS_FIELD_NUMBER: _ClassVar[int]
        SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        points: _points_pb2.PointsSelector
        shard_key_selector: _points_pb2.ShardKeySelector
        def __init__(self, points: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ...) -> None: ...
    class ClearPayload(_message.Message):
        __slots__ = ("points", "shard_key_selector")
        POINTS_FIELD_NUMBER: _ClassVar[int]
        SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
        points: _points_pb2.PointsSelector
        shard_key_selector: _points_pb2.ShardKeySelector
        def __init__(self, points: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ...) -> None: ...
    UPSERT_FIELD_NUMBER: _ClassVar[int]
    DELETE_DEPRECATED_FIELD_NUMBER: _ClassVar[int]
    SET_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    OVERWRITE_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    DELETE_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CLEAR_PAYLOAD_DEPRECATED_FIELD_NUMBER: _ClassVar[int]
    UPDATE_VECTORS_FIELD_NUMBER: _ClassVar[int]
    DELETE_VECTORS_FIELD_NUMBER: _ClassVar[int]
    DELETE_POINTS_FIELD_NUMBER: _ClassVar[int]
    CLEAR_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    upsert: PointsUpdateOperation.PointStructList
    delete_deprecated: _points_pb2.PointsSelector
    set_payload: PointsUpdateOperation.SetPayload
    overwrite_payload: PointsUpdateOperation.OverwritePayload
    delete_payload: PointsUpdateOperation.DeletePayload
    clear_payload_deprecated: _points_pb2.PointsSelector
    update_vectors: PointsUpdateOperation.UpdateVectors
    delete_vectors: PointsUpdateOperation.DeleteVectors
    delete_points: PointsUpdateOperation.DeletePoints
    clear_payload: PointsUpdateOperation.ClearPayload
    def __init__(self, upsert: _Optional[_Union[PointsUpdateOperation.PointStructList, _Mapping]] = ..., delete_deprecated: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., set_payload: _Optional[_Union[PointsUpdateOperation.SetPayload, _Mapping]] = ..., overwrite_payload: _Optional[_Union[PointsUpdateOperation.OverwritePayload, _Mapping]] = ..., delete_payload: _Optional[_Union[PointsUpdateOperation.DeletePayload, _Mapping]] = ..., clear_payload_deprecated: _Optional[_Union[_points_pb2.PointsSelector, _Mapping]] = ..., update_vectors: _Optional[_Union[PointsUpdateOperation.UpdateVectors, _Mapping]] = ..., delete_vectors: _Optional[_Union[PointsUpdateOperation.DeleteVectors, _Mapping]] = ..., delete_points: _Optional[_Union[PointsUpdateOperation.DeletePoints, _Mapping]] = ..., clear_payload: _Optional[_Union[PointsUpdateOperation.ClearPayload, _Mapping]] = ...) -> None: ...

class UpdateBatchPoints(_message.Message):
    __slots__ = ("collection_name", "wait", "operations", "ordering", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    wait: bool
    operations: _containers.RepeatedCompositeFieldContainer[PointsUpdateOperation]
    ordering: _points_pb2.WriteOrdering
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., wait: _Optional[bool] = ..., operations: _Optional[_Iterable[_Union[PointsUpdateOperation, _Mapping]]] = ..., ordering: _Optional[_Union[_points_pb2.WriteOrdering, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class PointsOperationResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: UpdateResult
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Union[UpdateResult, _Mapping]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class UpdateResult(_message.Message):
    __slots__ = ("operation_id", "status")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    operation_id: int
    status: UpdateStatus
    def __init__(self, operation_id: _Optional[int] = ..., status: _Optional[_Union[UpdateStatus, str]] = ...) -> None: ...

class UpdateBatchResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _containers.RepeatedCompositeFieldContainer[UpdateResult]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Iterable[_Union[UpdateResult, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...
