"""Strict mode over HTTP: which limit refuses which request, with which text (reference 15.1, 15.2)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.router.rest.conftest import Rest

C = "/collections/c"
Q = f"{C}/points/query"
AT_MOST = 'Reduce the "{0}" parameter to or below {1}.'
COUNTRY = {"must": [{"key": "country", "match": {"value": "NO"}}]}
POINT = {"id": 1, "vector": [1, 0]}
UNINDEXED = (
    'Index required but not found for "country" of one of the following types: [keyword]. '
    "Help: Create an index for this key or use a different filter."
)


async def strict(rest: Rest, config: dict[str, Any], **collection: Any) -> None:
    await rest.create(strict_mode_config={"enabled": True, **config}, **collection)


def exceeded(name: str, value: object, limit: object) -> str:
    return f'Limit exceeded {value} > {limit} for "{name}". Help: {AT_MOST.format(name, limit)}'


READS = [
    ("max_query_limit", 15, Q, {"query": [1, 0], "limit": 30}, exceeded("limit", 30, 15)),
    (
        "max_query_limit",
        15,
        Q,
        {"query": {"fusion": "rrf"}, "prefetch": [{"query": [1, 0], "limit": 16}]},
        exceeded("limit", 16, 15),
    ),
    ("max_query_limit", 15, f"{C}/points/scroll", {"limit": 16}, exceeded("limit", 16, 15)),
    (
        "max_query_limit",
        15,
        f"{Q}/groups",
        {"query": [1, 0], "group_by": "a", "limit": 4, "group_size": 5},
        exceeded("limit", 20, 15),
    ),
    ("max_query_limit", 5, f"{C}/points/search/matrix/pairs", {"sample": 6}, exceeded("limit", 6, 5)),
    ("max_timeout", 3, f"{Q}?timeout=4", {"query": [1, 0]}, exceeded("timeout", 4, 3)),
    (
        "search_max_batchsize",
        1,
        f"{Q}/batch",
        {"searches": [{"query": [1, 0]}] * 2},
        exceeded("search batch size", 2, 1),
    ),
    (
        "search_max_hnsw_ef",
        64,
        Q,
        {"query": [1, 0], "params": {"hnsw_ef": 65}},
        exceeded("hnsw_ef", 65, 64),
    ),
    (
        "search_max_oversampling",
        1.5,
        Q,
        {"query": [1, 0], "params": {"quantization": {"oversampling": 2.5}}},
        exceeded("oversampling", 2.5, 1.5),
    ),
    (
        "search_allow_exact",
        False,
        Q,
        {"query": [1, 0], "params": {"exact": True}},
        "Exact search disabled!. Help: Set exact=false.",
    ),
    ("unindexed_filtering_retrieve", False, Q, {"query": [1, 0], "filter": COUNTRY}, UNINDEXED),
    ("unindexed_filtering_retrieve", False, f"{C}/points/count", {"filter": COUNTRY}, UNINDEXED),
    ("unindexed_filtering_retrieve", False, f"{C}/points/scroll", {"filter": COUNTRY}, UNINDEXED),
    (
        "unindexed_filtering_retrieve",
        False,
        Q,
        {"prefetch": {"query": [1, 0]}, "query": {"formula": {"sum": ["$score", "popularity"]}}},
        'Index required but not found for "popularity" of one of the following types: [integer, float]. '
        "Help: Create an index for this key or use a different formula expression.",
    ),
    (
        "unindexed_filtering_retrieve",
        False,
        f"{Q}/groups",
        {"query": [1, 0], "group_by": "docId"},
        'Index required but not found for "docId". Help: Create an index supporting `match` for this key.',
    ),
    (
        "filter_max_conditions",
        1,
        f"{C}/points/count",
        {"filter": {"must": COUNTRY["must"] * 2}},
        "Filter condition limit reached (2 > 1). Help: Use at most 1 conditions in a filter.",
    ),
    (
        "condition_max_size",
        2,
        f"{C}/points/count",
        {"filter": {"must": [{"key": "a", "match": {"any": [1, 2, 3]}}]}},
        "Condition size limit reached (3 > 2). Help: Use at most 2 values in a condition.",
    ),
]


@pytest.mark.parametrize(("field", "limit", "path", "body", "text"), READS)
async def test_a_read_beyond_a_limit_is_refused(
    rest: Rest, field: str, limit: Any, path: str, body: Any, text: str
) -> None:
    await strict(rest, {field: limit})
    refused = await rest.post(path, body)
    assert (refused.status, refused.error) == (400, f"Bad request: {text}")
    disabled = {"strict_mode_config": {"enabled": False}}
    assert (await rest.call("PATCH", C, disabled)).status == 200
    assert (await rest.post(path, body)).status == 200


WRITES = [
    (
        "upsert_max_batchsize",
        1,
        "PUT",
        "",
        {"points": [POINT, {**POINT, "id": 2}]},
        exceeded("upsert limit", 2, 1),
    ),
    (
        "upsert_max_batchsize",
        1,
        "PUT",
        "/vectors",
        {"points": [POINT, {**POINT, "id": 2}]},
        exceeded("update limit", 2, 1),
    ),
    ("unindexed_filtering_update", False, "POST", "/delete", {"filter": COUNTRY}, UNINDEXED),
    (
        "unindexed_filtering_update",
        False,
        "POST",
        "/payload",
        {"filter": COUNTRY, "payload": {"a": 1}},
        UNINDEXED,
    ),
    ("max_timeout", 3, "PUT", "?timeout=4", {"points": [POINT]}, exceeded("timeout", 4, 3)),
]


@pytest.mark.parametrize(("field", "limit", "method", "tail", "body", "text"), WRITES)
async def test_a_write_beyond_a_limit_is_refused_and_changes_nothing(
    rest: Rest, field: str, limit: Any, method: str, tail: str, body: Any, text: str
) -> None:
    await strict(rest, {field: limit})
    refused = await rest.call(method, f"{C}/points{tail}", body)
    assert (refused.status, refused.error) == (400, f"Bad request: {text}")
    assert not any(shard.operations for shard in rest.shards())


async def test_long_vectors_are_refused(rest: Rest) -> None:
    await strict(
        rest,
        {
            "multivector_config": {"multi": {"max_vectors": 2}},
            "sparse_config": {"sparse": {"max_length": 2}},
        },
        vectors={"multi": {"size": 1, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}},
        sparse_vectors={"sparse": {}},
    )
    long = [
        (
            {"multi": [[1], [2], [3]]},
            "Multivector 'multi' has a limit of 2 vectors, but 3 were provided!",
        ),
        (
            {"sparse": {"indices": [1, 2, 3], "values": [1, 1, 1]}},
            "Sparse vector 'sparse' has a limit of 2 indices",
        ),
    ]
    for vector, text in long:
        refused = await rest.put(f"{C}/points", {"points": [{"id": 1, "vector": vector}]})
        assert refused.status == 400
        assert refused.error.startswith(f"Bad request: {text}. Help: ")
    short = {"multi": [[1], [2]]}
    assert (await rest.put(f"{C}/points", {"points": [{"id": 1, "vector": short}]})).status == 200


async def test_a_full_collection_takes_deletes_and_then_points_again(rest: Rest) -> None:
    await strict(rest, {"max_points_count": 10})
    points = [{"id": number, "vector": [1, 0]} for number in range(10)]
    assert (await rest.put(f"{C}/points?wait=true", {"points": points})).status == 200
    for _ in range(2):
        refused = await rest.put(f"{C}/points?wait=true", {"points": [{"id": 99, "vector": [1, 0]}]})
        assert refused.status == 400
        assert "Max points count limit of 10 reached!" in refused.error
    assert (await rest.post(f"{C}/points/delete?wait=true", {"points": [1]})).status == 200
    assert (await rest.put(f"{C}/points", {"points": [{"id": 99, "vector": [1, 0]}]})).status == 200


async def test_there_may_be_so_many_payload_indexes(rest: Rest) -> None:
    await strict(rest, {"max_payload_index_count": 1})
    keyword = {"field_schema": "keyword"}
    assert (await rest.put(f"{C}/index", {"field_name": "a", **keyword})).status == 200
    assert (await rest.put(f"{C}/index", {"field_name": "a", **keyword})).status == 200
    refused = await rest.put(f"{C}/index", {"field_name": "b", **keyword})
    assert (refused.status, refused.error) == (
        400,
        "Bad request: Collection already has the maximum number of payload indices (1). "
        "Help: Please delete an existing index before creating a new one.",
    )


async def test_filters_by_indexed_fields_and_conditions_of_upserts_pass(rest: Rest) -> None:
    await strict(rest, {"unindexed_filtering_retrieve": False, "unindexed_filtering_update": False})
    upsert = {"points": [POINT], "update_filter": COUNTRY}
    assert (await rest.put(f"{C}/points", upsert)).status == 200
    await rest.put(f"{C}/index", {"field_name": "country", "field_schema": "keyword"})
    await rest.put(f"{C}/index", {"field_name": "docId", "field_schema": "geo"})
    assert (await rest.post(Q, {"query": [1, 0], "filter": COUNTRY})).status == 200
    assert (await rest.post(f"{C}/points/delete", {"filter": COUNTRY})).status == 200
    wrong = {"must": [{"key": "country", "match": {"value": 1}}]}
    assert "types: [integer]" in (await rest.post(Q, {"query": [1, 0], "filter": wrong})).error
    assert (await rest.post(f"{Q}/groups", {"query": [1, 0], "group_by": "country"})).status == 200
    refused = await rest.post(f"{Q}/groups", {"query": [1, 0], "group_by": "docId"})
    assert refused.error == (
        'Bad request: Index of type "Geo" found for "docId". '
        "Help: Create an index supporting `match` for this key."
    )


async def test_without_a_graph_of_all_a_search_must_name_its_tenant(rest: Rest) -> None:
    await strict(rest, {"search_allow_exact": False}, hnsw_config={"m": 0, "payload_m": 16})
    tenant = {"field_schema": {"type": "keyword", "is_tenant": True}}
    await rest.put(f"{C}/index", {"field_name": "country", **tenant})
    refused = await rest.post(Q, {"query": [1, 0]})
    assert refused.error == (
        "Bad request: Request is forbidden because global vector indexing is disabled (hnsw_config.m = 0). "
        "Help: Use tenant-specific filter, enable global vector indexing or enable strict mode "
        "`search_allow_exact` option."
    )
    assert (await rest.post(Q, {"query": [1, 0], "filter": COUNTRY})).status == 200
    await rest.call("PATCH", C, {"strict_mode_config": {"search_allow_exact": True}})
    assert (await rest.post(Q, {"query": [1, 0]})).status == 200


async def test_reads_and_writes_beyond_a_rate_wait(rest: Rest) -> None:
    await strict(rest, {"write_rate_limit": 10, "read_rate_limit": 4})
    ten = {"points": [{"id": number, "vector": [1, 0]} for number in range(10)]}
    assert (await rest.put(f"{C}/points?wait=true", ten)).status == 200
    refused = await rest.put(f"{C}/points", ten)
    assert refused.status == 429
    assert refused.error.startswith(
        "Rate limiting exceeded: Write rate limit exceeded: Operation requires 10 tokens but only 0."
    )
    assert int(refused.headers["Retry-After"]) in (59, 60)
    deletion = await rest.post(f"{C}/points/delete", {"filter": {"must": [{"has_id": [1, 2, 3]}]}})
    assert "Operation requires 3 tokens" in deletion.error
    batch = {"searches": [{"query": [1, 0], "filter": COUNTRY}] * 2}
    assert (await rest.post(f"{Q}/batch", batch)).status == 200
    assert (await rest.post(C + "/points", {"ids": [1]})).status == 429
    large = await rest.post(C + "/points", {"ids": [1, 2, 3, 4, 5]})
    assert large.status == 429
    assert "Retry-After" not in large.headers
    assert large.error == (
        "Rate limiting exceeded: Read rate limit exceeded, request larger than rate limiter capacity, "
        "please try to split your request"
    )
    for index in range(20):  # other collections are not concerned
        name = f"other{index}"
        await rest.create(name)
        assert (await rest.post(f"/collections/{name}/points", {"ids": [1]})).status == 200
