# mypy: ignore-errors
# ruff: noqa
# fmt: off
from protos.qdrant import filters_pb2 as _filters_pb2
from protos.qdrant import points_pb2 as _points_pb2
from protos.qdrant import queries_pb2 as _queries_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SearchPoints(_message.Message):
    __slots__ = ("collection_name", "vector", "filter", "limit", "with_payload", "params", "score_threshold", "offset", "vector_name", "with_vectors", "read_consistency", "timeout", "shard_key_selector", "sparse_indices")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    VECTOR_NAME_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    SPARSE_INDICES_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    vector: _containers.RepeatedScalarFieldContainer[float]
    filter: _filters_pb2.Filter
    limit: int
    with_payload: _points_pb2.WithPayloadSelector
    params: _queries_pb2.SearchParams
    score_threshold: float
    offset: int
    vector_name: str
    with_vectors: _points_pb2.WithVectorsSelector
    read_consistency: _points_pb2.ReadConsistency
    timeout: int
    shard_key_selector: _points_pb2.ShardKeySelector
    sparse_indices: _points_pb2.SparseIndices
    def __init__(self, collection_name: _Optional[str] = ..., vector: _Optional[_Iterable[float]] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., limit: _Optional[int] = ..., with_payload: _Optional[_Union[_points_pb2.WithPayloadSelector, _Mapping]] = ..., params: _Optional[_Union[_queries_pb2.SearchParams, _Mapping]] = ..., score_threshold: _Optional[float] = ..., offset: _Optional[int] = ..., vector_name: _Optional[str] = ..., with_vectors: _Optional[_Union[_points_pb2.WithVectorsSelector, _Mapping]] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., timeout: _Optional[int] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., sparse_indices: _Optional[_Union[_points_pb2.SparseIndices, _Mapping]] = ...) -> None: ...

