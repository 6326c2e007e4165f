"""Collection requests: their shapes, their other names, and the texts of their errors."""

from __future__ import annotations

import msgspec
import pytest

from protos.collections import (
    CreateAlias,
    Datatype,
    DeleteAlias,
    Distance,
    HnswConfigDiff,
    InitFrom,
    KeywordIndexParams,
    PayloadSchema,
    PayloadSchemaType,
    RenameAlias,
    VectorParams,
    check_collection_name,
    check_new_collection_name,
    check_vector_name,
    decode_alias_actions,
    decode_create,
    decode_field_index,
    decode_index_params,
    decode_update,
    decode_vector_name,
    default_index_params,
    encode_index_params,
)
from protos.errors import BadInput, InvalidField, MalformedBody

DENSE = {"size": 4, "distance": "Dot"}


def test_one_vectors_params_become_the_unnamed_vector() -> None:
    request = decode_create(b'{"vectors": {"size": 4, "distance": "Cosine"}}')
    assert request.vectors == {"": VectorParams(4, Distance.COSINE)}


def test_a_map_of_vectors_keeps_its_names_even_when_one_is_called_size() -> None:
    request = decode_create({"vectors": {"size": DENSE, "image": DENSE}})
    assert list(request.vectors) == ["size", "image"]


@pytest.mark.parametrize("body", [{}, {"vectors": {}}, {"vectors": None}])
def test_a_collection_may_have_no_vectors(body: dict[str, object]) -> None:
    assert decode_create(body).vectors == {}


def test_other_names_of_keys_are_understood() -> None:
    request = decode_create(
        {
            "vectors": {**DENSE, "quantization": {"scalar": {"type": "int8"}}},
            "optimizer_config": {
                "indexing_threshold_kb": 7,
                "max_segment_size_kb": 8,
                "memmap_threshold_kb": 9,
            },
            "hnsw_config": {"full_scan_threshold_kb": 20},
            "quantization": {"binary": {}},
        }
    )
    assert request.optimizers_config is not None
    assert request.optimizers_config.indexing_threshold == 7
    assert request.optimizers_config.max_segment_size == 8
    assert request.optimizers_config.memmap_threshold == 9
    assert request.hnsw_config == HnswConfigDiff(full_scan_threshold=20)
    assert request.quantization_config is not None
    assert request.quantization_config.binary is not None
    vector_quantization = request.vectors[""].quantization_config
    assert vector_quantization is not None
    assert vector_quantization.scalar is not None


def test_unknown_keys_are_ignored() -> None:
    assert decode_create({"vectors": {**DENSE, "colour": "red"}, "answer": 42}).vectors == {
        "": VectorParams(4, Distance.DOT)
    }


@pytest.mark.parametrize("diff", [{}, {"m": None}, {"colour": "red"}])
def test_an_hnsw_diff_of_a_vector_that_changes_nothing_is_none(diff: dict[str, object]) -> None:
    params = {**DENSE, "hnsw_config": diff}
    assert decode_create({"vectors": params}).vectors == {"": VectorParams(4, Distance.DOT)}
    assert decode_create({"vectors": {"a": params}}).vectors == {"a": VectorParams(4, Distance.DOT)}
    assert decode_vector_name({"dense": params}) == VectorParams(4, Distance.DOT)


