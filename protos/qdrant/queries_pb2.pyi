# mypy: ignore-errors
# ruff: noqa
# fmt: off
import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
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

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Asc: _ClassVar[Direction]
    Desc: _ClassVar[Direction]

class RecommendStrategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AverageVector: _ClassVar[RecommendStrategy]
    BestScore: _ClassVar[RecommendStrategy]
    SumScores: _ClassVar[RecommendStrategy]

class Fusion(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RRF: _ClassVar[Fusion]
    DBSF: _ClassVar[Fusion]

class Sample(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Random: _ClassVar[Sample]
Asc: Direction
Desc: Direction
AverageVector: RecommendStrategy
BestScore: RecommendStrategy
SumScores: RecommendStrategy
RRF: Fusion
DBSF: Fusion
Random: Sample

class GetPoints(_message.Message):
    __slots__ = ("collection_name", "ids", "with_payload", "with_vectors", "read_consistency", "shard_key_selector", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    ids: _containers.RepeatedCompositeFieldContainer[_filters_pb2.PointId]
    with_payload: _points_pb2.WithPayloadSelector
    with_vectors: _points_pb2.WithVectorsSelector
    read_consistency: _points_pb2.ReadConsistency
    shard_key_selector: _points_pb2.ShardKeySelector
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., ids: _Optional[_Iterable[_Union[_filters_pb2.PointId, _Mapping]]] = ..., with_payload: _Optional[_Union[_points_pb2.WithPayloadSelector, _Mapping]] = ..., with_vectors: _Optional[_Union[_points_pb2.WithVectorsSelector, _Mapping]] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class QuantizationSearchParams(_message.Message):
    __slots__ = ("ignore", "rescore", "oversampling")
    IGNORE_FIELD_NUMBER: _ClassVar[int]
    RESCORE_FIELD_NUMBER: _ClassVar[int]
    OVERSAMPLING_FIELD_NUMBER: _ClassVar[int]
    ignore: bool
    rescore: bool
    oversampling: float
    def __init__(self, ignore: _Optional[bool] = ..., rescore: _Optional[bool] = ..., oversampling: _Optional[float] = ...) -> None: ...

class AcornSearchParams(_message.Message):
    __slots__ = ("enable", "max_selectivity")
    ENABLE_FIELD_NUMBER: _ClassVar[int]
    MAX_SELECTIVITY_FIELD_NUMBER: _ClassVar[int]
    enable: bool
    max_selectivity: float
    def __init__(self, enable: _Optional[bool] = ..., max_selectivity: _Optional[float] = ...) -> None: ...

class IdfParams(_message.Message):
    __slots__ = ("corpus",)
    CORPUS_FIELD_NUMBER: _ClassVar[int]
    corpus: _filters_pb2.Filter
    def __init__(self, corpus: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ...) -> None: ...

class SearchParams(_message.Message):
    __slots__ = ("hnsw_ef", "exact", "quantization", "indexed_only", "acorn", "idf")
    HNSW_EF_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    INDEXED_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACORN_FIELD_NUMBER: _ClassVar[int]
    IDF_FIELD_NUMBER: _ClassVar[int]
    hnsw_ef: int
    exact: bool
    quantization: QuantizationSearchParams
    indexed_only: bool
    acorn: AcornSearchParams
    idf: IdfParams
    def __init__(self, hnsw_ef: _Optional[int] = ..., exact: _Optional[bool] = ..., quantization: _Optional[_Union[QuantizationSearchParams, _Mapping]] = ..., indexed_only: _Optional[bool] = ..., acorn: _Optional[_Union[AcornSearchParams, _Mapping]] = ..., idf: _Optional[_Union[IdfParams, _Mapping]] = ...) -> None: ...

class WithLookup(_message.Message):
    __slots__ = ("collection", "with_payload", "with_vectors")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    with_payload: _points_pb2.WithPayloadSelector
    with_vectors: _points_pb2.WithVectorsSelector
    def __init__(self, collection: _Optional[str] = ..., with_payload: _Optional[_Union[_points_pb2.WithPayloadSelector, _Mapping]] = ..., with_vectors: _Optional[_Union[_points_pb2.WithVectorsSelector, _Mapping]] = ...) -> None: ...

class StartFrom(_message.Message):
    __slots__ = ("float", "integer", "timestamp", "datetime")
    FLOAT_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    DATETIME_FIELD_NUMBER: _ClassVar[int]
    float: float
    integer: int
    timestamp: _timestamp_pb2.Timestamp
    datetime: str
    def __init__(self, float: _Optional[float] = ..., integer: _Optional[int] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., datetime: _Optional[str] = ...) -> None: ...

class OrderBy(_message.Message):
    __slots__ = ("key", "direction", "start_from")
    KEY_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    START_FROM_FIELD_NUMBER: _ClassVar[int]
    key: str
    direction: Direction
    start_from: StartFrom
    def __init__(self, key: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., start_from: _Optional[_Union[StartFrom, _Mapping]] = ...) -> None: ...

class ScrollPoints(_message.Message):
    __slots__ = ("collection_name", "filter", "offset", "limit", "with_payload", "with_vectors", "read_consistency", "shard_key_selector", "order_by", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    filter: _filters_pb2.Filter
    offset: _filters_pb2.PointId
    limit: int
    with_payload: _points_pb2.WithPayloadSelector
    with_vectors: _points_pb2.WithVectorsSelector
    read_consistency: _points_pb2.ReadConsistency
    shard_key_selector: _points_pb2.ShardKeySelector
    order_by: OrderBy
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., offset: _Optional[_Union[_filters_pb2.PointId, _Mapping]] = ..., limit: _Optional[int] = ..., with_payload: _Optional[_Union[_points_pb2.WithPayloadSelector, _Mapping]] = ..., with_vectors: _Optional[_Union[_points_pb2.WithVectorsSelector, _Mapping]] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., order_by: _Optional[_Union[OrderBy, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class LookupLocation(_message.Message):
    __slots__ = ("collection_name", "vector_name", "shard_key_selector")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    VECTOR_NAME_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    vector_name: str
    shard_key_selector: _points_pb2.ShardKeySelector
    def __init__(self, collection_name: _Optional[str] = ..., vector_name: _Optional[str] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ...) -> None: ...

class CountPoints(_message.Message):
    __slots__ = ("collection_name", "filter", "exact", "read_consistency", "shard_key_selector", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    filter: _filters_pb2.Filter
    exact: bool
    read_consistency: _points_pb2.ReadConsistency
    shard_key_selector: _points_pb2.ShardKeySelector
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., exact: _Optional[bool] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class RecommendInput(_message.Message):
    __slots__ = ("positive", "negative", "strategy")
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    positive: _containers.RepeatedCompositeFieldContainer[_points_pb2.VectorInput]
    negative: _containers.RepeatedCompositeFieldContainer[_points_pb2.VectorInput]
    strategy: RecommendStrategy
    def __init__(self, positive: _Optional[_Iterable[_Union[_points_pb2.VectorInput, _Mapping]]] = ..., negative: _Optional[_Iterable[_Union[_points_pb2.VectorInput, _Mapping]]] = ..., strategy: _Optional[_Union[RecommendStrategy, str]] = ...) -> None: ...

class ContextInputPair(_message.Message):
    __slots__ = ("positive", "negative")
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    positive: _points_pb2.VectorInput
    negative: _points_pb2.VectorInput
    def __init__(self, positive: _Optional[_Union[_points_pb2.VectorInput, _Mapping]] = ..., negative: _Optional[_Union[_points_pb2.VectorInput, _Mapping]] = ...) -> None: ...

class DiscoverInput(_message.Message):
    __slots__ = ("target", "context")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    target: _points_pb2.VectorInput
    context: ContextInput
    def __init__(self, target: _Optional[_Union[_points_pb2.VectorInput, _Mapping]] = ..., context: _Optional[_Union[ContextInput, _Mapping]] = ...) -> None: ...

class ContextInput(_message.Message):
    __slots__ = ("pairs",)
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    pairs: _containers.RepeatedCompositeFieldContainer[ContextInputPair]
    def __init__(self, pairs: _Optional[_Iterable[_Union[ContextInputPair, _Mapping]]] = ...) -> None: ...

class RelevanceFeedbackInput(_message.Message):
    __slots__ = ("target", "feedback", "strategy")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    target: _points_pb2.VectorInput
    feedback: _containers.RepeatedCompositeFieldContainer[FeedbackItem]
    strategy: FeedbackStrategy
    def __init__(self, target: _Optional[_Union[_points_pb2.VectorInput, _Mapping]] = ..., feedback: _Optional[_Iterable[_Union[FeedbackItem, _Mapping]]] = ..., strategy: _Optional[_Union[FeedbackStrategy, _Mapping]] = ...) -> None: ...

class FeedbackItem(_message.Message):
    __slots__ = ("example", "score")
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    example: _points_pb2.VectorInput
    score: float
    def __init__(self, example: _Optional[_Union[_points_pb2.VectorInput, _Mapping]] = ..., score: _Optional[float] = ...) -> None: ...

class FeedbackStrategy(_message.Message):
    __slots__ = ("naive",)
    NAIVE_FIELD_NUMBER: _ClassVar[int]
    naive: NaiveFeedbackStrategy
    def __init__(self, naive: _Optional[_Union[NaiveFeedbackStrategy, _Mapping]] = ...) -> None: ...

class NaiveFeedbackStrategy(_message.Message):
    __slots__ = ("a", "b", "c")
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    C_FIELD_NUMBER: _ClassVar[int]
    a: float
    b: float
    c: float
    def __init__(self, a: _Optional[float] = ..., b: _Optional[float] = ..., c: _Optional[float] = ...) -> None: ...

class Formula(_message.Message):
    __slots__ = ("expression", "defaults")
    class DefaultsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _values_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_values_pb2.Value, _Mapping]] = ...) -> None: ...
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    expression: Expression
    defaults: _containers.MessageMap[str, _values_pb2.Value]
    def __init__(self, expression: _Optional[_Union[Expression, _Mapping]] = ..., defaults: _Optional[_Mapping[str, _values_pb2.Value]] = ...) -> None: ...

class Expression(_message.Message):
    __slots__ = ("constant", "variable", "condition", "geo_distance", "datetime", "datetime_key", "mult", "sum", "div", "neg", "abs", "sqrt", "pow", "exp", "log10", "ln", "exp_decay", "gauss_decay", "lin_decay")
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    VARIABLE_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    GEO_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    DATETIME_FIELD_NUMBER: _ClassVar[int]
    DATETIME_KEY_FIELD_NUMBER: _ClassVar[int]
    MULT_FIELD_NUMBER: _ClassVar[int]
    SUM_FIELD_NUMBER: _ClassVar[int]
    DIV_FIELD_NUMBER: _ClassVar[int]
    NEG_FIELD_NUMBER: _ClassVar[int]
    ABS_FIELD_NUMBER: _ClassVar[int]
    SQRT_FIELD_NUMBER: _ClassVar[int]
    POW_FIELD_NUMBER: _ClassVar[int]
    EXP_FIELD_NUMBER: _ClassVar[int]
    LOG10_FIELD_NUMBER: _ClassVar[int]
    LN_FIELD_NUMBER: _ClassVar[int]
    EXP_DECAY_FIELD_NUMBER: _ClassVar[int]
    GAUSS_DECAY_FIELD_NUMBER: _ClassVar[int]
    LIN_DECAY_FIELD_NUMBER: _ClassVar[int]
    constant: float
    variable: str
    condition: _filters_pb2.Condition
    geo_distance: GeoDistance
    datetime: str
    datetime_key: str
    mult: MultExpression
    sum: SumExpression
    div: DivExpression
    neg: Expression
    abs: Expression
    sqrt: Expression
    pow: PowExpression
    exp: Expression
    log10: Expression
    ln: Expression
    exp_decay: DecayParamsExpression
    gauss_decay: DecayParamsExpression
    lin_decay: DecayParamsExpression
    def __init__(self, constant: _Optional[float] = ..., variable: _Optional[str] = ..., condition: _Optional[_Union[_filters_pb2.Condition, _Mapping]] = ..., geo_distance: _Optional[_Union[GeoDistance, _Mapping]] = ..., datetime: _Optional[str] = ..., datetime_key: _Optional[str] = ..., mult: _Optional[_Union[MultExpression, _Mapping]] = ..., sum: _Optional[_Union[SumExpression, _Mapping]] = ..., div: _Optional[_Union[DivExpression, _Mapping]] = ..., neg: _Optional[_Union[Expression, _Mapping]] = ..., abs: _Optional[_Union[Expression, _Mapping]] = ..., sqrt: _Optional[_Union[Expression, _Mapping]] = ..., pow: _Optional[_Union[PowExpression, _Mapping]] = ..., exp: _Optional[_Union[Expression, _Mapping]] = ..., log10: _Optional[_Union[Expression, _Mapping]] = ..., ln: _Optional[_Union[Expression, _Mapping]] = ..., exp_decay: _Optional[_Union[DecayParamsExpression, _Mapping]] = ..., gauss_decay: _Optional[_Union[DecayParamsExpression, _Mapping]] = ..., lin_decay: _Optional[_Union[DecayParamsExpression, _Mapping]] = ...) -> None: ...

class GeoDistance(_message.Message):
    __slots__ = ("origin", "to")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    origin: _filters_pb2.GeoPoint
    to: str
    def __init__(self, origin: _Optional[_Union[_filters_pb2.GeoPoint, _Mapping]] = ..., to: _Optional[str] = ...) -> None: ...

class MultExpression(_message.Message):
    __slots__ = ("mult",)
    MULT_FIELD_NUMBER: _ClassVar[int]
    mult: _containers.RepeatedCompositeFieldContainer[Expression]
    def __init__(self, mult: _Optional[_Iterable[_Union[Expression, _Mapping]]] = ...) -> None: ...

class SumExpression(_message.Message):
    __slots__ = ("sum",)
    SUM_FIELD_NUMBER: _ClassVar[int]
    sum: _containers.RepeatedCompositeFieldContainer[Expression]
    def __init__(self, sum: _Optional[_Iterable[_Union[Expression, _Mapping]]] = ...) -> None: ...

class DivExpression(_message.Message):
    __slots__ = ("left", "right", "by_zero_default")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    BY_ZERO_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    left: Expression
    right: Expression
    by_zero_default: float
    def __init__(self, left: _Optional[_Union[Expression, _Mapping]] = ..., right: _Optional[_Union[Expression, _Mapping]] = ..., by_zero_default: _Optional[float] = ...) -> None: ...

class PowExpression(_message.Message):
    __slots__ = ("base", "exponent")
    BASE_FIELD_NUMBER: _ClassVar[int]
    EXPONENT_FIELD_NUMBER: _ClassVar[int]
    base: Expression
    exponent: Expression
    def __init__(self, base: _Optional[_Union[Expression, _Mapping]] = ..., exponent: _Optional[_Union[Expression, _Mapping]] = ...) -> None: ...

class DecayParamsExpression(_message.Message):
    __slots__ = ("x", "target", "scale", "midpoint")
    X_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    MIDPOINT_FIELD_NUMBER: _ClassVar[int]
    x: Expression
    target: Expression
    scale: float
    midpoint: float
    def __init__(self, x: _Optional[_Union[Expression, _Mapping]] = ..., target: _Optional[_Union[Expression, _Mapping]] = ..., scale: _Optional[float] = ..., midpoint: _Optional[float] = ...) -> None: ...

class NearestInputWithMmr(_message.Message):
    __slots__ = ("nearest", "mmr")
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    MMR_FIELD_NUMBER: _ClassVar[int]
    nearest: _points_pb2.VectorInput
    mmr: Mmr
    def __init__(self, nearest: _Optional[_Union[_points_pb2.VectorInput, _Mapping]] = ..., mmr: _Optional[_Union[Mmr, _Mapping]] = ...) -> None: ...

class Mmr(_message.Message):
    __slots__ = ("diversity", "candidates_limit")
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_LIMIT_FIELD_NUMBER: _ClassVar[int]
    diversity: float
    candidates_limit: int
    def __init__(self, diversity: _Optional[float] = ..., candidates_limit: _Optional[int] = ...) -> None: ...

class Rrf(_message.Message):
    __slots__ = ("k", "weights")
    K_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    k: int
    weights: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, k: _Optional[int] = ..., weights: _Optional[_Iterable[float]] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("nearest", "recommend", "discover", "context", "order_by", "fusion", "sample", "formula", "nearest_with_mmr", "rrf", "relevance_feedback")
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    RECOMMEND_FIELD_NUMBER: _ClassVar[int]
    DISCOVER_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    FUSION_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    FORMULA_FIELD_NUMBER: _ClassVar[int]
    NEAREST_WITH_MMR_FIELD_NUMBER: _ClassVar[int]
    RRF_FIELD_NUMBER: _ClassVar[int]
    RELEVANCE_FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    nearest: _points_pb2.VectorInput
    recommend: RecommendInput
    discover: DiscoverInput
    context: ContextInput
    order_by: OrderBy
    fusion: Fusion
    sample: Sample
    formula: Formula
    nearest_with_mmr: NearestInputWithMmr
    rrf: Rrf
    relevance_feedback: RelevanceFeedbackInput
    def __init__(self, nearest: _Optional[_Union[_points_pb2.VectorInput, _Mapping]] = ..., recommend: _Optional[_Union[RecommendInput, _Mapping]] = ..., discover: _Optional[_Union[DiscoverInput, _Mapping]] = ..., context: _Optional[_Union[ContextInput, _Mapping]] = ..., order_by: _Optional[_Union[OrderBy, _Mapping]] = ..., fusion: _Optional[_Union[Fusion, str]] = ..., sample: _Optional[_Union[Sample, str]] = ..., formula: _Optional[_Union[Formula, _Mapping]] = ..., nearest_with_mmr: _Optional[_Union[NearestInputWithMmr, _Mapping]] = ..., rrf: _Optional[_Union[Rrf, _Mapping]] = ..., relevance_feedback: _Optional[_Union[RelevanceFeedbackInput, _Mapping]] = ...) -> None: ...

class PrefetchQuery(_message.Message):
    __slots__ = ("prefetch", "query", "using", "filter", "params", "score_threshold", "limit", "lookup_from")
    PREFETCH_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    USING_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_FROM_FIELD_NUMBER: _ClassVar[int]
    prefetch: _containers.RepeatedCompositeFieldContainer[PrefetchQuery]
    query: Query
    using: str
    filter: _filters_pb2.Filter
    params: SearchParams
    score_threshold: float
    limit: int
    lookup_from: LookupLocation
    def __init__(self, prefetch: _Optional[_Iterable[_Union[PrefetchQuery, _Mapping]]] = ..., query: _Optional[_Union[Query, _Mapping]] = ..., using: _Optional[str] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., params: _Optional[_Union[SearchParams, _Mapping]] = ..., score_threshold: _Optional[float] = ..., limit: _Optional[int] = ..., lookup_from: _Optional[_Union[LookupLocation, _Mapping]] = ...) -> None: ...

class QueryPoints(_message.Message):
    __slots__ = ("collection_name", "prefetch", "query", "using", "filter", "params", "score_threshold", "limit", "offset", "with_vectors", "with_payload", "read_consistency", "shard_key_selector", "lookup_from", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    PREFETCH_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    USING_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_FROM_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    prefetch: _containers.RepeatedCompositeFieldContainer[PrefetchQuery]
    query: Query
    using: str
    filter: _filters_pb2.Filter
    params: SearchParams
    score_threshold: float
    limit: int
    offset: int
    with_vectors: _points_pb2.WithVectorsSelector
    with_payload: _points_pb2.WithPayloadSelector
    read_consistency: _points_pb2.ReadConsistency
    shard_key_selector: _points_pb2.ShardKeySelector
    lookup_from: LookupLocation
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., prefetch: _Optional[_Iterable[_Union[PrefetchQuery, _Mapping]]] = ..., query: _Optional[_Union[Query, _Mapping]] = ..., using: _Optional[str] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., params: _Optional[_Union[SearchParams, _Mapping]] = ..., score_threshold: _Optional[float] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., with_vectors: _Optional[_Union[_points_pb2.WithVectorsSelector, _Mapping]] = ..., with_payload: _Optional[_Union[_points_pb2.WithPayloadSelector, _Mapping]] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ..., lookup_from: _Optional[_Union[LookupLocation, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class QueryBatchPoints(_message.Message):
    __slots__ = ("collection_name", "query_points", "read_consistency", "timeout")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    QUERY_POINTS_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    query_points: _containers.RepeatedCompositeFieldContainer[QueryPoints]
    read_consistency: _points_pb2.ReadConsistency
    timeout: int
    def __init__(self, collection_name: _Optional[str] = ..., query_points: _Optional[_Iterable[_Union[QueryPoints, _Mapping]]] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class QueryPointGroups(_message.Message):
    __slots__ = ("collection_name", "prefetch", "query", "using", "filter", "params", "score_threshold", "with_payload", "with_vectors", "lookup_from", "limit", "group_size", "group_by", "read_consistency", "with_lookup", "timeout", "shard_key_selector")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    PREFETCH_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    USING_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_FROM_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    GROUP_SIZE_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    WITH_LOOKUP_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    prefetch: _containers.RepeatedCompositeFieldContainer[PrefetchQuery]
    query: Query
    using: str
    filter: _filters_pb2.Filter
    params: SearchParams
    score_threshold: float
    with_payload: _points_pb2.WithPayloadSelector
    with_vectors: _points_pb2.WithVectorsSelector
    lookup_from: LookupLocation
    limit: int
    group_size: int
    group_by: str
    read_consistency: _points_pb2.ReadConsistency
    with_lookup: WithLookup
    timeout: int
    shard_key_selector: _points_pb2.ShardKeySelector
    def __init__(self, collection_name: _Optional[str] = ..., prefetch: _Optional[_Iterable[_Union[PrefetchQuery, _Mapping]]] = ..., query: _Optional[_Union[Query, _Mapping]] = ..., using: _Optional[str] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., params: _Optional[_Union[SearchParams, _Mapping]] = ..., score_threshold: _Optional[float] = ..., with_payload: _Optional[_Union[_points_pb2.WithPayloadSelector, _Mapping]] = ..., with_vectors: _Optional[_Union[_points_pb2.WithVectorsSelector, _Mapping]] = ..., lookup_from: _Optional[_Union[LookupLocation, _Mapping]] = ..., limit: _Optional[int] = ..., group_size: _Optional[int] = ..., group_by: _Optional[str] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., with_lookup: _Optional[_Union[WithLookup, _Mapping]] = ..., timeout: _Optional[int] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ...) -> None: ...

class FacetCounts(_message.Message):
    __slots__ = ("collection_name", "key", "filter", "limit", "exact", "timeout", "read_consistency", "shard_key_selector")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    key: str
    filter: _filters_pb2.Filter
    limit: int
    exact: bool
    timeout: int
    read_consistency: _points_pb2.ReadConsistency
    shard_key_selector: _points_pb2.ShardKeySelector
    def __init__(self, collection_name: _Optional[str] = ..., key: _Optional[str] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., limit: _Optional[int] = ..., exact: _Optional[bool] = ..., timeout: _Optional[int] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ...) -> None: ...

class FacetValue(_message.Message):
    __slots__ = ("string_value", "integer_value", "bool_value")
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    INTEGER_VALUE_FIELD_NUMBER: _ClassVar[int]
    BOOL_VALUE_FIELD_NUMBER: _ClassVar[int]
    string_value: str
    integer_value: int
    bool_value: bool
    def __init__(self, string_value: _Optional[str] = ..., integer_value: _Optional[int] = ..., bool_value: _Optional[bool] = ...) -> None: ...

class FacetHit(_message.Message):
    __slots__ = ("value", "count")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    value: FacetValue
    count: int
    def __init__(self, value: _Optional[_Union[FacetValue, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...

class SearchMatrixPoints(_message.Message):
    __slots__ = ("collection_name", "filter", "sample", "limit", "using", "timeout", "read_consistency", "shard_key_selector")
    COLLECTION_NAME_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    USING_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    READ_CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    SHARD_KEY_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    collection_name: str
    filter: _filters_pb2.Filter
    sample: int
    limit: int
    using: str
    timeout: int
    read_consistency: _points_pb2.ReadConsistency
    shard_key_selector: _points_pb2.ShardKeySelector
    def __init__(self, collection_name: _Optional[str] = ..., filter: _Optional[_Union[_filters_pb2.Filter, _Mapping]] = ..., sample: _Optional[int] = ..., limit: _Optional[int] = ..., using: _Optional[str] = ..., timeout: _Optional[int] = ..., read_consistency: _Optional[_Union[_points_pb2.ReadConsistency, _Mapping]] = ..., shard_key_selector: _Optional[_Union[_points_pb2.ShardKeySelector, _Mapping]] = ...) -> None: ...

class SearchMatrixPairs(_message.Message):
    __slots__ = ("pairs",)
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    pairs: _containers.RepeatedCompositeFieldContainer[SearchMatrixPair]
    def __init__(self, pairs: _Optional[_Iterable[_Union[SearchMatrixPair, _Mapping]]] = ...) -> None: ...

class SearchMatrixPair(_message.Message):
    __slots__ = ("a", "b", "score")
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    a: _filters_pb2.PointId
    b: _filters_pb2.PointId
    score: float
    def __init__(self, a: _Optional[_Union[_filters_pb2.PointId, _Mapping]] = ..., b: _Optional[_Union[_filters_pb2.PointId, _Mapping]] = ..., score: _Optional[float] = ...) -> None: ...

class SearchMatrixOffsets(_message.Message):
    __slots__ = ("offsets_row", "offsets_col", "scores", "ids")
    OFFSETS_ROW_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_COL_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    offsets_row: _containers.RepeatedScalarFieldContainer[int]
    offsets_col: _containers.RepeatedScalarFieldContainer[int]
    scores: _containers.RepeatedScalarFieldContainer[float]
    ids: _containers.RepeatedCompositeFieldContainer[_filters_pb2.PointId]
    def __init__(self, offsets_row: _Optional[_Iterable[int]] = ..., offsets_col: _Optional[_Iterable[int]] = ..., scores: _Optional[_Iterable[float]] = ..., ids: _Optional[_Iterable[_Union[_filters_pb2.PointId, _Mapping]]] = ...) -> None: ...

class GroupId(_message.Message):
    __slots__ = ("unsigned_value", "integer_value", "string_value")
    UNSIGNED_VALUE_FIELD_NUMBER: _ClassVar[int]
    INTEGER_VALUE_FIELD_NUMBER: _ClassVar[int]
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    unsigned_value: int
    integer_value: int
    string_value: str
    def __init__(self, unsigned_value: _Optional[int] = ..., integer_value: _Optional[int] = ..., string_value: _Optional[str] = ...) -> None: ...

class PointGroup(_message.Message):
    __slots__ = ("id", "hits", "lookup")
    ID_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_FIELD_NUMBER: _ClassVar[int]
    id: GroupId
    hits: _containers.RepeatedCompositeFieldContainer[_points_pb2.ScoredPoint]
    lookup: _points_pb2.RetrievedPoint
    def __init__(self, id: _Optional[_Union[GroupId, _Mapping]] = ..., hits: _Optional[_Iterable[_Union[_points_pb2.ScoredPoint, _Mapping]]] = ..., lookup: _Optional[_Union[_points_pb2.RetrievedPoint, _Mapping]] = ...) -> None: ...

class GroupsResult(_message.Message):
    __slots__ = ("groups",)
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[PointGroup]
    def __init__(self, groups: _Optional[_Iterable[_Union[PointGroup, _Mapping]]] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _containers.RepeatedCompositeFieldContainer[_points_pb2.ScoredPoint]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Iterable[_Union[_points_pb2.ScoredPoint, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class QueryBatchResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _containers.RepeatedCompositeFieldContainer[BatchResult]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Iterable[_Union[BatchResult, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class QueryGroupsResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: GroupsResult
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Union[GroupsResult, _Mapping]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class BatchResult(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _containers.RepeatedCompositeFieldContainer[_points_pb2.ScoredPoint]
    def __init__(self, result: _Optional[_Iterable[_Union[_points_pb2.ScoredPoint, _Mapping]]] = ...) -> None: ...

class CountResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: CountResult
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Union[CountResult, _Mapping]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class ScrollResponse(_message.Message):
    __slots__ = ("next_page_offset", "result", "time", "usage")
    NEXT_PAGE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    next_page_offset: _filters_pb2.PointId
    result: _containers.RepeatedCompositeFieldContainer[_points_pb2.RetrievedPoint]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, next_page_offset: _Optional[_Union[_filters_pb2.PointId, _Mapping]] = ..., result: _Optional[_Iterable[_Union[_points_pb2.RetrievedPoint, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class CountResult(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: _containers.RepeatedCompositeFieldContainer[_points_pb2.RetrievedPoint]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Iterable[_Union[_points_pb2.RetrievedPoint, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class FacetResponse(_message.Message):
    __slots__ = ("hits", "time", "usage")
    HITS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[FacetHit]
    time: float
    usage: _points_pb2.Usage
    def __init__(self, hits: _Optional[_Iterable[_Union[FacetHit, _Mapping]]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class SearchMatrixPairsResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: SearchMatrixPairs
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Union[SearchMatrixPairs, _Mapping]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...

class SearchMatrixOffsetsResponse(_message.Message):
    __slots__ = ("result", "time", "usage")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    result: SearchMatrixOffsets
    time: float
    usage: _points_pb2.Usage
    def __init__(self, result: _Optional[_Union[SearchMatrixOffsets, _Mapping]] = ..., time: _Optional[float] = ..., usage: _Optional[_Union[_points_pb2.Usage, _Mapping]] = ...) -> None: ...
