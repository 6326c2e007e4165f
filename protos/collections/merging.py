"""Configurations made from requests: a new collection's from its creation, the next one from a diff.

Pure; every member of a cluster computes the same result from the same arguments.
Source: reference 7.2 (defaults at creation), 7.4 (diffs).
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from protos.collections.config import CollectionConfig, CollectionParams, Metadata, PayloadStorageParams
from protos.collections.quantization import QuantizationConfig, QuantizationConfigDiff
from protos.collections.requests import CollectionParamsDiff, CreateCollection, UpdateCollection
from protos.collections.strict_mode import StrictModeConfig
from protos.collections.tuning import (
    HnswConfig,
    HnswConfigDiff,
    Memory,
    OptimizersConfig,
    OptimizersConfigDiff,
    Unsigned,
    WalConfig,
    overlay,
)
from protos.collections.vectors import (
    AnyVectorParams,
    SparseVectorParams,
    VectorParams,
    VectorParamsDiff,
    VectorsConfig,
)
from protos.errors import BadInput, vector_name_not_found

INDEXING_THRESHOLD_KB = 10_000


class CollectionDefaults(Struct, frozen=True):
    """What the node's configuration gives to new collections; None: Qdrant's own default."""

    shard_number: Unsigned | None = None
    shard_number_per_node: Unsigned | None = None
    replication_factor: Unsigned = 1
    write_consistency_factor: Unsigned = 1
    on_disk_payload: bool = True
    payload: PayloadStorageParams | None = None
    vectors_on_disk: bool | None = None
    vectors_memory: Memory | None = None
    hnsw_config: HnswConfig = HnswConfig()
    optimizers_config: OptimizersConfig = OptimizersConfig()
    wal_config: WalConfig = WalConfig()
    quantization_config: QuantizationConfig | None = None
    strict_mode_config: StrictModeConfig | None = None
    max_collections: Unsigned | None = None


def new_config(request: CreateCollection, defaults: CollectionDefaults, *, peers: int) -> CollectionConfig:
    """Return the configuration of a new collection in a cluster of ``peers`` members."""
    return CollectionConfig(
        params=_new_params(request, defaults, peers),
        hnsw_config=overlay(defaults.hnsw_config, request.hnsw_config),
        optimizer_config=_optimizers(defaults.optimizers_config, request.optimizers_config),
        wal_config=overlay(defaults.wal_config, request.wal_config),
        quantization_config=request.quantization_config or defaults.quantization_config,
        strict_mode_config=_strict_mode(defaults.strict_mode_config, request.strict_mode_config),
        metadata=request.metadata,
    )


def merge(config: CollectionConfig, update: UpdateCollection) -> CollectionConfig:
    """Return ``config`` with a PATCH laid over it.

    Raises: BadInput if the update names a vector that the collection does not have.
    """
    return replace(
        config,
        params=_merge_params(config.params, update),
        hnsw_config=overlay(config.hnsw_config, update.hnsw_config),
        optimizer_config=_optimizers(config.optimizer_config, update.optimizers_config),
        quantization_config=_quantization(config.quantization_config, update.quantization_config),
        strict_mode_config=_strict_mode(config.strict_mode_config, update.strict_mode_config),
        metadata=_metadata(config.metadata, update.metadata),
    )


def add_vector(config: CollectionConfig, name: str, params: AnyVectorParams) -> CollectionConfig:
    """Return ``config`` with one more vector name; unchanged if it has this very vector.

    Raises: BadInput if the name is taken by a different one (reference 7.5).
    """
    present = config.all_vectors.get(name)
    if present is not None:
        if type(present) is type(params) and present == params:
            return config
        raise BadInput(f"Vector `{name}` already exists with a different configuration")
    if isinstance(params, SparseVectorParams):
        changed = replace(config.params, sparse_vectors={**config.sparse_vectors, name: params})
    else:
        changed = replace(config.params, vectors={**config.params.vectors, name: params})
    return replace(config, params=changed)


def remove_vector(config: CollectionConfig, name: str) -> CollectionConfig:
    """Return ``config`` without a vector name. Raises: BadInput if it has no such vector."""
    if name not in config.all_vectors:
        raise vector_name_not_found(name)
    vectors = {key: params for key, params in config.vectors.items() if key != name}
    sparse = {key: params for key, params in config.sparse_vectors.items() if key != name}
    return replace(config, params=replace(config.params, vectors=vectors, sparse_vectors=sparse or None))


# --- creation --------------------------------------------------------------------------------------


def _new_params(request: CreateCollection, defaults: CollectionDefaults, peers: int) -> CollectionParams:
    on_disk_payload = request.on_disk_payload
    states_none = request.payload is None and on_disk_payload is None
    return CollectionParams(
        vectors={name: _new_vector(params, defaults) for name, params in request.vectors.items()},
        shard_number=_shard_number(request, defaults, peers),
        sharding_method=request.sharding_method,
        replication_factor=request.replication_factor or defaults.replication_factor,
        write_consistency_factor=request.write_consistency_factor or defaults.write_consistency_factor,
        on_disk_payload=defaults.on_disk_payload if on_disk_payload is None else on_disk_payload,
        payload=defaults.payload if states_none else request.payload,
        sparse_vectors=request.sparse_vectors or None,
    )


def _new_vector(params: VectorParams, defaults: CollectionDefaults) -> VectorParams:
    """The node's placement for vectors applies only where the client states none."""
    if params.on_disk is not None or params.memory is not None:
        return params
    return replace(params, on_disk=defaults.vectors_on_disk, memory=defaults.vectors_memory)


