"""Strict mode limits of a collection (reference 15.1): the settings, kept field by field."""

from __future__ import annotations

from msgspec import Struct

from protos.collections.tuning import Unsigned


class StrictModeMultivector(Struct, frozen=True, omit_defaults=True):
    max_vectors: Unsigned | None = None


class StrictModeSparse(Struct, frozen=True, omit_defaults=True):
    max_length: Unsigned | None = None


class StrictModeConfig(Struct, frozen=True, omit_defaults=True):
    """None: no limit. Nothing is limited unless ``enabled`` is true."""

    enabled: bool | None = None
    max_query_limit: Unsigned | None = None
    max_timeout: Unsigned | None = None
    unindexed_filtering_retrieve: bool | None = None
    unindexed_filtering_update: bool | None = None
    search_max_hnsw_ef: Unsigned | None = None
    search_allow_exact: bool | None = None
    search_max_oversampling: float | None = None
    upsert_max_batchsize: Unsigned | None = None
    search_max_batchsize: Unsigned | None = None
    max_collection_vector_size_bytes: Unsigned | None = None
    read_rate_limit: Unsigned | None = None
    write_rate_limit: Unsigned | None = None
    max_collection_payload_size_bytes: Unsigned | None = None
    max_points_count: Unsigned | None = None
    filter_max_conditions: Unsigned | None = None
    condition_max_size: Unsigned | None = None
    multivector_config: dict[str, StrictModeMultivector] | None = None
    sparse_config: dict[str, StrictModeSparse] | None = None
    max_payload_index_count: Unsigned | None = None
    max_resident_memory_percent: Unsigned | None = None
