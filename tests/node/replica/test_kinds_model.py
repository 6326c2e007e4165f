"""Vectors of every kind against a dictionary and plain numpy, through writes, rebuilds and crashes."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from protos.filters import FieldCondition, Filter, HasVector, MatchValue
from protos.operations import (
    AddVectorName,
    DeletePoints,
    DeleteVectors,
    RemoveVectorName,
    UpdateVectors,
    Upsert,
)
from protos.shard import AnyVector, Projection, ScrollRequest, SearchRequest
from tests.node.query import naive_examples
from tests.node.replica import kinds
from tests.node.replica.kinds import Named
from tests.node.replica.machine import ReplicaMachine
from tests.node.replica.points import write

chosen_ids = st.lists(st.integers(0, 12), min_size=1, max_size=6, unique=True)
names = st.sampled_from(sorted(kinds.VECTORS))


class Kinds(ReplicaMachine):
    config = kinds.CONFIG

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[int, Named] = {}
        self.patch.setattr("node.segments.growing_rows._ELEMENTS_BYTES", 16)  # maps grow all the time

    # --- writes ----------------------------------------------------------------------------------------

    @rule(chosen=chosen_ids, data=st.data())
    def put(self, chosen: list[int], data: st.DataObject) -> None:
        given = [data.draw(kinds.named) for _ in chosen]
        for point, vectors in zip(chosen, given, strict=True):
            self.model[point] = {name: kinds.stored(name, vector) for name, vector in vectors.items()}
        payloads = [b'{"even":%s}' % (b"true" if point % 2 == 0 else b"false") for point in chosen]
        self.run(write(self.replica, Upsert(chosen, kinds.batches(given), payloads)))

    @rule(chosen=chosen_ids, data=st.data())
    def update(self, chosen: list[int], data: st.DataObject) -> None:
        known = [point for point in chosen if point in self.model]
        given = [data.draw(kinds.named) for _ in known]
        for point, vectors in zip(known, given, strict=True):
            self.model[point] |= {name: kinds.stored(name, vector) for name, vector in vectors.items()}
        self.run(write(self.replica, UpdateVectors(known, kinds.batches(given))))

    @rule(chosen=chosen_ids, name=names)
    def strip(self, chosen: list[int], name: str) -> None:
        known = [point for point in chosen if point in self.model]
        for point in known:
            self.model[point] = {kept: vector for kept, vector in self.model[point].items() if kept != name}
        self.run(write(self.replica, DeleteVectors((name,), ids=known)))

    @rule(chosen=chosen_ids)
    def remove(self, chosen: list[int]) -> None:
        for point in chosen:
            self.model.pop(point, None)
        self.run(write(self.replica, DeletePoints(ids=chosen)))

    @rule(name=names)
    def make_the_name_anew(self, name: str) -> None:
        params = kinds.encoded_params(name)
        self.run(self.replica.apply_config(RemoveVectorName(name)))
        self.run(self.replica.apply_config(AddVectorName(name, params)))
        self.model = {
            point: {kept: vector for kept, vector in vectors.items() if kept != name}
            for point, vectors in self.model.items()
        }

    # --- what always holds -----------------------------------------------------------------------------

    @invariant()
    def points_are_those_of_the_model(self) -> None:
        request = ScrollRequest(limit=100, projection=Projection(vectors=True))
        records = self.run(self.replica.scroll(request))
        found = {record.id: kinds.plain(record.vectors or {}) for record in records}
        assert found == {point: kinds.plain(self.model[point]) for point in sorted(self.model)}

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        info = self.run(self.replica.info())
        for name in kinds.VECTORS:
            expected = sum(name in vectors for vectors in self.model.values())
            assert info.vectors[name] == expected
            having = Filter(must=(HasVector(name),))
            assert self.run(self.replica.count(having, exact=True)) == expected

    @rule(name=names, filtered=st.booleans(), limit=st.integers(1, 14), data=st.data())
    def search(self, name: str, filtered: bool, limit: int, data: st.DataObject) -> None:
        query = data.draw(kinds.VECTORS[name])
        even = Filter(must=(FieldCondition("even", (MatchValue(True),)),)) if filtered else None
        request = SearchRequest(name, query, limit, filter=even)
        (hits,) = self.run(self.replica.search([request]))
        expected = self.scores(name, query, filtered)
        assert len(hits.records) == min(limit, len(expected))
        best = sorted(expected.values(), reverse=kinds.descending(name))[:limit]
        assert hits.scores.tolist() == pytest.approx(best, abs=1e-4)
        for record, found in zip(hits.records, hits.scores.tolist(), strict=True):
            assert isinstance(record.id, int)
            assert found == pytest.approx(expected[record.id], abs=1e-4)

    @rule(name=names, filtered=st.booleans(), limit=st.integers(1, 14), data=st.data())
    def rate(self, name: str, filtered: bool, limit: int, data: st.DataObject) -> None:
        examples = data.draw(kinds.examples_of(name))
        even = Filter(must=(FieldCondition("even", (MatchValue(True),)),)) if filtered else None
        request = SearchRequest(name, None, limit, filter=even, examples=examples)
        (hits,) = self.run(self.replica.search([request]))
        expected = {
            point: naive_examples.score(examples, partial(_similarity, name, vectors[name]))
            for point, vectors in self.model.items()
            if name in vectors and not (filtered and point % 2)
        }
        best = sorted(expected.values(), reverse=True)[:limit]
        # A pair's side may turn over by a rounding, and with it a rank by one or two.
        assert hits.scores.tolist() == pytest.approx(best, abs=1e-3)
        assert len({record.id for record in hits.records}) == len(best)

    def scores(self, name: str, query: AnyVector, filtered: bool) -> dict[int, float]:
        found = {}
        for point, vectors in self.model.items():
            if name in vectors and not (filtered and point % 2):
                score = kinds.score(name, query, vectors[name])
                if score is not None:
                    found[point] = score
        return found


def _similarity(name: str, vector: AnyVector, example: AnyVector) -> float:
    return kinds.similarity(name, example, vector)


TestKinds = Kinds.TestCase
TestKinds.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
