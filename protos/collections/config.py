"""A collection's effective configuration, and the form in which info shows it.

Invariant: what ``echo`` returns parses as Qdrant's ``CollectionConfig``: unset options are left out,
except the few that are shown as null (reference 7.2, 19).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from protos.collections.quantization import QuantizationConfig
from protos.collections.strict_mode import StrictModeConfig
from protos.collections.tuning import HnswConfig, Memory, OptimizersConfig, Unsigned, WalConfig, overlay
from protos.collections.vectors import UNNAMED, AnyVectorParams, Distance, SparseVectorParams, VectorsConfig

ShardingMethod = Literal["auto", "custom"]
Metadata = dict[str, Any]


class PayloadStorageParams(Struct, frozen=True, omit_defaults=True):
    memory: Memory | None = None


class CollectionParams(Struct, frozen=True):
    vectors: VectorsConfig
    shard_number: Unsigned = 1
    sharding_method: ShardingMethod | None = None
    replication_factor: Unsigned = 1
    write_consistency_factor: Unsigned = 1
    read_fan_out_factor: Unsigned | None = None
    read_fan_out_delay_ms: Unsigned | None = None
    on_disk_payload: bool = True
    payload: PayloadStorageParams | None = None
    sparse_vectors: dict[str, SparseVectorParams] | None = None

    @property
    def named(self) -> dict[str, AnyVectorParams]:
        """Vectors of every kind by name."""
        return {**self.vectors, **(self.sparse_vectors or {})}

    @property
    def unnamed_only(self) -> bool:
        """Is the unnamed vector the only one, so that it shows as a bare value?"""
        return set(self.vectors) == {UNNAMED} and not self.sparse_vectors


class CollectionConfig(Struct, frozen=True):
    params: CollectionParams
    hnsw_config: HnswConfig = HnswConfig()
    optimizer_config: OptimizersConfig = OptimizersConfig()
    wal_config: WalConfig = WalConfig()
    quantization_config: QuantizationConfig | None = None
    strict_mode_config: StrictModeConfig | None = None
    metadata: Metadata | None = None

    @property
    def vectors(self) -> VectorsConfig:
        """Dense vectors and multivectors by name."""
        return self.params.vectors

    @property
    def sparse_vectors(self) -> dict[str, SparseVectorParams]:
        return self.params.sparse_vectors or {}

    @property
    def all_vectors(self) -> dict[str, AnyVectorParams]:
        """Vectors of every kind by name."""
        return self.params.named

    def hnsw_of(self, name: str) -> HnswConfig:
        """The HNSW settings of one vector: the collection's, overlaid with the vector's own."""
        return overlay(self.hnsw_config, self.params.vectors[name].hnsw_config)

    def distance_of(self, name: str) -> Distance:
        """Sparse vectors are compared by dot product."""
        params = self.all_vectors[name]
        return Distance.DOT if isinstance(params, SparseVectorParams) else params.distance

    def quantization_of(self, name: str) -> QuantizationConfig | None:
        """The quantization of one vector: its own, else the collection's."""
        return self.params.vectors[name].quantization_config or self.quantization_config


def echo(config: CollectionConfig) -> dict[str, Any]:
    """Return ``config`` as info shows it: plain values ready for a JSON encoder."""
    shown: dict[str, Any] = {
        "params": _echo_params(config.params),
        "hnsw_config": _without_nulls(config.hnsw_config),
        "optimizer_config": msgspec.to_builtins(config.optimizer_config),
        "wal_config": msgspec.to_builtins(config.wal_config),
        "quantization_config": msgspec.to_builtins(config.quantization_config),
    }
    if config.strict_mode_config is not None:
        shown["strict_mode_config"] = msgspec.to_builtins(config.strict_mode_config)
    if config.metadata is not None:
        shown["metadata"] = config.metadata
    return shown


def _echo_params(params: CollectionParams) -> dict[str, Any]:
    shown = _without_nulls(params)
    if set(params.vectors) == {UNNAMED}:
        shown["vectors"] = shown["vectors"][UNNAMED]
    return shown


def _without_nulls(value: Struct) -> dict[str, Any]:
    return {key: item for key, item in msgspec.to_builtins(value).items() if item is not None}
