"""Sequences of writes leave the same points here and in qdrant-client's local mode, which is told the
same things through the same client; and both answer the same searches."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from tests.congruence.material import DISTANCES, INDEXES
from tests.congruence.server import examples, serving

IDS = st.integers(1, 12)
SIZE = 4
NAMES = {distance.lower(): models.Distance(distance) for distance in DISTANCES}
TRACKED = ["tag", "n", "f", "flag"]

numbers = st.floats(-2, 2, width=16).map(lambda value: value or 0.25)
vector = st.lists(numbers, min_size=SIZE, max_size=SIZE)
vectors = st.dictionaries(st.sampled_from(list(NAMES)), vector, max_size=4)
payload = st.fixed_dictionaries(
    {},
    optional={
        "tag": st.sampled_from(["red", "green", ["red", "blue"], None]),
        "n": st.integers(-2, 3),
        "f": st.sampled_from([0.5, -1.25, 3.0]),
        "flag": st.booleans(),
        "deep": st.fixed_dictionaries({"n": st.integers(0, 2), "list": st.just([{"x": 1}, {"x": 2}])}),
    },
)
ids = st.lists(IDS, min_size=1, max_size=4, unique=True)
tag_is_red = models.Filter(must=[models.FieldCondition(key="tag", match=models.MatchValue(value="red"))])
n_is_positive = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(gt=0))])
is_flagged = models.Filter(must=[models.FieldCondition(key="flag", match=models.MatchValue(value=True))])
some_filter = st.sampled_from(
    [tag_is_red, n_is_positive, is_flagged, models.Filter(must_not=[models.HasIdCondition(has_id=[1, 2])])]
)
selector = st.one_of(ids, some_filter)

points = st.lists(
    st.builds(
        lambda point, vector, payload: models.PointStruct(id=point, vector=vector, payload=payload),
        IDS,
        vectors,
        payload,
    ),
    min_size=1,
    max_size=5,
)

Write = Callable[[QdrantClient, str, set[int]], Any]


def only(value: Any, existing: set[int]) -> Any:
    """Ids of points that exist (as a filter if there is none): local mode has no answer for the others."""
    if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
        return value
    known = [item for item in value if item in existing]
    return known or models.Filter(must=[models.HasIdCondition(has_id=value)])


def write(method: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Write]:
    """A call of the client's ``method`` with drawn arguments."""

    def make(drawn: dict[str, Any]) -> Write:
        def call(client: QdrantClient, collection: str, existing: set[int]) -> Any:
            arguments = {name: only(value, existing) for name, value in drawn.items()}
            return getattr(client, method)(collection, **arguments)

        call.__name__ = f"{method}({drawn})"
        call.__qualname__ = call.__name__
        return call

    return st.fixed_dictionaries(arguments).map(make)


writes = st.one_of(
    write("upsert", points=points),
    write("upsert", points=points),
    write("delete", points_selector=selector),
    # Setting a null removes the key (8.5), which local mode does not.
    write("set_payload", payload=payload.filter(lambda given: None not in given.values()), points=selector),
    write(
        "set_payload", payload=st.just({"z": 9}), points=selector, key=st.sampled_from(["deep", "new.part"])
    ),
    write("overwrite_payload", payload=payload, points=selector),
    write(
        "delete_payload",
        keys=st.sampled_from([["n"], ["deep.n", "tag"], ["deep.list[].x"], ["none"]]),
        points=selector,
    ),
    write("clear_payload", points_selector=selector),
    write(
        "delete_vectors",
        vectors=st.lists(st.sampled_from(list(NAMES)), min_size=1, max_size=2),
        points=selector,
    ),
)


