"""Effective configurations: defaults at creation, diffs, and what info shows."""

from __future__ import annotations

from typing import Any

import pytest
from qdrant_client.http import models

from protos.collections import (
    CollectionConfig,
    CollectionDefaults,
    Distance,
    HnswConfig,
    HnswConfigDiff,
    Memory,
    PayloadSchema,
    PayloadSchemaType,
    QuantizationConfig,
    ScalarQuantizationConfig,
    StrictModeConfig,
    TextIndexParams,
    UpdateCollection,
    VectorParams,
    add_vector,
    decode_create,
    decode_update,
    echo,
    echo_index,
    merge,
    new_config,
    remove_vector,
)
from protos.errors import BadInput

DENSE = {"size": 4, "distance": "Dot"}
EVERYTHING: dict[str, Any] = {
    "vectors": {
        "a": {
            **DENSE,
            "hnsw_config": {"m": 8, "payload_m": 4},
            "quantization_config": {"scalar": {"type": "int8", "quantile": 0.99}},
            "on_disk": True,
            "memory": "cold",
            "datatype": "float32",
        },
        "": {"size": 2, "distance": "Manhattan"},
    },
    "shard_number": 3,
    "sharding_method": "auto",
    "replication_factor": 2,
    "write_consistency_factor": 2,
    "payload": {"memory": "cached"},
    "on_disk_payload": False,
    "hnsw_config": {"m": 0, "payload_m": 16, "memory": "cached", "inline_storage": True},
    "optimizers_config": {
        "indexing_threshold": 0,
        "max_optimization_threads": 2,
        "prevent_unoptimized": True,
    },
    "wal_config": {"wal_capacity_mb": 1},
    "quantization_config": {"turbo": {"bits": "bits2"}},
    "strict_mode_config": {"enabled": True, "multivector_config": {"a": {"max_vectors": 3}}},
    "metadata": {"owner": None, "n": {"deep": None}},
}


def created(body: dict[str, Any], defaults: CollectionDefaults = CollectionDefaults()) -> CollectionConfig:  # noqa: B008
    return new_config(decode_create(body), defaults, peers=1)


def test_info_of_a_plain_collection_shows_the_documented_defaults_and_nothing_else() -> None:
    assert echo(created({"vectors": DENSE})) == {
        "params": {
            "vectors": {"size": 4, "distance": "Dot"},
            "shard_number": 1,
            "replication_factor": 1,
            "write_consistency_factor": 1,
            "on_disk_payload": True,
        },
        "hnsw_config": {
            "m": 16,
            "ef_construct": 100,
            "full_scan_threshold": 10000,
            "max_indexing_threads": 0,
            "on_disk": False,
        },
        "optimizer_config": {
            "deleted_threshold": 0.2,
            "vacuum_min_vector_number": 1000,
            "default_segment_number": 0,
            "max_segment_size": None,
            "memmap_threshold": None,
            "indexing_threshold": 10000,
            "flush_interval_sec": 5,
            "max_optimization_threads": None,
            "prevent_unoptimized": None,
        },
        "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1},
        "quantization_config": None,
    }


@pytest.mark.parametrize("body", [{}, {"vectors": DENSE}, {"vectors": {"a": DENSE}}, EVERYTHING])
def test_info_parses_as_the_clients_model_and_loses_nothing(body: dict[str, Any]) -> None:
    shown = echo(created(body))
    parsed = models.CollectionConfig.model_validate(shown)
    assert parsed.model_dump(mode="json", exclude_unset=True, by_alias=True) == shown


def test_everything_that_was_asked_for_is_shown() -> None:
    shown = echo(created(EVERYTHING))
    assert shown["params"]["vectors"] == EVERYTHING["vectors"]
    assert shown["params"]["payload"] == {"memory": "cached"}
    assert shown["hnsw_config"]["payload_m"] == 16
    assert shown["quantization_config"] == {"turbo": {"bits": "bits2"}}
    assert shown["strict_mode_config"] == EVERYTHING["strict_mode_config"]
    assert shown["metadata"] == EVERYTHING["metadata"]


def test_the_nodes_defaults_apply_where_the_client_is_silent() -> None:
    defaults = CollectionDefaults(
        shard_number_per_node=2,
        replication_factor=3,
        on_disk_payload=False,
        vectors_memory=Memory.COLD,
        hnsw_config=HnswConfig(m=32),
        strict_mode_config=StrictModeConfig(enabled=True, max_query_limit=10),
    )
    body = {
        "vectors": {"a": DENSE, "b": {**DENSE, "on_disk": True}},
        "strict_mode_config": {"max_query_limit": 5},
    }
    config = new_config(decode_create(body), defaults, peers=3)
    assert config.params.shard_number == 6
    assert config.params.replication_factor == 3
    assert config.params.on_disk_payload is False
    assert config.vectors["a"].memory is Memory.COLD
    assert config.vectors["b"].memory is None
    assert config.hnsw_config.m == 32
    assert config.strict_mode_config == StrictModeConfig(enabled=True, max_query_limit=5)


