"""Every kind of vector answers as in qdrant-client's local mode and in Qdrant's own engine: scores of exact
and of usual searches, what is stored, before and after segments are built, through updates, deletes, and
vector names that come and go."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from tests.congruence.kinds_judge import KindsJudge
from tests.congruence.server import CLUSTERED, serving, whoever_is_asked
from tests.congruence.vector_kinds import (
    KINDS,
    LATER,
    SERVED,
    SIZE,
    Json,
    Kind,
    Vector,
    dense_params,
    for_client,
    make_points,
    make_vector,
    plain,
    several_of,
    sparse_params,
)
from tests.live import wait_for

POINTS = 2500  # so many that a graph is cheaper than scoring them all
EF = 40
RECALL_MIN = 0.97  # of a graph at that effort
# Products of long vectors that all point one way are much like sums, which graphs find less well, whatever
# the vectors are stored as.
RECALL_MIN_OF_SUMS = 0.85
QUERIES = 6
BATCH = 250
COLLECTIONS = ("growing", "sealed")
# Stored with eleven bits: scores of normalised vectors differ by the rounding of each component.
TOLERANCES = {"float32": 1e-5, "float16": 2e-3, "uint8": 1e-5}
# Built, the engine scores sparse vectors by the codes of its index: of at most eight products of up to 2 by 2
# each errs by the rounding to eleven bits, or by half of 1/255 of an index's values. Ours are exact.
CODED_TOLERANCES = {"float32": 1e-5, "float16": 8e-3, "uint8": 8 * 2 * 2 / 255 / 2}


class World:
    """Ours twice (``growing`` has no graph, ``sealed`` is built), local mode, and the engine.

    Local mode and the engine are given the same whoever is asked: they are compared where one node is.
    """

    def __init__(self, urls: list[str], judge: KindsJudge) -> None:
        self._ours = [QdrantClient(url=url, timeout=120, check_compatibility=False) for url in urls]
        self._turns = itertools.cycle(self._ours)
        self.local = QdrantClient(":memory:")
        self.judge = judge
        self.kinds = dict(SERVED)
        self.ids: set[int] = set()

    @property
    def ours(self) -> QdrantClient:
        return next(self._turns)

    def close(self) -> None:
        for client in (*self._ours, self.local):
            client.close()
        self.judge.close()

    def places(self) -> list[tuple[QdrantClient, str]]:
        local = [] if CLUSTERED else [(self.local, "local")]
        return [*local, *((self.ours, name) for name in COLLECTIONS)]

    def create(self) -> None:
        dense = {kind.name: dense_params(kind) for kind in SERVED.values() if kind.shape != "sparse"}
        sparse = {kind.name: sparse_params(kind) for kind in SERVED.values() if kind.shape == "sparse"}
        for client, name in self.places():
            client.create_collection(
                name,
                vectors_config=dense,
                sparse_vectors_config=sparse,
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0),
                shard_number=2 if name == "sealed" and CLUSTERED else None,
            )

    def upsert(self, points: list[Json]) -> None:
        for batch in _batches(points):
            made = [_client_point(point) for point in batch]
            for client, name in self.places():
                client.upsert(name, made, wait=True)
            self.judge.upsert(batch)
        self.ids |= {point["id"] for point in points}

    def update_vectors(self, points: list[Json]) -> None:
        made = [
            models.PointVectors(
                id=point["id"],
                vector={name: for_client(vector) for name, vector in point["vector"].items()},
            )
            for point in points
        ]
        for client, name in self.places():
            client.update_vectors(name, made, wait=True)
        self.judge.update_vectors(points)

    def delete_vectors(self, ids: list[int], names: list[str]) -> None:
        for client, name in self.places():
            client.delete_vectors(name, vectors=names, points=[*ids], wait=True)
        self.judge.delete_vectors(ids, names)

    def delete(self, ids: list[int]) -> None:
        for client, name in self.places():
            client.delete(name, models.PointIdsList(points=[*ids]), wait=True)
        self.judge.delete(ids)
        self.ids -= set(ids)

    def add_name(self, kind: Kind) -> None:
        for client, name in self.places():
            client.create_vector_name(name, kind.name, _name_config(kind))
        self.judge.add_name(kind)
        self.kinds[kind.name] = kind

    def remove_name(self, kind: Kind) -> None:
        for client, name in self.places():
            client.delete_vector_name(name, kind.name)
        self.judge.remove_name(kind.name)
        del self.kinds[kind.name]

    def seal(self) -> None:
        """Have segments built of everything there is. (The engine scores all exactly, built or not.)"""
        for threshold in (0, 1):
            change = models.OptimizersConfigDiff(indexing_threshold=threshold)
            self.ours.update_collection("sealed", optimizers_config=change)
        wait_for(self._is_sealed, seconds=120, what="the optimizer")

    def _is_sealed(self) -> bool:
        info = self.ours.get_collection("sealed")
        return info.status is models.CollectionStatus.GREEN and bool(info.indexed_vectors_count)

    def search(
        self, client: QdrantClient, name: str, kind: Kind, vector: Vector, limit: int, **more: Any
    ) -> list[tuple[int, float]]:
        found = client.query_points(name, query=for_client(vector), using=kind.name, limit=limit, **more)
        return [(int(point.id), point.score) for point in found.points]


def _client_point(point: Json) -> models.PointStruct:
    vectors = {name: for_client(vector) for name, vector in point["vector"].items()}
    return models.PointStruct(id=point["id"], vector=vectors, payload=point["payload"])


def _batches(points: list[Json]) -> Iterator[list[Json]]:
    for at in range(0, len(points), BATCH):
        yield points[at : at + BATCH]


def _name_config(kind: Kind) -> Any:
    if kind.shape == "sparse":
        return models.SparseVectorNameConfig(sparse=models.SparseVectorConfig())
    return models.DenseVectorNameConfig(
        dense=models.DenseVectorConfig(
            size=SIZE,
            distance=models.Distance(kind.distance),
            multivector_config=several_of(kind),
            datatype=models.Datatype(kind.datatype),
        )
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("kinds")
    with serving(directory / "server") as urls:
        found = World(urls, KindsJudge(directory / "edge", SERVED, indexing_kb=1))
        found.create()
        found.upsert(make_points(range(POINTS), 1, SERVED))
        found.seal()
        yield found
        found.close()


def agree(world: World, kind: Kind) -> None:
    """Exact searches have the judges' scores, usual ones find what exact ones find, stored is stored."""
    rng = random.Random(kind.name)
    sums = kind.datatype == "uint8" and kind.distance == "Dot"
    below = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(lt=4))])
    exact, usual = models.SearchParams(exact=True), models.SearchParams(hnsw_ef=EF)
    hits: dict[str, list[float]] = {name: [] for name in COLLECTIONS}
    for query in range(QUERIES):
        vector = make_vector(kind, rng)
        everything = [(None, None, POINTS * 2)] if query == 0 else []
        for condition, bound, limit in ((None, None, 10), (below, 4, 10), *everything):
            expected = world.judge.search(kind.name, vector, limit, below=bound)
            if not CLUSTERED:
                local = world.search(world.local, "local", kind, vector, limit, query_filter=condition)
                same(local, expected, kind, "local mode and the engine")
            for name in COLLECTIONS:
                found = world.search(
                    world.ours, name, kind, vector, limit, query_filter=condition, search_params=exact
                )
                same(found, expected, kind, f"{name}, {bound}, {limit}")
                found = world.search(
                    world.ours, name, kind, vector, limit, query_filter=condition, search_params=usual
                )
                assert len(found) == len(expected), (name, bound, limit)
                hits[name].append(overlap(found, expected))
    for name, shares in hits.items():
        assert np.mean(shares) >= (RECALL_MIN_OF_SUMS if sums else RECALL_MIN), name
    stored_alike(world, kind)


