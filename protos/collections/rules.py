"""Constraints on collection requests: values of the right shape that are still not allowed.

Each check raises ``InvalidField`` with the path and text of Qdrant's validation (reference 1.4, 18.5),
or ``BadInput`` where Qdrant answers 400. Maps are rendered as ``?`` in paths.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from protos.collections.payload_index import IntegerIndexParams, PayloadSchema
from protos.collections.quantization import QuantizationConfig
from protos.collections.requests import CollectionParamsDiff, CreateCollection, UpdateCollection
from protos.collections.strict_mode import StrictModeConfig
from protos.collections.tuning import (
    HnswConfig,
    HnswConfigDiff,
    Memory,
    OptimizersConfig,
    OptimizersConfigDiff,
    WalConfigDiff,
)
from protos.collections.vectors import UNNAMED, Datatype, SparseVectorParams, VectorParams
from protos.errors import BadInput, InvalidField

VECTOR_SIZE_MAX = 65_536
SHARDS_MAX = 1024  # a shard without a bucket would never get a point
COLLECTION_NAME_MAX = 255
VECTOR_NAME_MAX = 200
FORBIDDEN_IN_NAMES = '<>:"/\\|?*\0\x1f'
FORBIDDEN_IN_LEGACY_NAMES = "/\0"


# --- names ---------------------------------------------------------------------------------------


def check_new_collection_name(name: str) -> None:
    """The rule for a name that is about to be created (reference 7.1). Raises: InvalidField."""
    _check_collection_name(name, FORBIDDEN_IN_NAMES)


@lru_cache(maxsize=1024)  # every request names one
def check_collection_name(name: str) -> None:
    """The rule for a name that merely refers to a collection or alias. Raises: InvalidField."""
    _check_collection_name(name, FORBIDDEN_IN_LEGACY_NAMES)


def check_alias_name(name: str, path: str) -> None:
    """The rule for a name in a body that an alias is about to have. Raises: InvalidField."""
    _check_collection_name(name, FORBIDDEN_IN_NAMES, path, "JSON body")


def _check_collection_name(
    name: str, forbidden: str, path: str = "collection_name", where: str = "path parameters"
) -> None:
    if not 1 <= len(name.encode()) <= COLLECTION_NAME_MAX:
        text = f"value {name} invalid, must be from 1 to {COLLECTION_NAME_MAX} characters"
        raise InvalidField(path, text, where=where)
    for character in name:
        if character in forbidden:
            raise InvalidField(path, f'collection name cannot contain "{character}" char', where=where)


def check_vector_name(name: str) -> None:
    """Raises: BadInput if the name of a vector is too long or has a forbidden character."""
    if len(name.encode()) > VECTOR_NAME_MAX:
        raise BadInput(f"Vector name must be at most {VECTOR_NAME_MAX} characters long")
    for character in name:
        if character in FORBIDDEN_IN_NAMES:
            raise BadInput(f'Vector name `{name}` cannot contain "{character}" char')


# --- requests ------------------------------------------------------------------------------------


def check_create(request: CreateCollection) -> None:
    """Raises: InvalidField, BadInput."""
    single = set(request.vectors) == {UNNAMED}
    for params in request.vectors.values():
        check_vector_params(params, "vectors" if single else "vectors.?")
    _between("shard_number", request.shard_number, 1, SHARDS_MAX)
    _at_least("replication_factor", request.replication_factor, 1)
    _at_least("write_consistency_factor", request.write_consistency_factor, 1)
    if request.payload is not None:
        check_not_pinned("payload.memory", request.payload.memory)
    check_hnsw("hnsw_config", request.hnsw_config)
    _check_wal(request.wal_config)
    check_optimizers("optimizers_config", request.optimizers_config)
    _check_quantization("quantization_config", request.quantization_config)
    check_strict_mode("strict_mode_config", request.strict_mode_config)
    _check_sparse(request.sparse_vectors)
    _check_names(request.vectors, request.sparse_vectors or ())


def check_update(request: UpdateCollection) -> None:
    """Raises: InvalidField. What depends on the collection is checked when merging."""
    for diff in (request.vectors or {}).values():
        check_hnsw("vectors.?.hnsw_config", diff.hnsw_config)
        check_not_pinned("vectors.?.memory", diff.memory)
        if isinstance(diff.quantization_config, QuantizationConfig):
            _check_quantization("vectors.?.quantization_config", diff.quantization_config)
    check_optimizers("optimizers_config", request.optimizers_config)
    _check_params(request.params)
    check_hnsw("hnsw_config", request.hnsw_config)
    if isinstance(request.quantization_config, QuantizationConfig):
        _check_quantization("quantization_config", request.quantization_config)
    _check_sparse(request.sparse_vectors)
    check_strict_mode("strict_mode_config", request.strict_mode_config)


def check_vector_params(params: VectorParams, path: str) -> None:
    """Raises: InvalidField."""
    _between(f"{path}.size", params.size, 1, VECTOR_SIZE_MAX)
    check_hnsw(f"{path}.hnsw_config", params.hnsw_config)
    _check_quantization(f"{path}.quantization_config", params.quantization_config)
    check_not_pinned(f"{path}.memory", params.memory)


def check_sparse_params(params: SparseVectorParams, path: str) -> None:
    """``path`` is that of the object with the datatype. Raises: InvalidField."""
    if params.index is not None and params.index.datatype is Datatype.TURBO4:
        raise InvalidField(f"{path}.datatype", "sparse vectors do not support the `turbo4` datatype")


def check_index(schema: PayloadSchema) -> None:
    """Raises: InvalidField (reference 11)."""
    params = schema.params
    if isinstance(params, IntegerIndexParams) and params.lookup is False and params.range is False:
        raise InvalidField(
            "field_schema.?",
            "Validation error: the 'lookup' and 'range' capabilities can't be both disabled",
        )


# --- parts ---------------------------------------------------------------------------------------


def check_hnsw(path: str, config: HnswConfig | HnswConfigDiff | None) -> None:
    if config is None:
        return
    _at_least(f"{path}.ef_construct", config.ef_construct, 4)
    if isinstance(config, HnswConfigDiff):
        _at_least(f"{path}.full_scan_threshold", config.full_scan_threshold, 10)


def check_optimizers(path: str, config: OptimizersConfig | OptimizersConfigDiff | None) -> None:
    if config is None:
        return
    _between(f"{path}.deleted_threshold", config.deleted_threshold, 0.0, 1.0)
    _at_least(f"{path}.vacuum_min_vector_number", config.vacuum_min_vector_number, 100)
    _at_least(f"{path}.max_segment_size", config.max_segment_size, 1)


def check_strict_mode(path: str, config: StrictModeConfig | None) -> None:
    if config is None:
        return
    for field in (
        "max_query_limit",
        "max_timeout",
        "read_rate_limit",
        "write_rate_limit",
        "max_points_count",
    ):
        _at_least(f"{path}.{field}", getattr(config, field), 1)
    _between(f"{path}.max_resident_memory_percent", config.max_resident_memory_percent, 1, 100)
    for multivector in (config.multivector_config or {}).values():
        _at_least(f"{path}.multivector_config.?.max_vectors", multivector.max_vectors, 1)
    for sparse in (config.sparse_config or {}).values():
        _at_least(f"{path}.sparse_config.?.max_length", sparse.max_length, 1)


def check_not_pinned(path: str, memory: Memory | None) -> None:
    if memory is Memory.PINNED:
        raise InvalidField(path, "value pinned invalid, must be `cold` or `cached`")


def _check_params(params: CollectionParamsDiff | None) -> None:
    if params is None:
        return
    _at_least("params.replication_factor", params.replication_factor, 1)
    _at_least("params.write_consistency_factor", params.write_consistency_factor, 1)
    if params.payload is not None:
        check_not_pinned("params.payload.memory", params.payload.memory)


def _check_wal(config: WalConfigDiff | None) -> None:
    if config is not None:
        _at_least("wal_config.wal_capacity_mb", config.wal_capacity_mb, 1)


def _check_quantization(path: str, config: QuantizationConfig | None) -> None:
    if config is not None and config.scalar is not None:
        _between(f"{path}.scalar.quantile", config.scalar.quantile, 0.5, 1.0)


def _check_sparse(vectors: dict[str, SparseVectorParams] | None) -> None:
    for params in (vectors or {}).values():
        check_sparse_params(params, "sparse_vectors.?.index")


def _check_names(dense: Iterable[str], sparse: Iterable[str]) -> None:
    dense = set(dense)
    for name in sparse:
        if name == UNNAMED:
            raise BadInput("Sparse vector name cannot be empty")
        if name in dense:
            raise BadInput(f"Dense and sparse vector names must be unique - duplicate found with '{name}'")
        check_vector_name(name)
    for name in sorted(dense):
        check_vector_name(name)


def _at_least(path: str, value: float | None, low: float) -> None:
    if value is not None and value < low:
        raise InvalidField(path, f"value {value} invalid, must be {low} or larger")


def _between(path: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise InvalidField(path, f"value {value} invalid, must be from {low} to {high}")