def test_a_null_indexing_threshold_is_the_default_and_zero_stays_zero() -> None:
    assert (
        created({"optimizers_config": {"indexing_threshold": None}}).optimizer_config.indexing_threshold
        == 10_000
    )
    assert created({"optimizers_config": {"indexing_threshold": 0}}).optimizer_config.indexing_threshold == 0


def test_a_vectors_own_hnsw_settings_win_over_the_collections() -> None:
    config = created(EVERYTHING)
    assert (config.hnsw_of("a").m, config.hnsw_of("a").inline_storage) == (8, True)
    assert config.hnsw_of("").m == 0


def test_an_empty_update_changes_nothing() -> None:
    config = created(EVERYTHING)
    assert merge(config, UpdateCollection()) == config
    assert (
        merge(config, decode_update({"hnsw_config": {"m": None}, "metadata": None, "vectors": {"a": {}}}))
        == config
    )


def test_an_update_changes_what_it_names_and_keeps_the_rest() -> None:
    config = merge(
        created({"vectors": DENSE, "metadata": {"a": 1, "b": 2}}),
        decode_update(
            {
                "vectors": {"": {"hnsw_config": {"m": 4}, "on_disk": True}},
                "hnsw_config": {"ef_construct": 64},
                "optimizers_config": {"indexing_threshold": 5},
                "params": {"replication_factor": 2, "read_fan_out_factor": 1},
                "strict_mode_config": {"enabled": True},
                "metadata": {"a": None, "c": 3},
            }
        ),
    )
    assert config.vectors[""] == VectorParams(4, Distance.DOT, hnsw_config=HnswConfigDiff(m=4), on_disk=True)
    assert config.hnsw_config == HnswConfig(ef_construct=64)
    assert config.optimizer_config.indexing_threshold == 5
    assert config.params.replication_factor == 2
    assert config.params.read_fan_out_factor == 1
    assert config.strict_mode_config == StrictModeConfig(enabled=True)
    assert config.metadata == {"b": 2, "c": 3}


def test_strict_mode_and_vector_settings_merge_field_by_field() -> None:
    config = created(EVERYTHING)
    config = merge(config, decode_update({"strict_mode_config": {"max_query_limit": 7}}))
    config = merge(config, decode_update({"vectors": {"a": {"hnsw_config": {"ef_construct": 9}}}}))
    assert config.strict_mode_config is not None
    assert (config.strict_mode_config.enabled, config.strict_mode_config.max_query_limit) == (True, 7)
    assert config.vectors["a"].hnsw_config == HnswConfigDiff(m=8, payload_m=4, ef_construct=9)


def test_quantization_is_replaced_whole_and_can_be_disabled() -> None:
    config = created({"vectors": DENSE, "quantization_config": {"product": {"compression": "x4"}}})
    config = merge(config, decode_update({"quantization_config": {"scalar": {"type": "int8"}}}))
    assert config.quantization_config == QuantizationConfig(scalar=ScalarQuantizationConfig("int8"))
    assert merge(config, decode_update({"quantization_config": "Disabled"})).quantization_config is None


def test_optimization_threads_can_go_back_to_automatic() -> None:
    config = created(EVERYTHING)
    update = decode_update({"optimizers_config": {"max_optimization_threads": "auto"}})
    assert merge(config, update).optimizer_config.max_optimization_threads is None


def test_an_update_of_an_unknown_vector_is_bad_input() -> None:
    with pytest.raises(BadInput, match="Not existing vector name error: b"):
        merge(created({"vectors": {"a": DENSE}}), decode_update({"vectors": {"b": {}}}))


def test_vector_names_come_and_go() -> None:
    config = created({"vectors": {"a": DENSE}})
    params = VectorParams(3, Distance.COSINE)
    more = add_vector(config, "b", params)
    assert more.vectors == {"a": VectorParams(4, Distance.DOT), "b": params}
    assert add_vector(more, "b", params) is more
    with pytest.raises(BadInput, match="Vector `b` already exists with a different configuration"):
        add_vector(more, "b", VectorParams(4, Distance.COSINE))
    assert remove_vector(more, "b") == config
    with pytest.raises(BadInput, match="Not existing vector name error: c"):
        remove_vector(config, "c")


def test_index_info_shows_params_only_if_they_were_given() -> None:
    bare = echo_index(PayloadSchema(PayloadSchemaType.TEXT), 3)
    assert bare == {"data_type": "text", "points": 3}
    schema = PayloadSchema(PayloadSchemaType.TEXT, TextIndexParams(tokenizer="word", min_token_len=2))
    shown = echo_index(schema, 0)
    assert shown == {
        "data_type": "text",
        "params": {"type": "text", "tokenizer": "word", "min_token_len": 2},
        "points": 0,
    }
    for index in (bare, shown):
        assert models.PayloadIndexInfo.model_validate(index).points == index["points"]