def same(
    found: list[tuple[int, float]],
    expected: list[tuple[int, float]],
    kind: Kind,
    what: str,
    *,
    by_codes: bool = False,
) -> None:
    """The same scores in the same order, of the same points where no tie lets several be right."""
    exactly = kind.shape == "sparse" and not by_codes
    tolerance = (CODED_TOLERANCES if by_codes else TOLERANCES)["float32" if exactly else kind.datatype]
    scores, wanted = [score for _, score in found], [score for _, score in expected]
    assert len(found) == len(expected), what
    np.testing.assert_allclose(scores, wanted, rtol=tolerance, atol=tolerance, err_msg=what)
    edge = wanted[-1] if wanted else 0.0
    clear = {point for point, score in expected if abs(score - edge) > 4 * tolerance * max(1, abs(edge))}
    assert clear <= {point for point, _ in found}, what


def overlap(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> float:
    wanted = {point for point, _ in expected}
    return len(wanted & {point for point, _ in found}) / max(1, len(wanted))


def stored_alike(world: World, kind: Kind) -> None:
    ids = sorted(world.ids)[::40]
    expected = world.judge.vectors(ids)
    for name in COLLECTIONS:
        records = world.ours.retrieve(name, [*ids], with_vectors=[kind.name], with_payload=False)
        assert {record.id for record in records} == set(expected)
        for record in records:
            found: Any = record.vector or {}
            vectors_alike(found.get(kind.name), expected[int(record.id)].get(kind.name), kind)


def vectors_alike(found: Any, expected: Vector, kind: Kind) -> None:
    if found is None or expected is None:
        assert found is expected is None
        return
    mine, theirs = plain(found), expected
    if kind.shape == "sparse":
        assert mine["indices"] == theirs["indices"]
        mine, theirs = mine["values"], theirs["values"]
    halves = kind.datatype == "float16" and kind.shape != "sparse"
    np.testing.assert_allclose(mine, theirs, atol=1e-3 if halves else 1e-6)


@whoever_is_asked
@pytest.mark.parametrize("built", [False, True], ids=["before building", "after"])
def test_the_judges_agree_on_every_kind(tmp_path: Path, built: bool) -> None:
    """So that where we differ it is we who are wrong."""
    judge, local = KindsJudge(tmp_path / "edge", KINDS, indexing_kb=1), QdrantClient(":memory:")
    local.create_collection(
        "local",
        vectors_config={each.name: dense_params(each) for each in KINDS.values() if each.shape != "sparse"},
        sparse_vectors_config={
            each.name: sparse_params(each) for each in KINDS.values() if each.shape == "sparse"
        },
    )
    points = make_points(range(300), 7, KINDS)
    judge.upsert(points)
    local.upsert("local", [_client_point(point) for point in points])
    if built:
        judge.optimize()
    for kind in KINDS.values():
        vector = make_vector(kind, random.Random(kind.name))
        found = local.query_points("local", query=for_client(vector), using=kind.name, limit=400).points
        same(
            [(int(each.id), each.score) for each in found],
            judge.search(kind.name, vector, 400),
            kind,
            kind.name,
            by_codes=built and kind.shape == "sparse",
        )
        stored = judge.vectors([*range(20)])
        for record in local.retrieve("local", [*range(20)], with_vectors=[kind.name]):
            held: Any = record.vector or {}
            if kind.shape == "sparse":  # which codes do not touch
                vectors_alike(held.get(kind.name), stored[int(record.id)].get(kind.name), kind)
    judge.close()
    local.close()


# The tests are in the order of one story: later ones find the points as earlier ones left them.


@pytest.mark.parametrize("name", SERVED)
def test_a_kind_answers_as_the_judges_do(world: World, name: str) -> None:
    agree(world, SERVED[name])


@pytest.fixture(scope="module")
def changed(world: World) -> World:
    """After points came anew, got other vectors, lost some, and went."""
    rng = random.Random(2)
    world.upsert(make_points(range(POINTS - 100, POINTS + 100), 3, SERVED))
    partial = make_points(range(50, 200), 4, SERVED)
    for point in partial:
        names = sorted(point["vector"])
        point["vector"] = {name: point["vector"][name] for name in rng.sample(names, min(3, len(names)))}
    world.update_vectors(partial)
    for kind in SERVED:
        world.delete_vectors(rng.sample(sorted(world.ids), 60), [kind])
    world.delete(rng.sample(sorted(world.ids), 200))
    return world


@pytest.mark.parametrize("name", SERVED)
def test_a_kind_answers_so_after_changes(changed: World, name: str) -> None:
    agree(changed, SERVED[name])


@pytest.mark.parametrize("name", SERVED)
def test_a_kind_answers_so_after_changes_are_built_in(rebuilt: World, name: str) -> None:
    agree(rebuilt, SERVED[name])


@pytest.fixture(scope="module")
def rebuilt(changed: World) -> World:
    changed.seal()
    return changed


def test_vector_names_come_and_go_on_a_live_collection(rebuilt: World) -> None:
    for kind in LATER.values():
        rebuilt.add_name(kind)
    points = make_points(range(300), 5, LATER)
    rebuilt.update_vectors([point for point in points if point["id"] in rebuilt.ids and point["vector"]])
    for kind in LATER.values():
        agree(rebuilt, kind)
    gone = [SERVED[name] for name in list(SERVED)[::5]]
    for kind in gone:
        rebuilt.remove_name(kind)
    rebuilt.seal()
    for kind in list(rebuilt.kinds.values())[-4:]:
        agree(rebuilt, kind)
    records = rebuilt.ours.retrieve("sealed", sorted(rebuilt.ids), with_vectors=True)
    assert set().union(*(record.vector or {} for record in records)) == set(rebuilt.kinds)
