"""Collection, alias, index and vector-name endpoints over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from tests.router.rest.conftest import Rest

C = "/collections/c"
_VECTORS = {"size": 2, "distance": "Cosine"}


async def test_a_collection_is_created_listed_described_and_deleted(rest: Rest) -> None:
    assert (await rest.put(C, {"vectors": _VECTORS})).result is True
    assert (await rest.get("/collections")).result == {"collections": [{"name": "c"}]}
    info = (await rest.get(C)).result
    assert info["status"] == "green"
    assert info["config"]["params"]["vectors"] == _VECTORS
    assert (await rest.delete(C)).result is True
    assert (await rest.delete(C)).result is False
    assert (await rest.get(C)).status == 404


async def test_a_collection_cannot_be_created_twice(rest: Rest) -> None:
    await rest.create()
    answer = await rest.put(C, {"vectors": _VECTORS})
    assert (answer.status, answer.error) == (409, "Wrong input: Collection `c` already exists!")


async def test_existence_is_always_answered(rest: Rest) -> None:
    assert (await rest.get(f"{C}/exists")).result == {"exists": False}
    await rest.create()
    assert (await rest.get(f"{C}/exists")).result == {"exists": True}


async def test_a_patch_changes_the_configuration(rest: Rest) -> None:
    await rest.create()
    assert (await rest.call("PATCH", C, {"optimizers_config": {"indexing_threshold": 7}})).result is True
    assert (await rest.get(C)).result["config"]["optimizer_config"]["indexing_threshold"] == 7
    assert (await rest.call("PATCH", C, {})).result is True


async def test_aliases_are_made_listed_and_removed(rest: Rest) -> None:
    await rest.create()
    create = {"create_alias": {"collection_name": "c", "alias_name": "a"}}
    assert (await rest.post("/collections/aliases", {"actions": [create]})).result is True
    listed = {"aliases": [{"alias_name": "a", "collection_name": "c"}]}
    assert (await rest.get("/aliases")).result == listed
    assert (await rest.get(f"{C}/aliases")).result == listed
    assert (await rest.get("/collections/a/exists")).result == {"exists": True}
    remove = {"delete_alias": {"alias_name": "a"}}
    assert (await rest.post("/collections/aliases", {"actions": [remove]})).result is True
    assert (await rest.get("/aliases")).result == {"aliases": []}


async def test_a_collection_may_be_called_aliases(rest: Rest) -> None:
    await rest.create("aliases")
    assert (await rest.get("/collections/aliases")).result["status"] == "green"


@pytest.mark.parametrize(
    ("actions", "status"),
    [
        ([{"rename_alias": {"old_alias_name": "nope", "new_alias_name": "b"}}], 404),
        ([{"create_alias": {"collection_name": "nope", "alias_name": "b"}}], 404),
        ([{"create_alias": {"collection_name": "c", "alias_name": "c"}}], 409),
        ([{"unknown": {}}], 400),
    ],
)
async def test_wrong_alias_actions_are_refused(rest: Rest, actions: Any, status: int) -> None:
    await rest.create()
    assert (await rest.post("/collections/aliases", {"actions": actions})).status == status


async def test_payload_indexes_are_created_and_deleted_by_path(rest: Rest) -> None:
    await rest.create()
    body = {"field_name": "a.b[]", "field_schema": "keyword"}
    answer = await rest.put(f"{C}/index?wait=true", body)
    assert answer.result["status"] == "completed"
    assert (await rest.get(C)).result["payload_schema"] == {"a.b[]": {"data_type": "keyword", "points": 0}}
    answer = await rest.call("DELETE", URL(f"{C}/index/a.b%5B%5D?wait=true", encoded=True))
    assert answer.result["status"] == "completed"
    assert (await rest.get(C)).result["payload_schema"] == {}
    assert rest.node.settled == [("c", 0, 2), ("c", 0, 3)]


async def test_named_vectors_are_added_and_removed(rest: Rest) -> None:
    await rest.create()
    body = {"dense": {"size": 3, "distance": "Dot"}}
    assert (await rest.put(f"{C}/vectors/extra?wait=true", body)).result["status"] == "completed"
    vectors = (await rest.get(C)).result["config"]["params"]["vectors"]
    assert vectors["extra"] == {"size": 3, "distance": "Dot"}
    assert (await rest.delete(f"{C}/vectors/extra?wait=true")).result["status"] == "completed"
    assert rest.node.settled == [("c", 0, 2), ("c", 0, 3)]


async def test_the_distribution_is_shown_and_cannot_be_changed_alone(rest: Rest) -> None:
    await rest.create()
    info = (await rest.get(f"{C}/cluster")).result
    assert info["shard_count"] == 1
    assert info["local_shards"] == [{"shard_id": 0, "points_count": 0, "state": "Active"}]
    assert (await rest.get(f"{C}/shards")).result == {"shard_keys": None}
    assert (await rest.post(f"{C}/cluster?timeout=0", {})).status == 422
    for method, path in [("POST", "/cluster"), ("PUT", "/shards"), ("POST", "/shards/delete")]:
        answer = await rest.call(method, C + path, {})
        assert (answer.status, answer.error) == (405, "Qdrant is running in standalone mode")


async def test_memory_is_the_sum_over_the_shards(rest: Rest) -> None:
    await rest.create(shard_number=2)
    none, both, total = (
        dict(zip(("disk_bytes", "ram_bytes", "cached_bytes", "expected_cache_bytes"), figures, strict=True))
        for figures in ((0, 0, 0, 0), (2, 4, 6, 8), (6, 12, 18, 24))
    )
    assert (await rest.get(f"{C}/memory")).result == {
        "total": total,
        "vectors": [{"name": "", "storage": both, "index": both}],
        "sparse_vectors": [],
        "payload": none,
        "payload_index": [{"name": "a", "usage": both}],
        "other": {"id_tracker": none},
    }
    assert (await rest.get("/collections/unknown/memory")).status == 404


async def test_optimizations_show_the_parts_asked_for(rest: Rest) -> None:
    await rest.create()
    assert set((await rest.get(f"{C}/optimizations")).result) == {"summary", "running"}
    parts = (await rest.get(f"{C}/optimizations?with=queued%20,%20completed&completed_limit=3")).result
    assert set(parts) == {"summary", "running", "queued", "completed"}
    assert (await rest.get(f"{C}/optimizations?completed_limit=x")).status == 400
    answer = await rest.get(f"{C}/optimizations?with=nope")
    assert answer.status == 400
    assert "Unknown field in 'with' parameter: nope" in answer.error


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (
            {"vectors": {"size": 65537, "distance": "Dot"}},
            422,
            "Validation error in JSON body: [vectors.size: value 65537 invalid, must be from 1 to 65536]",
        ),
        ({"vectors": _VECTORS, "shard_number": 0}, 422, "shard_number"),
        ({"vectors": _VECTORS, "replication_factor": 0}, 422, "replication_factor"),
        ({"vectors": _VECTORS, "write_consistency_factor": 0}, 422, "write_consistency_factor"),
        ({"vectors": _VECTORS, "shard_number": -1}, 400, "Format error in JSON body"),
        ({"vectors": _VECTORS, "hnsw_config": {"ef_construct": 1}}, 422, "hnsw_config.ef_construct"),
        ({"vectors": {**_VECTORS, "memory": "pinned"}}, 422, "pinned"),
    ],
)
async def test_wrong_configurations_are_refused(rest: Rest, body: Any, status: int, text: str) -> None:
    answer = await rest.put(C, body)
    assert answer.status == status, answer.body
    assert text in answer.error


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_timeout_of_zero_is_a_validation_error_here(rest: Rest, method: str) -> None:
    answer = await rest.call(method, f"{C}?timeout=0", {"vectors": _VECTORS})
    assert answer.status == 422
    assert answer.error == (
        "Validation error in query parameters: [timeout: value 0 invalid, must be 1 or larger]"
    )


@pytest.mark.parametrize("size", [0, 65537])
async def test_a_named_vector_keeps_the_limits_of_size(rest: Rest, size: int) -> None:
    await rest.create()
    answer = await rest.put(f"{C}/vectors/v", {"dense": {"size": size, "distance": "Dot"}})
    assert answer.status == 422
    assert "size" in answer.error


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"field_name": "a"}, 400, "Can't auto-detect field type"),
        ({"field_name": "a..b", "field_schema": "keyword"}, 400, "Invalid json path"),
        ({"field_name": "a", "field_schema": "unknown"}, 400, "Format error in JSON body"),
        (
            {"field_name": "a", "field_schema": {"type": "integer", "lookup": False, "range": False}},
            422,
            "Validation error: the 'lookup' and 'range' capabilities can't be both disabled",
        ),
    ],
)
async def test_wrong_indexes_are_refused(rest: Rest, body: Any, status: int, text: str) -> None:
    await rest.create()
    answer = await rest.put(f"{C}/index", body)
    assert answer.status == status, answer.body
    assert text in answer.error


async def test_an_index_of_what_is_no_path_cannot_be_deleted(rest: Rest) -> None:
    await rest.create()
    answer = await rest.call("DELETE", f"{C}/index/a..b")
    error = "Deserialize error in path parameters: Invalid json path: 'a..b'"
    assert (answer.status, answer.error) == (400, error)


async def test_an_unknown_collection_is_a_404_everywhere(rest: Rest) -> None:
    calls: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("PATCH", "", {}),
        ("GET", "/aliases", None),
        ("GET", "/cluster", None),
        ("GET", "/optimizations", None),
        ("GET", "/shards", None),
        ("PUT", "/index", {"field_name": "a", "field_schema": "keyword"}),
        ("DELETE", "/index/a", None),
        ("PUT", "/vectors/v", {"dense": {"size": 1, "distance": "Dot"}}),
        ("DELETE", "/vectors/v", None),
    ]
    for method, path, body in calls:
        answer = await rest.call(method, C + path, body)
        assert (answer.status, answer.error) == (404, "Not found: Collection `c` doesn't exist!"), path


async def test_no_log_holds_what_is_not_applied(rest: Rest) -> None:
    await rest.create()
    path = f"{C}/truncate_unapplied_wal"
    assert (await rest.post(f"{path}?wait=true")).result is True
    accepted = await rest.post(path)
    assert (accepted.status, accepted.json["status"]) == (202, "accepted")
    assert (await rest.post("/collections/none/truncate_unapplied_wal?wait=true")).status == 404
