"""Groups are those of qdrant-client's local mode, which ranks everything: over both protocols, whatever the
number of shards, with payload indexes and without."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from tests.congruence.material import (
    DISTANCES,
    INDEXES,
    UUIDS,
    VECTORS,
    Json,
    make_points,
    make_vector,
)
from tests.congruence.server import examples, serving_nodes
from tests.congruence.test_protocols import over_grpc, schema_of

EXAMPLES = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = ("tag", "n", "mixed", "a[].b", "a[].c", "deep.t", "id", "nowhere")
COLLECTIONS = {"one": (1, False), "six": (6, True), "indexed": (1, True)}
EUCLID, ALL, SEED = "euclid", 1000, 9
FILTERS = [
    models.Filter(must=[models.FieldCondition(key="n", range=models.Range(gte=0))]),
    models.Filter(must_not=[models.FieldCondition(key="flag", match=models.MatchValue(value=True))]),
    models.Filter(should=[models.HasIdCondition(has_id=list(range(1, 60, 2)))]),
]


class World:
    def __init__(self, clients: list[QdrantClient], url: str) -> None:
        self.clients, self.local, self.url = clients, QdrantClient(":memory:"), url
        config = {
            name: models.VectorParams(size=size, distance=models.Distance(distance))
            for name, (size, distance) in VECTORS.items()
        }
        points = [models.PointStruct(**point) for point in make_points(SEED)]
        others = [
            models.PointStruct(id=point_id, vector={"dot": [1.0] * 8}, payload={"name": str(point_id)})
            for point_id in (*range(3), *UUIDS[:2])
        ]
        self.local.create_collection("c", vectors_config=config)
        self.local.create_collection("others", vectors_config=config)
        self.local.upsert("c", points)
        self.local.upsert("others", others)
        clients[0].create_collection("others", vectors_config=config, shard_number=2)
        clients[0].upsert("others", others, wait=True)
        for name, (shards, indexed) in COLLECTIONS.items():
            clients[0].create_collection(name, vectors_config=config, shard_number=shards)
            for field in KEYS if indexed else ():
                if field in INDEXES:
                    clients[0].create_payload_index(name, field, schema_of(INDEXES[field]), wait=True)
            for start in range(0, len(points), 40):
                clients[0].upsert(name, points[start : start + 40], wait=True)

    def agree(self, *, limit: int, **ask: Any) -> models.GroupsResult:
        expected = self.local.query_points_groups("c", limit=ALL, **ask)
        size = ask.get("group_size", 3)
        for client in self.clients:
            for name in COLLECTIONS:
                found = client.query_points_groups(name, limit=limit, **ask)
                same(found, expected, limit, size)
        return expected


def same(found: models.GroupsResult, expected: models.GroupsResult, limit: int, size: int) -> None:
    """``expected`` has all groups. Groups whose best hit is the same point may come in any order."""
    best = [group.hits[0].score for group in expected.groups[:limit]]
    np.testing.assert_allclose([group.hits[0].score for group in found.groups], best, atol=1e-5)
    by_id = {group.id: group for group in expected.groups}
    for group in found.groups:
        other = by_id.pop(group.id)
        scores = [[hit.score for hit in each.hits] for each in (group, other)]
        np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
        assert certain(group, size) == certain(other, size)
        payloads = {hit.id: hit.payload or {} for hit in other.hits}
        assert all((hit.payload or {}) == payloads.get(hit.id, hit.payload or {}) for hit in group.hits)
        looked_up = [each.lookup and (each.lookup.id, each.lookup.payload) for each in (group, other)]
        assert looked_up[0] == looked_up[1]


def certain(group: models.PointGroup, size: int) -> list[Any]:
    """The ids whose place rounding cannot change: scores like none beside, nor like one that was cut off."""
    scores = [hit.score for hit in group.hits]

    def alone(place: int) -> bool:
        return all(abs(scores[place] - each) > 1e-5 for at, each in enumerate(scores) if at != place)

    whole = group.hits if len(group.hits) < size else group.hits[:-1]
    return [hit.id for place, hit in enumerate(whole) if alone(place)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving_nodes(tmp_path_factory.mktemp("groups")) as nodes:
        rest = QdrantClient(url=nodes[0].url, timeout=60, check_compatibility=False)
        yield World([rest, over_grpc(QdrantClient, nodes[-1])], nodes[0].url)


@EXAMPLES
@given(
    key=st.sampled_from(KEYS),
    distance=st.sampled_from(DISTANCES),
    condition=st.none() | st.sampled_from(FILTERS),
    limit=st.integers(1, 8),
    size=st.integers(1, 8),
    rng=st.randoms(use_true_random=False),
)
def test_groups_are_those_of_local_mode(
    world: World, key: str, distance: str, condition: models.Filter | None, limit: int, size: int, rng: Any
) -> None:
    world.agree(
        query=make_vector(rng),
        using=distance.lower(),
        group_by=key,
        query_filter=condition,
        limit=limit,
        group_size=size,
        with_payload=["tag", "n"],
    )


def test_a_group_of_a_point_shows_it_in_the_other_collection(world: World) -> None:
    for key in ("n", "id"):
        for lookup in (
            models.WithLookup(collection="others", with_payload=True),
            models.WithLookup(collection="others", with_payload=["nothing"]),
        ):
            found = world.agree(query=2, using="dot", group_by=key, limit=20, with_lookup=lookup)
            assert any(group.lookup is not None for group in found.groups)
            assert any(group.lookup is None for group in found.groups)


def test_a_lookup_by_name_shows_the_payload_and_no_vectors(world: World) -> None:
    for client in world.clients:
        found = client.query_points_groups(
            "six", query=2, using="dot", group_by="n", limit=20, with_lookup="others"
        )
        shown = [group.lookup for group in found.groups if group.lookup is not None]
        assert shown
        for record in shown:
            assert record.payload == {"name": str(record.id)}
            assert not record.vector


def test_old_clients_search_in_groups(world: World) -> None:
    query = [0.25, -0.5, 0.125, 1.0, -0.75, 0.5, 0.0, 0.3]
    expected = world.local.query_points_groups(
        "c", query=query, using=EUCLID, group_by="tag", limit=ALL, group_size=2, with_payload=False
    )
    body = {"vector": {"name": EUCLID, "vector": query}, "group_by": "tag", "limit": 3, "group_size": 2}
    for name in COLLECTIONS:
        answer = httpx.post(f"{world.url}/collections/{name}/points/search/groups", json=body)
        same(models.GroupsResult.model_validate(answer.json()["result"]), expected, 3, 2)


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        ({"limit": 0}, "value 0 invalid, must be 1 or larger"),
        ({"group_size": 0}, "value 0 invalid, must be 1 or larger"),
        ({"using": "nowhere"}, "Not existing vector name error: nowhere"),
        ({"with_lookup": "nowhere"}, "Collection nowhere not found"),
        ({"group_by": "a..b"}, "a..b"),
    ],
)
def test_what_is_wrong_is_said_over_both(world: World, ask: Json, text: str) -> None:
    for client in world.clients:
        with pytest.raises(Exception, match=r".") as told:
            client.query_points_groups("one", **{"query": 1, "using": "dot", "group_by": "tag", **ask})
        error: Any = told.value
        assert text in (error.content.decode() if hasattr(error, "content") else error.details())


@pytest.mark.parametrize("fusion", [models.Fusion.RRF, models.Fusion.DBSF])
@pytest.mark.parametrize(("limit", "size"), [(2, 1), (4, 3), (20, 20)])
def test_groups_of_fused_prefetches_have_the_scores_of_one_ranking(
    world: World, fusion: models.Fusion, limit: int, size: int
) -> None:
    rng = random.Random(8)
    prefetch = [
        models.Prefetch(query=make_vector(rng), using=using, limit=ALL) for using in ("dot", "cosine")
    ]
    expected = world.local.query_points_groups(
        "c", "tag", models.FusionQuery(fusion=fusion), prefetch=prefetch, limit=ALL, group_size=size
    )
    for client in world.clients:
        for name in COLLECTIONS:
            found = client.query_points_groups(
                name,
                "tag",
                models.FusionQuery(fusion=fusion),
                prefetch=prefetch,
                limit=limit,
                group_size=size,
                with_payload=True,
            )
            same(found, expected, limit, size)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("strategy", list(models.RecommendStrategy))
def test_recommendations_are_grouped_by_their_scores(
    world: World, strategy: models.RecommendStrategy, distance: str
) -> None:
    """Those of best score and of sums are larger the better, for distances too."""
    whole = [each["id"] for each in make_points(SEED) if len(each["vector"]) == len(DISTANCES)]
    liked, also, disliked = whole[:3]
    examples = models.RecommendInput(positive=[liked, also], negative=[disliked], strategy=strategy)
    query = models.RecommendQuery(recommend=examples)
    world.agree(
        query=query, using=distance.lower(), group_by="tag", limit=4, group_size=3, with_payload=False
    )