def test_init_from_names_its_source() -> None:
    assert decode_create({"init_from": {"collection": "old"}}).init_from == InitFrom("old")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"vectors": {"size": 65537, "distance": "Dot"}},
            "vectors.size: value 65537 invalid, must be from 1 to 65536",
        ),
        (
            {"vectors": {"size": 0, "distance": "Dot"}},
            "vectors.size: value 0 invalid, must be from 1 to 65536",
        ),
        ({"vectors": {"a": {"size": 0, "distance": "Dot"}}}, "vectors.?.size: value 0 invalid"),
        (
            {"hnsw_config": {"ef_construct": 3}},
            "hnsw_config.ef_construct: value 3 invalid, must be 4 or larger",
        ),
        ({"hnsw_config": {"full_scan_threshold": 9}}, "hnsw_config.full_scan_threshold: value 9 invalid"),
        ({"vectors": {**DENSE, "hnsw_config": {"ef_construct": 1}}}, "vectors.hnsw_config.ef_construct"),
        ({"shard_number": 0}, "shard_number: value 0 invalid"),
        ({"replication_factor": 0}, "replication_factor: value 0 invalid, must be 1 or larger"),
        ({"write_consistency_factor": 0}, "write_consistency_factor: value 0 invalid, must be 1 or larger"),
        ({"vectors": {**DENSE, "memory": "pinned"}}, "vectors.memory: value pinned invalid"),
        ({"payload": {"memory": "pinned"}}, "payload.memory: value pinned invalid"),
        ({"optimizers_config": {"vacuum_min_vector_number": 99}}, "must be 100 or larger"),
        ({"optimizers_config": {"deleted_threshold": 1.5}}, "value 1.5 invalid, must be from 0.0 to 1.0"),
        ({"wal_config": {"wal_capacity_mb": 0}}, "wal_config.wal_capacity_mb: value 0 invalid"),
        ({"quantization_config": {"scalar": {"type": "int8", "quantile": 0.2}}}, "must be from 0.5 to 1.0"),
        ({"strict_mode_config": {"max_query_limit": 0}}, "strict_mode_config.max_query_limit: value 0"),
    ],
)
def test_broken_constraints_name_the_field_as_qdrant_does(body: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidField) as caught:
        decode_create(body)
    assert str(caught.value).startswith("Validation error in JSON body: [")
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"shard_number": -1}',
        b'{"replication_factor": -1}',
        b'{"write_consistency_factor": -1}',
        b'{"shard_number": true}',
        b'{"shard_number": 1e30}',
        b'{"shard_number": 100000000000000000000}',
        b'{"vectors": 3}',
        b'{"vectors": {"size": 4}}',
        b'{"vectors": {"size": 4, "distance": "Chebyshev"}}',
        b'{"vectors": {"a": 3}}',
        b'{"quantization_config": {"unheard": {}}}',
        b'{"sharding_method": "maybe"}',
        b'{"metadata": 3}',
    ],
)
def test_wrong_shapes_are_malformed_bodies(body: bytes) -> None:
    with pytest.raises(MalformedBody, match=r"^Format error in JSON body: "):
        decode_create(body)


def test_a_wrong_shape_inside_a_vector_is_located() -> None:
    with pytest.raises(MalformedBody, match=r"\$\.vectors\.image\.size"):
        decode_create({"vectors": {"image": {"size": "4", "distance": "Dot"}}})


def test_sparse_names_must_differ_from_dense_ones_and_not_be_empty() -> None:
    with pytest.raises(BadInput, match="must be unique - duplicate found with 'image'"):
        decode_create({"vectors": {"image": DENSE}, "sparse_vectors": {"image": {}}})
    with pytest.raises(BadInput, match="Sparse vector name cannot be empty"):
        decode_create({"sparse_vectors": {"": {}}})


@pytest.mark.parametrize("datatype", list(Datatype))
def test_datatypes_are_asked_for_by_name(datatype: Datatype) -> None:
    asked = decode_create({"vectors": {**DENSE, "datatype": datatype.value}})
    assert asked.vectors[""].datatype is datatype


def test_an_update_may_name_the_unnamed_vector_and_disable_quantization() -> None:
    update = decode_update(
        {
            "vectors": {"": {"hnsw_config": {"m": 3}, "quantization_config": "Disabled"}},
            "quantization_config": "Disabled",
            "optimizers_config": {"max_optimization_threads": "auto"},
        }
    )
    assert update.vectors is not None
    assert update.vectors[""].hnsw_config == HnswConfigDiff(m=3)
    assert update.vectors[""].quantization_config == "Disabled"
    assert update.quantization_config == "Disabled"
    assert update.optimizers_config is not None
    assert update.optimizers_config.max_optimization_threads == "auto"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"vectors": {"": {"memory": "pinned"}}}, "vectors.?.memory"),
        ({"params": {"replication_factor": 0}}, "params.replication_factor: value 0 invalid"),
        ({"params": {"payload": {"memory": "pinned"}}}, "pinned"),
        ({"optimizers_config": {"max_segment_size": 0}}, "optimizers_config.max_segment_size"),
    ],
)
def test_updates_keep_the_same_constraints(body: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidField) as caught:
        decode_update(body)
    assert text in str(caught.value)


def test_alias_actions_keep_their_order() -> None:
    body = b"""{"actions": [
        {"create_alias": {"collection_name": "c", "alias_name": "a"}},
        {"rename_alias": {"old_alias_name": "a", "new_alias_name": "b"}},
        {"delete_alias": {"alias_name": "b"}}]}"""
    assert decode_alias_actions(body) == [CreateAlias("c", "a"), RenameAlias("a", "b"), DeleteAlias("b")]


@pytest.mark.parametrize(
    "body", [b"{}", b'{"actions": [{}]}', b'{"actions": [{"create_alias": {"alias_name": "a"}}]}']
)
def test_alias_actions_of_no_known_shape_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        decode_alias_actions(body)


