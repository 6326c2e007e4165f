"""Facets are those of Qdrant's own engine and of qdrant-client's local mode, over both protocols, whatever
the number of shards, before and after points change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import qdrant_edge as edge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from tests.congruence.edge import Judge, to_filter
from tests.congruence.material import INDEXES, Json, filters, make_points
from tests.congruence.server import examples, serving_nodes
from tests.congruence.test_protocols import over_grpc, schema_of

EXAMPLES = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = ("tag", "n", "flag", "id", "a[].b", "a[].c", "deep.n")
SHARDS = {"one": 1, "six": 6}
VECTORS = {"v": (8, "Dot")}
ALL = 1000


class World:
    """The same points in our collections, in an engine's shard and in a client's own memory."""

    def __init__(self, clients: list[QdrantClient], directory: Path) -> None:
        self.clients = clients
        self.judge = Judge(directory / "judge", VECTORS)
        self.local = QdrantClient(":memory:")
        config = {"v": models.VectorParams(size=8, distance=models.Distance.DOT)}
        self.local.create_collection("local", vectors_config=config)
        for name, shards in SHARDS.items():
            clients[0].create_collection(name, vectors_config=config, shard_number=shards)
        for field in KEYS:
            self.judge.index(field, INDEXES[field])
            for name in SHARDS:
                clients[0].create_payload_index(name, field, schema_of(INDEXES[field]), wait=True)

    def upsert(self, points: list[Json]) -> None:
        self.judge.upsert(points)
        structs = [models.PointStruct(**point) for point in points]
        self.local.upsert("local", structs)
        for name in SHARDS:
            for start in range(0, len(structs), 40):
                self.clients[-1].upsert(name, structs[start : start + 40], wait=True)

    def delete(self, ids: list[Any]) -> None:
        self.judge._shard.update(edge.UpdateOperation.delete_points(ids))
        self.local.delete("local", ids)
        for name in SHARDS:
            self.clients[0].delete(name, ids, wait=True)

    def judged(self, key: str, condition: Json | None, limit: int) -> list[tuple[type, Any, int]]:
        chosen = None if condition is None else to_filter(condition)
        found = self.judge._shard.facet(edge.FacetRequest(key, limit, True, chosen))
        return [(type(hit.value), hit.value, hit.count) for hit in found.hits]

    def agree(self, key: str, condition: Json | None, limit: int) -> None:
        expected = self.judged(key, condition, limit)
        chosen = None if condition is None else models.Filter.model_validate(condition)
        for client in self.clients:
            for name in SHARDS:
                for exact in (True, False):  # there are few values, so that both are right
                    found = client.facet(name, key, chosen, limit, exact)
                    told = [(type(hit.value), hit.value, hit.count) for hit in found.hits]
                    assert told == expected, (name, exact)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("facets")
    with serving_nodes(directory / "nodes") as nodes:
        rest = QdrantClient(url=nodes[0].url, timeout=60, check_compatibility=False)
        found = World([rest, over_grpc(QdrantClient, nodes[-1])], directory)
        points = [
            {**point, "vector": {"v": next(iter(point["vector"].values()))}} for point in make_points(seed=4)
        ]
        found.upsert(points)
        again = [{**old, "payload": new["payload"]} for old, new in zip(points[::3], points[1::3])]
        found.upsert(again)
        found.delete([point["id"] for point in points[::7]])
        yield found
        found.judge.close()


@pytest.mark.parametrize("key", KEYS)
@EXAMPLES
@given(condition=st.none() | filters, limit=st.sampled_from([1, 2, 3, ALL]))
def test_facets_are_those_of_the_engine(world: World, key: str, condition: Json | None, limit: int) -> None:
    world.agree(key, condition, limit)


@pytest.mark.parametrize("key", ["tag", "a[].c"])
def test_facets_are_those_of_local_mode(world: World, key: str) -> None:
    """Local mode knows no indexes, so it is asked about keys with values of one type only."""
    expected = world.local.facet("local", key, limit=ALL)
    for client in world.clients:
        for name in SHARDS:
            assert client.facet(name, key, limit=ALL, exact=True) == expected


@pytest.mark.parametrize("key", ["f", "when", "geo", "nowhere"])
def test_a_key_that_cannot_be_counted_is_refused_in_the_same_words(world: World, key: str) -> None:
    with pytest.raises(Exception, match="No appropriate index for faceting") as judged:
        world.judged(key, None, 10)
    for client in world.clients:
        with pytest.raises(Exception, match="faceting") as told:
            client.facet("one", key)
        text: Any = told.value
        assert str(judged.value) in (text.content.decode() if hasattr(text, "content") else text.details())
