"""Answers about collections and the service have the keys of Qdrant's schemas: all that are required,
and none that a strict client does not know."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter
from qdrant_client import models

from tests.router.rest.conftest import Rest
from tests.router.rest.test_service import service

__all__ = ["service"]  # the fixture

C = "/collections/c"
_EVERYTHING = {
    "vectors": {
        "": {"size": 2, "distance": "Dot", "hnsw_config": {"m": 4}, "on_disk": True},
        "b": {"size": 2, "distance": "Cosine", "quantization_config": {"scalar": {"type": "int8"}}},
    },
    "shard_number": 2,
    "hnsw_config": {"payload_m": 4, "inline_storage": True},
    "optimizers_config": {"max_optimization_threads": 1, "prevent_unoptimized": True},
    "quantization_config": {"binary": {"always_ram": True, "encoding": "two_bits"}},
    "strict_mode_config": {"enabled": False, "max_query_limit": 7, "sparse_config": {"s": {"max_length": 3}}},
    "metadata": {"owner": {"name": "x"}, "tags": [1, None]},
}
_ANSWERS: list[tuple[str, str, Any, Any]] = [
    ("GET", "/", None, models.VersionInfo),
    ("GET", "/issues", None, Any),
    ("GET", "/cluster", None, models.ClusterStatus),
    *(
        ("GET", f"/telemetry?per_collection=true&details_level={level}", None, models.TelemetryData)
        for level in range(5)
    ),
    ("GET", "/collections", None, models.CollectionsResponse),
    ("GET", C, None, models.CollectionInfo),
    ("GET", f"{C}/exists", None, models.CollectionExistence),
    ("GET", f"{C}/aliases", None, models.CollectionsAliasesResponse),
    ("GET", "/aliases", None, models.CollectionsAliasesResponse),
    ("GET", f"{C}/cluster", None, models.CollectionClusterInfo),
    ("GET", f"{C}/shards", None, models.ShardKeysResponse),
    ("GET", f"{C}/optimizations?with=queued,completed,idle_segments", None, models.OptimizationsResponse),
    ("PATCH", C, {}, bool),
    ("POST", "/collections/aliases", {"actions": []}, bool),
    ("PUT", f"{C}/index?wait=true", {"field_name": "i", "field_schema": "keyword"}, models.UpdateResult),
    ("DELETE", f"{C}/index/i", None, models.UpdateResult),
    ("PUT", f"{C}/vectors/v", {"dense": {"size": 1, "distance": "Dot"}}, models.UpdateResult),
    ("DELETE", f"{C}/vectors/b", None, models.UpdateResult),
    ("DELETE", C, None, bool),
]


@pytest.mark.parametrize(("method", "path", "body", "schema"), _ANSWERS)
async def test_an_answer_has_the_keys_of_its_schema(
    service: Rest, method: str, path: str, body: Any, schema: Any
) -> None:
    await service.create("c", **_EVERYTHING)
    alias = {"create_alias": {"collection_name": "c", "alias_name": "a"}}
    await service.post("/collections/aliases", {"actions": [alias]})
    for field in ({"field_name": "k", "field_schema": "keyword"}, _TEXT_INDEX):
        await service.put(f"{C}/index", field)
    answer = await service.call(method, path, body)
    shown = answer.json if path == "/" else answer.result
    if schema is models.CollectionInfo:
        assert shown.pop("vectors_count") == 0  # for older clients, which ask for it
    adapter = TypeAdapter(schema)
    parsed = adapter.dump_python(adapter.validate_python(shown), mode="json", exclude_unset=True)
    assert _keys(parsed) == _keys(shown)


def _keys(value: Any) -> Any:
    """``value`` without its leaves."""
    if isinstance(value, dict):
        return {key: _keys(item) for key, item in value.items()}
    return [_keys(item) for item in value] if isinstance(value, list) else None


_TEXT_INDEX = {
    "field_name": "t",
    "field_schema": {"type": "text", "tokenizer": "word", "lowercase": True, "stopwords": "english"},
}