def test_a_new_alias_name_keeps_the_rule_for_names() -> None:
    with pytest.raises(
        InvalidField, match=r'actions\[0\].create_alias.alias_name: .*cannot contain "/" char'
    ):
        decode_alias_actions({"actions": [{"create_alias": {"collection_name": "c", "alias_name": "a/b"}}]})


def test_an_index_may_be_given_by_type_or_by_params() -> None:
    by_type = decode_field_index({"field_name": "city", "field_schema": "keyword"})
    assert by_type.field_schema == PayloadSchema(PayloadSchemaType.KEYWORD)
    assert by_type.field_schema.effective == KeywordIndexParams()
    by_params = decode_field_index(
        {"field_name": "city", "field_type": {"type": "keyword", "is_tenant": True}}
    )
    assert by_params.field_schema.effective == KeywordIndexParams(is_tenant=True)


def test_an_index_without_a_schema_is_refused_with_advice() -> None:
    with pytest.raises(BadInput, match="Can't auto-detect field type, please specify `field_schema`"):
        decode_field_index({"field_name": "city"})


def test_an_integer_index_must_be_able_to_do_something() -> None:
    schema = {"type": "integer", "lookup": False, "range": False}
    with pytest.raises(InvalidField, match="the 'lookup' and 'range' capabilities can't be both disabled"):
        decode_field_index({"field_name": "n", "field_schema": schema})


@pytest.mark.parametrize("schema", ["unheard", {"type": "unheard"}, {}, 3])
def test_an_index_of_no_known_type_is_malformed(schema: object) -> None:
    with pytest.raises(MalformedBody):
        decode_field_index({"field_name": "n", "field_schema": schema})


def test_languages_of_a_text_index_may_be_given_by_code_and_show_as_names() -> None:
    schema = {
        "type": "text",
        "stopwords": {"languages": ["de", "hi-en", "english"], "custom": ["x"]},
        "stemmer": {"type": "snowball", "language": "hy"},
    }
    params = decode_field_index({"field_name": "t", "field_schema": schema}).field_schema.effective
    assert msgspec.json.decode(encode_index_params(params)) == {
        "type": "text",
        "stopwords": {"languages": ["german", "hinglish", "english"], "custom": ["x"]},
        "stemmer": {"type": "snowball", "language": "armenian"},
    }
    assert decode_index_params(encode_index_params(params)) == params


@pytest.mark.parametrize(
    "part", [{"stopwords": "klingon"}, {"stemmer": {"type": "snowball", "language": "hebrew"}}]
)
def test_a_text_index_refuses_languages_it_has_no_word_for(part: dict[str, object]) -> None:
    with pytest.raises(MalformedBody):
        decode_field_index({"field_name": "t", "field_schema": {"type": "text", **part}})


def test_a_field_name_that_is_no_json_path_is_malformed() -> None:
    with pytest.raises(MalformedBody):
        decode_field_index({"field_name": "a[", "field_schema": "keyword"})


@pytest.mark.parametrize("data_type", list(PayloadSchemaType))
def test_index_params_survive_the_log(data_type: PayloadSchemaType) -> None:
    params = default_index_params(data_type)
    assert params.data_type is data_type
    assert decode_index_params(encode_index_params(params)) == params


def test_a_named_vector_is_checked_like_one_at_creation() -> None:
    assert decode_vector_name({"dense": DENSE}) == VectorParams(4, Distance.DOT)
    for size in (0, 65537):
        with pytest.raises(InvalidField, match="size"):
            decode_vector_name({"dense": {"size": size, "distance": "Dot"}})
    with pytest.raises(MalformedBody):
        decode_vector_name({})


def test_names_of_collections() -> None:
    for good in ("a", "ü" * 127, "a b.c-d"):
        check_new_collection_name(good)
    for bad in ("", "x" * 256, "ü" * 128, "a/b", "a:b", "a\0"):
        with pytest.raises(InvalidField, match="Validation error in path parameters"):
            check_new_collection_name(bad)
    check_collection_name("a:b")
    with pytest.raises(InvalidField, match='collection name cannot contain "/" char'):
        check_collection_name("a/b")


def test_names_of_vectors() -> None:
    check_vector_name("")
    check_vector_name("x" * 200)
    for bad in ("x" * 201, "a/b"):
        with pytest.raises(BadInput):
            check_vector_name(bad)


@pytest.mark.parametrize("depth", [200, 100_000])
def test_metadata_nested_too_deeply_is_refused(depth: int) -> None:
    body = b'{"metadata": {"a": ' + b"[" * depth + b"]" * depth + b"}}"
    for decode in (decode_create, decode_update):
        with pytest.raises(MalformedBody, match="recursion limit exceeded"):
            decode(body)
