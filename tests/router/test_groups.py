"""Points grouped by a payload key: the rules, and the asking with shards in memory."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from protos.collections import CreateCollection, Distance, VectorParams
from protos.errors import NotFound
from protos.filters import FieldCondition, Filter, Range
from protos.ids import PointId
from protos.json_path import flat_values_at, parse_path
from protos.operations import Upsert, VectorBatch
from protos.shard import Hits, OrderBy, Projection, Record, UpdateRequest
from router.collections import CollectionOperations
from router.groups import Group, GroupQuery, Lookup, query_groups
from router.groups.collector import Collector
from router.queries.operations import SearchOperations
from router.queries.requests import DiverseNearest, NearestPoint, NearestVector, QueryRequest, ReadOptions
from router.shards import split_ids
from tests.router.fakes import FakeLog, FakeNode

Json = dict[str, Any]


def hits(*points: tuple[PointId, float, Json]) -> Hits:
    records = [Record(point_id, 0, json.dumps(payload).encode()) for point_id, _, payload in points]
    return Hits(records, np.array([score for _, score, _ in points], dtype=np.float32))


def shown(groups: Sequence[Group]) -> list[tuple[object, list[PointId]]]:
    return [(group.id, [hit.record.id for hit in group.hits]) for group in groups]


# --- the rules -----------------------------------------------------------------------------------------


def test_groups_go_by_their_best_hit_and_hits_by_score() -> None:
    found = Collector("k", limit=2, size=2, ascending=False)
    found.add(hits((1, 0.9, {"k": "a"}), (2, 0.8, {"k": "b"}), (3, 0.7, {"k": "a"}), (4, 0.6, {"k": "a"})))
    found.add(hits((5, 0.5, {"k": "b"}), (6, 0.4, {"k": "c"})))
    assert shown(found.best()) == [("a", [1, 3]), ("b", [2, 5])]
    assert found.enough
    assert found.missing() == {}


def test_smaller_scores_may_be_better() -> None:
    found = Collector("k", limit=9, size=9, ascending=True)
    found.add(hits((1, 0.9, {"k": 1}), (2, 0.8, {"k": 2}), (3, 0.7, {"k": 1})))
    assert shown(found.best()) == [(1, [3, 1]), (2, [2])]


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        ("a", ["a"]),
        (["a", 1, "a"], ["a", 1]),
        (2**64 - 1, [2**64 - 1]),
        (-(2**63), [-(2**63)]),
        (2**64, []),
        (1.0, []),
        (True, []),
        ([1, True], []),
        ({"x": 1}, []),
        (None, []),
        ([], []),
    ],
)
def test_only_strings_and_integers_make_groups(value: Any, groups: list[Any]) -> None:
    found = Collector("k", limit=9, size=9, ascending=False)
    found.add(hits((7, 1.0, {"k": value}), (8, 1.0, {})))
    assert [(type(group.id), group.id) for group in found.best()] == [(type(each), each) for each in groups]


def test_a_point_is_taken_once() -> None:
    found = Collector("k", limit=9, size=9, ascending=False)
    for _ in range(2):
        found.add(hits((1, 1.0, {"k": "a"})))
    assert shown(found.best()) == [("a", [1])]
    assert found.missing() == {"a": 8}


# --- asking --------------------------------------------------------------------------------------------

values = st.sampled_from(["a", "b", "c", 1, 2, -3, True, 1.5, None])
payloads = st.lists(
    st.fixed_dictionaries({}, optional={"k": values | st.lists(values, max_size=3)}), min_size=1, max_size=40
)


class World:
    """Points 0, 1, ... with random vectors ``v`` in a collection ``c``; lookups in ``other``."""

    def __init__(self, payloads: list[Json], distance: Distance = Distance.DOT, seed: int = 1) -> None:
        self.payloads, self.distance = payloads, distance
        self.rows = np.random.default_rng(seed).normal(size=(len(payloads), 3)).astype("<f4")
        self.node = FakeNode()
        self.collections = CollectionOperations(FakeLog(), self.node)
        self.searches = SearchOperations(self.collections, self.node)

    async def fill(self, shards: int) -> World:
        await self._put("c", {"v": self.distance}, list(range(len(self.payloads))), self.payloads, shards)
        return self

    async def add_others(self, payloads: dict[PointId, Json]) -> None:
        await self._put("other", {}, list(payloads), list(payloads.values()), 2)

    async def _put(
        self,
        name: str,
        vectors: dict[str, Distance],
        ids: list[Any],
        payloads: list[Json],
        shards: int,
    ) -> None:
        params = {each: VectorParams(3, distance) for each, distance in vectors.items()}
        await self.collections.create(name, CreateCollection(vectors=params, shard_number=shards))
        for shard, places in split_ids(self.collections.resolve(name), ids, None).items():
            batches = tuple(VectorBatch(each, 3, self.rows[places].tobytes()) for each in vectors)
            encoded = [json.dumps(payloads[place]).encode() for place in places]
            change = Upsert([ids[place] for place in places], batches, encoded)
            await self.node.shards[name, shard].update(UpdateRequest(change))

    async def groups(self, query: GroupQuery) -> list[Group]:
        return await query_groups(self.searches, "c", query, ReadOptions())

    def expected(self, ranked: Sequence[int], query: GroupQuery) -> list[tuple[object, list[PointId]]]:
        groups: dict[object, list[PointId]] = {}
        for point_id in ranked:
            found = flat_values_at(self.payloads[point_id], parse_path(query.key))
            if all(type(value) in (str, int) for value in found):
                for value in dict.fromkeys(found):
                    groups.setdefault(value, []).append(point_id)
        return [(value, ids[: query.size]) for value, ids in groups.items()][: query.limit]


def nearest(world: World, vector: np.ndarray) -> list[int]:
    away = (
        np.linalg.norm(world.rows - vector, axis=1)
        if world.distance is Distance.EUCLID
        else -(world.rows @ vector)
    )
    return [int(place) for place in np.argsort(away, kind="stable")]


QUERY = np.array([0.3, -1.0, 0.5], dtype=np.float32)


@settings(max_examples=60, deadline=None)
@given(
    payloads=payloads,
    distance=st.sampled_from([Distance.DOT, Distance.EUCLID]),
    shards=st.sampled_from([1, 3]),
    limit=st.integers(1, 4),
    size=st.integers(1, 4),
)
async def test_groups_are_whole_and_the_best(
    payloads: list[Json], distance: Distance, shards: int, limit: int, size: int
) -> None:
    world = await World(payloads, distance).fill(shards)
    request = QueryRequest(NearestVector(QUERY), using="v", projection=Projection(payload=True))
    query = GroupQuery(request, "k", limit=limit, size=size)
    found = await world.groups(query)
    assert shown(found) == world.expected(nearest(world, QUERY), query)
    for group in found:
        for hit in group.hits:
            assert json.loads(hit.record.payload or b"") == payloads[int(hit.record.id)]


async def test_many_points_of_one_group_do_not_hide_the_others() -> None:
    """The nearest 300 are of one group; the others are found beyond them."""
    world = World([{"k": "near"}] * 300 + [{"k": f"far {i % 5}"} for i in range(30)])
    world.rows[:300] += 100 * QUERY
    await world.fill(3)
    query = GroupQuery(QueryRequest(NearestVector(QUERY), using="v"), "k", limit=6, size=2)
    found = await world.groups(query)
    assert shown(found) == world.expected(nearest(world, QUERY), query)
    assert len(found) == 6
    assert found[0].hits[0].record.payload is None, "nothing is shown that was not asked for"


async def test_a_group_of_many_leaves_room_for_those_that_lack_hits() -> None:
    """What fills groups is asked of all that lack something, and at last of each by itself."""
    rng = random.Random(4)
    payloads = [{"k": rng.choice([1, 2, 3, 4, *range(5, 60)])} for _ in range(400)]
    world = await World(payloads).fill(2)
    query = GroupQuery(QueryRequest(NearestVector(QUERY), using="v"), "k", limit=30, size=20)
    assert shown(await world.groups(query)) == world.expected(nearest(world, QUERY), query)


async def test_a_query_keeps_its_filter_its_threshold_and_its_example() -> None:
    world = await World([{"k": i % 3, "n": i} for i in range(60)]).fill(3)
    low = Filter(must=(FieldCondition("n", (Range(lt=30),)),))
    request = QueryRequest(NearestPoint(5), using="v", filter=low, score_threshold=0.0)
    query = GroupQuery(request, "k", limit=3, size=50)
    own = world.rows[5]
    ranked = [i for i in nearest(world, own) if i < 30 and i != 5 and world.rows[i] @ own > 0]
    assert shown(await world.groups(query)) == world.expected(ranked, query)


async def test_diverse_points_are_grouped_as_one_choice_has_them() -> None:
    """Leaving some out would make another choice of the others."""
    world = await World([{"k": i % 9} for i in range(60)]).fill(3)
    request = QueryRequest(DiverseNearest(NearestVector(QUERY), 0.7), using="v")
    for limit, size in ((5, 3), (9, 2)):
        found = await world.groups(GroupQuery(request, "k", limit=limit, size=size))
        whole = replace(request, limit=limit * size, projection=Projection(payload=True))
        (once,) = await world.searches.query("c", [whole], ReadOptions())
        expected = Collector("k", limit=limit, size=size, ascending=False)
        expected.add(once)
        assert shown(found) == shown(expected.best())


async def test_points_without_a_query_go_by_id_and_by_order() -> None:
    world = await World([{"k": i % 3, "n": -i} for i in range(30)]).fill(1)
    query = GroupQuery(QueryRequest(), "k", limit=2, size=3)
    assert shown(await world.groups(query)) == [(0, [0, 3, 6]), (1, [1, 4, 7])]
    ordered = GroupQuery(QueryRequest(OrderBy("n")), "k", limit=2, size=2)
    with pytest.raises(Exception, match="range index"):
        await world.groups(ordered)


async def test_ids_of_groups_are_looked_up_as_points() -> None:
    uuid = "6d9be9e5-3a90-4d0b-9d43-9b3f2a1f9d2e"
    ids: list[Any] = [7, uuid.upper(), "no id", -1, 8]
    world = await World([{"k": value} for value in ids]).fill(2)
    await world.add_others({7: {"title": "seven"}, uuid: {"title": "a uuid"}})
    request = QueryRequest(NearestVector(QUERY), using="v")
    found = await world.groups(GroupQuery(request, "k", lookup=Lookup("other")))
    titles = {group.id: group.lookup and json.loads(group.lookup.payload or b"") for group in found}
    wanted = {7: {"title": "seven"}, uuid.upper(): {"title": "a uuid"}}
    assert titles == {value: wanted.get(value) for value in ids}


async def test_a_lookup_in_a_collection_that_does_not_exist_is_not_found() -> None:
    world = await World([{}]).fill(1)
    request = QueryRequest(NearestVector(QUERY), using="v")
    with pytest.raises(NotFound, match="Collection nowhere not found"):
        await world.groups(GroupQuery(request, "k", lookup=Lookup("nowhere")))