class Pair:
    """Ours and theirs; a fresh collection of each for every example."""

    def __init__(self, urls: list[str]) -> None:
        self._ours = [QdrantClient(url=url, timeout=60) for url in urls]
        self._turns = itertools.cycle(self._ours)
        self.theirs = QdrantClient(":memory:")
        self._numbers = itertools.count()

    @property
    def ours(self) -> QdrantClient:
        """Of each node in turn."""
        return next(self._turns)

    def close(self) -> None:
        for client in (*self._ours, self.theirs):
            client.close()

    def begin(self, *, indexed: bool) -> str:
        name = f"example_{next(self._numbers)}"
        config = {each: models.VectorParams(size=SIZE, distance=distance) for each, distance in NAMES.items()}
        for client in (self.ours, self.theirs):
            client.create_collection(name, vectors_config=config)
        if indexed:
            for field in TRACKED:
                self.ours.create_payload_index(name, field, INDEXES[field], wait=True)
        return name

    def end(self, name: str) -> None:
        for client in (self.ours, self.theirs):
            client.delete_collection(name)

    def apply(self, name: str, change: Write) -> None:
        existing = set(all_points(self.theirs, name))
        change(self.theirs, name, existing)
        change(self.ours, name, existing)

    def compare(self, name: str) -> None:
        ours, theirs = (all_points(client, name) for client in (self.ours, self.theirs))
        assert list(ours) == list(theirs)
        for point_id, record in theirs.items():
            found = ours[point_id]
            assert found.payload == record.payload, point_id
            assert set(found.vector or {}) == set(record.vector or {}), point_id
            for vector_name, values in (record.vector or {}).items():
                np.testing.assert_allclose(found.vector[vector_name], values, rtol=1e-5, atol=1e-6)


def all_points(client: QdrantClient, name: str) -> dict[Any, Any]:
    records, _ = client.scroll(name, limit=1000, with_payload=True, with_vectors=True)
    return {record.id: record for record in records}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with serving(tmp_path_factory.mktemp("lifecycle")) as urls:
        found = Pair(urls)
        yield found
        found.close()


@pytest.mark.parametrize("indexed", [False, True], ids=["without indexes", "with indexes"])
@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")
def test_writes_leave_the_same_points_and_the_same_answers(pair: Pair, indexed: bool) -> None:
    @settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(first=points, changes=st.lists(writes, max_size=8), query=vector, filter=st.none() | some_filter)
    def compare(
        first: list[models.PointStruct],
        changes: list[Write],
        query: list[float],
        filter: models.Filter | None,
    ) -> None:
        name = pair.begin(indexed=indexed)
        try:
            pair.apply(name, lambda client, collection, _: client.upsert(collection, first))
            for change in changes:
                pair.apply(name, change)
            pair.compare(name)
            for using in NAMES:
                answers_agree(pair, name, query=query, using=using, filter=filter)
        finally:
            pair.end(name)

    compare()


def answers_agree(
    pair: Pair, name: str, *, query: list[float], using: str, filter: models.Filter | None
) -> None:
    def ask(client: QdrantClient) -> list[models.ScoredPoint]:
        return client.query_points(name, query=query, using=using, query_filter=filter, limit=100).points

    ours, theirs = ask(pair.ours), ask(pair.theirs)
    scores = [point.score for point in theirs]
    np.testing.assert_allclose([point.score for point in ours], scores, rtol=1e-5, atol=1e-5)
    assert sorted(point.id for point in ours) == sorted(point.id for point in theirs)
    assert (
        pair.ours.count(name, count_filter=filter).count == pair.theirs.count(name, count_filter=filter).count
    )


@pytest.mark.parametrize("field", ["n", "f"])
def test_scrolling_in_order_of_a_field_gives_the_same_values(pair: Pair, field: str) -> None:
    @settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        first=points, direction=st.sampled_from(list(models.Direction)), start=st.none() | st.integers(-1, 1)
    )
    def compare(first: list[models.PointStruct], direction: models.Direction, start: int | None) -> None:
        name = pair.begin(indexed=True)
        try:
            pair.apply(name, lambda client, collection, _: client.upsert(collection, first))
            order = models.OrderBy(key=field, direction=direction, start_from=start)
            found = [client.scroll(name, order_by=order, limit=100)[0] for client in (pair.ours, pair.theirs)]
            ours, theirs = ([record.payload[field] for record in records] for records in found)
            assert ours == theirs
        finally:
            pair.end(name)

    compare()