class SearchBatchPoints(_message.Message):
    __slots__ = ("collection_name", "search_points", "read_consistency", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    SEARCH_POINTS_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    search_points: _containers.RepeatedCompositeFieldContainer[SearchPoints]
    read_consistency: _points_pb2.ReadConsistency
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., search_points: _Optional[_Iterable[_Union[SearchPoints, _Mapping]]] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class SearchPointGroups(_message.Message):
    __slots__ = ("collection_name", "vector", "filter", "limit", "with_payload", "params", "score_threshold", "vector_name", "with_vectors", "group_by", "group_size", "read_consistency", "with_lookup", "timeout", "shard_key_selector", "sparse_indices")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    VECTOR_NAME_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    GROUP_SIZE_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    WITH_LOOKUP_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    SPARSE_INDICES_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    vector: _containers.RepeatedScalarFieldContainer[float]
    filter: _filters_pb2.Filter
    limit: int
    with_payload: _points_pb2.WithPayloadSelector
    params: _queries_pb2.SearchParams
    score_threshold: float
    vector_name: str
    with_vectors: _points_pb2.WithVectorsSelector
    group_by: str
    group_size: int
    read_consistency: _points_pb2.ReadConsistency
    with_lookup: _queries_pb2.WithLookup
    timeout: int
    shard_key_selector: _points_pb2.ShardKeySelector
    sparse_indices: _points_pb2.SparseIndices
    def __init__(self, collection_name: _Optional[str] = ..., vector: _Optional[_Iterable[float]] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., limit: _Optional[int] = ..., with_payload: _Optional[_Union[_points_pb2.WithPayloadSelector, _Mapping]] = ..., params: _Optional[_Union[_queries_pb2.SearchParams, _Mapping]] = ..., score_threshold: _Optional[float] = ..., vector_name: _Optional[str] = ..., with_vectors: _Optional[_Union[_points_pb2.WithVectorsSelector, _Mapping]] = ..., group_by: _Optional[str] = ..., group_size: _Optional[int] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., with_lookup: _Optional[_Union[_queries_pb2.WithLookup, _Mapping]] = ..., timeout: _Optional[int] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., sparse_indices: _Optional[_Union[_points_pb2.SparseIndices, _Mapping]] = ...) -> None: ...

class RecommendPoints(_message.Message):
    __slots__ = ("collection_name", "positive", "negative", "filter", "limit", "with_payload", "params", "score_threshold", "offset", "using", "with_vectors", "lookup_from", "read_consistency", "strategy", "positive_vectors", "negative_vectors", "timeout", "shard_key_selector")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    USING_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_FROM_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_VECTORS_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_VECTORS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    positive: _containers.RepeatedCompositeFieldContainer[_filters_pb2.PointId]
    negative: _containers.RepeatedCompositeFieldContainer[_filters_pb2.PointId]
    filter: _filters_pb2.Filter
    limit: int
    with_payload: _points_pb2.WithPayloadSelector
    params: _queries_pb2.SearchParams
    score_threshold: float
    offset: int
    using: str
    with_vectors: _points_pb2.WithVectorsSelector
    lookup_from: _queries_pb2.LookupLocation
    read_consistency: _points_pb2.ReadConsistency
    strategy: _queries_pb2.RecommendStrategy
    positive_vectors: _containers.RepeatedCompositeFieldContainer[_points_pb2.Vector]
    negative_vectors: _containers.RepeatedCompositeFieldContainer[_points_pb2.Vector]
    timeout: int
    shard_key_selector: _points_pb2.ShardKeySelector
    def __init__(self, collection_name: _Optional[str] = ..., positive: _Optional[_Iterable[_Union[_filters_pb2.PointId, _Mapping]]] = ..., negative: _Optional[_Iterable[_Union[_filters_pb2.PointId, _Mapping]]] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., limit: _Optional[int] = ..., with_payload: _Optional[_Union[_points_pb2.WithPayloadSelector, _Mapping]] = ..., params: _Optional[_Union[_queries_pb2.SearchParams, _Mapping]] = ..., score_threshold: _Optional[float] = ..., offset: _Optional[int] = ..., using: _Optional[str] = ..., with_vectors: _Optional[_Union[_points_pb2.WithVectorsSelector, _Mapping]] = ..., lookup_from: _Optional[_Union[_queries_pb2.LookupLocation, _Mapping]] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., strategy: _Optional[_Union[_queries_pb2.RecommendStrategy, str]] = ..., positive_vectors: _Optional[_Iterable[_Union[_points_pb2.Vector, _Mapping]]] = ..., negative_vectors: _Optional[_Iterable[_Union[_points_pb2.Vector, _Mapping]]] = ..., timeout: _Optional[int] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ...) -> None: ...

class RecommendBatchPoints(_message.Message):
    __slots__ = ("collection_name", "recommend_points", "read_consistency", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    RECOMMEND_POINTS_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    recommend_points: _containers.RepeatedCompositeFieldContainer[RecommendPoints]
    read_consistency: _points_pb2.ReadConsistency
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., recommend_points: _Optional[_Iterable[_Union[RecommendPoints, _Mapping]]] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class RecommendPointGroups(_message.Message):
    __slots__ = ("collection_name", "positive", "negative", "filter", "limit", "with_payload", "params", "score_threshold", "using", "with_vectors", "lookup_from", "group_by", "group_size", "read_consistency", "with_lookup", "strategy", "positive_vectors", "negative_vectors", "timeout", "shard_key_selector")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    USING_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_FROM_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    GROUP_SIZE_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    WITH_LOOKUP_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_VECTORS_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_VECTORS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    positive: _containers.RepeatedCompositeFieldContainer[_filters_pb2.PointId]
    negative: _containers.RepeatedCompositeFieldContainer[_filters_pb2.PointId]
    filter: _filters_pb2.Filter
    limit: int
    with_payload: _points_pb2.WithPayloadSelector
    params: _queries_pb2.SearchParams
    score_threshold: float
    using: str
    with_vectors: _points_pb2.WithVectorsSelector
    lookup_from: _queries_pb2.LookupLocation
    group_by: str
    group_size: int
    read_consistency: _points_pb2.ReadConsistency
    with_lookup: _queries_pb2.WithLookup
    strategy: _queries_pb2.RecommendStrategy
    positive_vectors: _containers.RepeatedCompositeFieldContainer[_points_pb2.Vector]
    negative_vectors: _containers.RepeatedCompositeFieldContainer[_points_pb2.Vector]
    timeout: int
    shard_key_selector: _points_pb2.ShardKeySelector
    def __init__(self, collection_name: _Optional[str] = ..., positive: _Optional[_Iterable[_Union[_filters_pb2.PointId, _Mapping]]] = ..., negative: _Optional[_Iterable[_Union[_filters_pb2.PointId, _Mapping]]] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., limit: _Optional[int] = ..., with_payload: _Optional[_Union[_points_pb2.WithPayloadSelector, _Mapping]] = ..., params: _Optional[_Union[_queries_pb2.SearchParams, _Mapping]] = ..., score_threshold: _Optional[float] = ..., using: _Optional[str] = ..., with_vectors: _Optional[_Union[_points_pb2.WithVectorsSelector, _Mapping]] = ..., lookup_from: _Optional[_Union[_queries_pb2.LookupLocation, _Mapping]] = ..., group_by: _Optional[str] = ..., group_size: _Optional[int] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., with_lookup: _Optional[_Union[_queries_pb2.WithLookup, _Mapping]] = ..., strategy: _Optional[_Union[_queries_pb2.RecommendStrategy, str]] = ..., positive_vectors: _Optional[_Iterable[_Union[_points_pb2.Vector, _Mapping]]] = ..., negative_vectors: _Optional[_Iterable[_Union[_points_pb2.Vector, _Mapping]]] = ..., timeout: _Optional[int] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ...) -> None: ...

class TargetVector(_message.Message):
    __slots__ = ("single",)
    SINGLE_FIELD_NUMBER: _ClassVar[int]
    single: VectorExample
    def __init__(self, single: _Optional[_Union[VectorExample, _Mapping]] = ...) -> None: ...

class VectorExample(_message.Message):
    __slots__ = ("id", "vector")
    ID_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    id: _filters_pb2.PointId
    vector: _points_pb2.Vector
    def __init__(self, id: _Optional[_Union[_filters_pb2.PointId, _Mapping]] = ..., vector: _Optional[_Union[_points_pb2.Vector, _Mapping]] = ...) -> None: ...

class ContextExamplePair(_message.Message):
    __slots__ = ("positive", "negative")
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    positive: VectorExample
    negative: VectorExample
    def __init__(self, positive: _Optional[_Union[VectorExample, _Mapping]] = ..., negative: _Optional[_Union[VectorExample, _Mapping]] = ...) -> None: ...

class DiscoverPoints(_message.Message):
    __slots__ = ("collection_name", "target", "context", "filter", "limit", "with_payload", "params", "offset", "using", "with_vectors", "lookup_from", "read_consistency", "timeout", "shard_key_selector")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    USING_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_FROM_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    target: TargetVector
    context: _containers.RepeatedCompositeFieldContainer[ContextExamplePair]
    filter: _filters_pb2.Filter
    limit: int
    with_payload: _points_pb2.WithPayloadSelector
    params: _queries_pb2.SearchParams
    offset: int
    using: str
    with_vectors: _points_pb2.WithVectorsSelector
    lookup_from: _queries_pb2.LookupLocation
    read_consistency: _points_pb2.ReadConsistency
    timeout: int
    shard_key_selector: _points_pb2.ShardKeySelector
    def __init__(self, collection_name: _Optional[str] = ..., target: _Optional[_Union[TargetVector, _Mapping]] = ..., context: _Optional[_Iterable[_Union[ContextExamplePair, _Mapping]]] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., limit: _Optional[int] = ..., with_payload: _Optional[_Union[_points_pb2.WithPayloadSelector, _Mapping]] = ..., params: _Optional[_Union[_queries_pb2.SearchParams, _Mapping]] = ..., offset: _Optional[int] = ..., using: _Optional[str] = ..., with_vectors: _Optional[_Union[_points_pb2.WithVectorsSelector, _Mapping]] = ..., lookup_from: _Optional[_Union[_queries_pb2.LookupLocation, _Mapping]] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., timeout: _Optional[int] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ...) -> None: ...

class DiscoverBatchPoints(_message.Message):
    __slots__ = ("collection_name", "discover_points", "read_consistency", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    DISCOVER_POINTS_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    discover_points: _containers.RepeatedCompositeFieldContainer[DiscoverPoints]
    read_consistency: _points_pb2.ReadConsistency
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., discover_points: _Optional[_Iterable[_Union[DiscoverPoints, _Mapping]]] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _containers.RepeatedCompositeFieldContainer[_points_pb2.ScoredPoint]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Iterable[_Union[_points_pb2.ScoredPoint, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class SearchBatchResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _containers.RepeatedCompositeFieldContainer[_queries_pb2.BatchResult]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Iterable[_Union[_queries_pb2.BatchResult, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class SearchGroupsResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _queries_pb2.GroupsResult
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Union[_queries_pb2.GroupsResult, _Mapping]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class RecommendResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _containers.RepeatedCompositeFieldContainer[_points_pb2.ScoredPoint]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Iterable[_Union[_points_pb2.ScoredPoint, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class RecommendBatchResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _containers.RepeatedCompositeFieldContainer[_queries_pb2.BatchResult]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Iterable[_Union[_queries_pb2.BatchResult, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class DiscoverResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _containers.RepeatedCompositeFieldContainer[_points_pb2.ScoredPoint]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Iterable[_Union[_points_pb2.ScoredPoint, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class DiscoverBatchResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _containers.RepeatedCompositeFieldContainer[_queries_pb2.BatchResult]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Iterable[_Union[_queries_pb2.BatchResult, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class RecommendGroupsResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _queries_pb2.GroupsResult
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Union[_queries_pb2.GroupsResult, _Mapping]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...
