"""What a client may ask about collections, as values: create, update, aliases, indexes, vector names.

A value of these types has the right shape and keeps every documented constraint when it came from
``protos.collections.decoding``.
"""

from __future__ import annotations

from msgspec import Struct

from protos.collections.config import Metadata, PayloadStorageParams, ShardingMethod
from protos.collections.payload_index import PayloadSchema
from protos.collections.quantization import QuantizationConfig, QuantizationConfigDiff
from protos.collections.strict_mode import StrictModeConfig
from protos.collections.tuning import HnswConfigDiff, OptimizersConfigDiff, Unsigned, WalConfigDiff
from protos.collections.vectors import (
    SparseVectorParams,
    VectorParamsDiff,
    VectorsConfig,
)


class InitFrom(Struct, frozen=True):
    """Copy the points of another collection into the new one."""

    collection: str


class CreateCollection(Struct, frozen=True, omit_defaults=True):
    vectors: VectorsConfig = {}
    shard_number: Unsigned | None = None
    sharding_method: ShardingMethod | None = None
    replication_factor: Unsigned | None = None
    write_consistency_factor: Unsigned | None = None
    on_disk_payload: bool | None = None
    payload: PayloadStorageParams | None = None
    hnsw_config: HnswConfigDiff | None = None
    wal_config: WalConfigDiff | None = None
    optimizers_config: OptimizersConfigDiff | None = None
    quantization_config: QuantizationConfig | None = None
    sparse_vectors: dict[str, SparseVectorParams] | None = None
    strict_mode_config: StrictModeConfig | None = None
    metadata: Metadata | None = None
    init_from: InitFrom | None = None


class CollectionParamsDiff(Struct, frozen=True, omit_defaults=True):
    replication_factor: Unsigned | None = None
    write_consistency_factor: Unsigned | None = None
    read_fan_out_factor: Unsigned | None = None
    read_fan_out_delay_ms: Unsigned | None = None
    on_disk_payload: bool | None = None
    payload: PayloadStorageParams | None = None


class UpdateCollection(Struct, frozen=True, omit_defaults=True):
    """Diffs only: what is None stays as it was (reference 7.4)."""

    vectors: dict[str, VectorParamsDiff] | None = None
    optimizers_config: OptimizersConfigDiff | None = None
    params: CollectionParamsDiff | None = None
    hnsw_config: HnswConfigDiff | None = None
    quantization_config: QuantizationConfigDiff | None = None
    sparse_vectors: dict[str, SparseVectorParams] | None = None
    strict_mode_config: StrictModeConfig | None = None
    metadata: Metadata | None = None


class CreateFieldIndex(Struct, frozen=True):
    """``field_name`` is a JSON path; its grammar is checked where the path is used."""

    field_name: str
    field_schema: PayloadSchema


class CreateAlias(Struct, frozen=True, tag="create_alias"):
    collection_name: str
    alias_name: str


class DeleteAlias(Struct, frozen=True, tag="delete_alias"):
    alias_name: str


class RenameAlias(Struct, frozen=True, tag="rename_alias"):
    old_alias_name: str
    new_alias_name: str


AliasAction = CreateAlias | DeleteAlias | RenameAlias
