"""Filters: the same points match here and in Qdrant's own engine, for every kind of condition,
without and with payload indexes, before and after optimisation; and searching under a filter gives
the engine's exact scores."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.congruence.edge import Judge
from tests.congruence.material import (
    DISTANCES,
    INDEXES,
    KINDS,
    TEXTS,
    VECTORS,
    Json,
    filters,
    make_points,
)
from tests.congruence.server import CLUSTERED, examples, serving
from tests.live import wait_for

EXAMPLES = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
COLLECTIONS = ("plain", "indexed", "late", "sealed")
INDEXED = COLLECTIONS[1:]
# Not nearly zero: the engine leaves vectors shorter than 3e-4 as they are, whatever the distance.
vectors_8 = st.lists(st.floats(-1, 1, width=16), min_size=8, max_size=8).filter(
    lambda vector: sum(value * value for value in vector) > 1e-6
)


class Bench:
    """Our collections and the judges' shards, all with the same points.

    ``plain`` has no payload index, ``indexed`` had them before its points came, ``late`` got them
    afterwards, ``sealed`` is indexed and optimised into graphs.
    """

    def __init__(self, urls: list[str], judges: dict[str, Judge]) -> None:
        self.http = httpx.Client(timeout=60, trust_env=False)
        self.judges = judges
        self._urls = itertools.cycle(urls)

    def call(self, method: str, path: str, body: object = None) -> Any:
        answer = self.http.request(method, next(self._urls) + path, json=body)
        assert answer.status_code == 200, f"{method} {path} {body}: {answer.text}"
        return answer.json()["result"]

    def fill(self, points: list[Json]) -> None:
        for name in COLLECTIONS:
            self._create(name)
            if name in ("indexed", "sealed"):
                self._index(name)
            for start in range(0, len(points), 40):
                batch = {"points": points[start : start + 40]}
                self.call("PUT", f"/collections/{name}/points?wait=true", batch)
            if name == "late":
                self._index(name)
        self.call("PATCH", "/collections/sealed", {"optimizers_config": {"indexing_threshold": 1}})
        wait_for(self._is_sealed, seconds=60, what="the optimizer")

    def _create(self, name: str) -> None:
        vectors = {each: {"size": size, "distance": distance} for each, (size, distance) in VECTORS.items()}
        body: Json = {"vectors": vectors, "optimizers_config": {"indexing_threshold": 0}}
        if name == "sealed" and CLUSTERED:
            body["shard_number"] = 2  # of six none would have enough points for a graph
        self.call("PUT", f"/collections/{name}", body)

    def _index(self, name: str) -> None:
        for field, kind in INDEXES.items():
            body = {"field_name": field, "field_schema": kind}
            self.call("PUT", f"/collections/{name}/index?wait=true", body)

    def _is_sealed(self) -> bool:
        info = self.call("GET", "/collections/sealed")
        return info["status"] == "green" and info["indexed_vectors_count"] > 0

    def ids(self, name: str, filter: Json) -> list[int | str]:
        body = {"filter": filter, "limit": 10_000, "with_payload": False}
        found = self.call("POST", f"/collections/{name}/points/scroll", body)
        return sorted((point["id"] for point in found["points"]), key=str)

    def count(self, name: str, filter: Json) -> int:
        body = {"filter": filter, "exact": True}
        return int(self.call("POST", f"/collections/{name}/points/count", body)["count"])

    def scores(self, name: str, body: Json) -> list[float]:
        found = self.call("POST", f"/collections/{name}/points/query", body)
        return [point["score"] for point in found["points"]]

    def judge_of(self, name: str) -> Judge:
        return self.judges["plain" if name == "plain" else "indexed"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("filters")
    points = make_points(seed=1)
    judges = {name: Judge(directory / name, VECTORS) for name in ("plain", "indexed")}
    for judge in judges.values():
        judge.upsert(points)
    for field, kind in INDEXES.items():
        judges["indexed"].index(field, kind)
    with serving(directory / "server") as urls:
        found = Bench(urls, judges)
        found.fill(points)
        yield found
        found.http.close()
    for judge in judges.values():
        judge.close()


def agree(bench: Bench, filter: Json, collections: Sequence[str] = COLLECTIONS) -> None:
    for name in collections:
        expected = bench.judge_of(name).ids(filter)
        assert bench.ids(name, filter) == expected, f"{name}: {filter}"
        assert bench.count(name, filter) == len(expected), f"{name}: {filter}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_condition_selects_what_the_engine_selects(bench: Bench, kind: str) -> None:
    @EXAMPLES
    @given(condition=KINDS[kind])
    def compare(condition: Json) -> None:
        agree(bench, {"must": [condition]})

    compare()


@settings(EXAMPLES, max_examples=examples(150))
@given(condition=TEXTS)
def test_an_indexed_text_matches_what_it_matches_in_the_engine(bench: Bench, condition: Json) -> None:
    agree(bench, {"must": [condition]}, INDEXED)
    agree(bench, {"must_not": [condition], "should": [condition, {"is_empty": {"key": "f"}}]}, INDEXED)


@settings(EXAMPLES, max_examples=examples(200))
@given(filter=filters)
def test_a_filter_selects_what_the_engine_selects(bench: Bench, filter: Json) -> None:
    agree(bench, filter)


@pytest.mark.parametrize("distance", DISTANCES)
def test_exact_search_under_a_filter_gives_the_engines_scores(bench: Bench, distance: str) -> None:
    using = distance.lower()

    @EXAMPLES
    @given(filter=filters, vector=vectors_8, limit=st.integers(1, 20))
    def compare(filter: Json, vector: list[float], limit: int) -> None:
        body = {"query": vector, "using": using, "limit": limit, "filter": filter, "params": {"exact": True}}
        for name in COLLECTIONS:
            expected = bench.judge_of(name).search(using, vector, limit, filter)
            np.testing.assert_allclose(bench.scores(name, body), expected, rtol=1e-5, atol=1e-5)

    compare()


@pytest.mark.parametrize("distance", DISTANCES)
def test_search_by_graph_finds_what_exact_search_finds(bench: Bench, distance: str) -> None:
    """The set is small, so a graph with the default ``ef`` has no excuse."""
    using = distance.lower()

    @EXAMPLES
    @given(filter=filters, vector=vectors_8)
    def compare(filter: Json, vector: list[float]) -> None:
        body = {"query": vector, "using": using, "limit": 10, "filter": filter}
        expected = bench.judge_of("sealed").search(using, vector, 10, filter)
        np.testing.assert_allclose(bench.scores("sealed", body), expected, rtol=1e-5, atol=1e-5)

    compare()