def _shard_number(request: CreateCollection, defaults: CollectionDefaults, peers: int) -> int:
    if request.shard_number is not None:
        return request.shard_number
    if defaults.shard_number is not None:
        return defaults.shard_number
    if request.sharding_method == "custom":
        return 1  # per shard key
    return (defaults.shard_number_per_node or 1) * peers


# --- diffs -----------------------------------------------------------------------------------------


def _merge_params(params: CollectionParams, update: UpdateCollection) -> CollectionParams:
    merged = _overlay_params(params, update.params)
    if update.vectors:
        merged = replace(merged, vectors=_merge_vectors(params.vectors, update.vectors))
    if update.sparse_vectors:
        sparse = _merge_sparse(params.sparse_vectors or {}, update.sparse_vectors)
        merged = replace(merged, sparse_vectors=sparse)
    return merged


def _overlay_params(params: CollectionParams, diff: CollectionParamsDiff | None) -> CollectionParams:
    merged = overlay(params, diff)
    if diff is None or diff.payload is None or params.payload is None:
        return merged
    return replace(merged, payload=overlay(params.payload, diff.payload))


def _merge_vectors(vectors: VectorsConfig, diffs: dict[str, VectorParamsDiff]) -> VectorsConfig:
    for name in diffs:
        if name not in vectors:
            raise vector_name_not_found(name)
    return vectors | {name: _merge_vector(vectors[name], diff) for name, diff in diffs.items()}


def _merge_vector(params: VectorParams, diff: VectorParamsDiff) -> VectorParams:
    return replace(
        params,
        hnsw_config=_hnsw_diff(params.hnsw_config, diff.hnsw_config),
        quantization_config=_quantization(params.quantization_config, diff.quantization_config),
        on_disk=params.on_disk if diff.on_disk is None else diff.on_disk,
        memory=params.memory if diff.memory is None else diff.memory,
    )


def _hnsw_diff(present: HnswConfigDiff | None, diff: HnswConfigDiff | None) -> HnswConfigDiff | None:
    merged = overlay(present or HnswConfigDiff(), diff)
    return None if merged == HnswConfigDiff() else merged


def _merge_sparse(
    vectors: dict[str, SparseVectorParams], diffs: dict[str, SparseVectorParams]
) -> dict[str, SparseVectorParams]:
    merged = dict(vectors)
    for name, diff in diffs.items():
        if name not in vectors:
            raise vector_name_not_found(name)
        present = vectors[name]
        index = diff.index if present.index is None else overlay(present.index, diff.index)
        merged[name] = replace(present, index=index, modifier=diff.modifier or present.modifier)
    return merged


def _optimizers(config: OptimizersConfig, diff: OptimizersConfigDiff | None) -> OptimizersConfig:
    merged = overlay(config, diff)
    if diff is not None and diff.max_optimization_threads == "auto":
        merged = replace(merged, max_optimization_threads=None)
    if merged.indexing_threshold is None:
        merged = replace(merged, indexing_threshold=INDEXING_THRESHOLD_KB)
    return merged


def _quantization(
    present: QuantizationConfig | None, diff: QuantizationConfigDiff | None
) -> QuantizationConfig | None:
    """Quantization is replaced as a whole; ``"Disabled"`` removes it."""
    if diff is None:
        return present
    return diff if isinstance(diff, QuantizationConfig) else None


def _strict_mode(present: StrictModeConfig | None, diff: StrictModeConfig | None) -> StrictModeConfig | None:
    return overlay(present, diff) if present is not None else diff


def _metadata(present: Metadata | None, diff: Metadata | None) -> Metadata | None:
    """Top-level keys are merged; a null removes its key."""
    if diff is None:
        return present
    merged = {**(present or {}), **diff}
    return {key: value for key, value in merged.items() if value is not None}
