"""Weighing in the router: whom it asks, and how often."""

from __future__ import annotations

from typing import Any

import numpy as np

from protos.idf import Frequencies, FrequencyRequest, Weighing
from protos.shard import SearchRequest, SparseVector
from router.queries.weighing import weights


class Shard:
    def __init__(self) -> None:
        self.asked: list[list[FrequencyRequest]] = []

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        self.asked.append(requests)
        return [Frequencies(5, [1] * len(request.indices)) for request in requests]


class Scope:
    def __init__(self, count: int) -> None:
        self.all = [Shard() for _ in range(count)]

    def shards(self, selector: None) -> list[Shard]:
        assert selector is None, "the statistics are those of the whole collection"
        return self.all


HERE = Weighing()


def search(*indices: int, weighing: Weighing | None = HERE, using: str = "words") -> SearchRequest:
    vector = SparseVector(np.array(indices, dtype=np.uint32), np.ones(len(indices), dtype=np.float32))
    return SearchRequest(using, vector, 3, weighing=weighing)


async def test_all_searches_are_weighed_by_one_trip_to_each_shard() -> None:
    scope: Any = Scope(3)
    plain, searches = search(8, weighing=None), [search(1, 7), search(7, 9), search(2, using="other")]
    weigh = await weights(scope, [plain, *searches])
    asked = [FrequencyRequest("words", [1, 7, 9]), FrequencyRequest("other", [2])]
    assert [shard.asked for shard in scope.all] == [[asked]] * 3
    assert weigh(plain) is plain
    for one in searches:
        found = weigh(one)
        assert found.weighing is None
        assert isinstance(found.vector, SparseVector)
        np.testing.assert_allclose(found.vector.values, np.log((15 - 3 + 0.5) / (3 + 0.5) + 1), rtol=1e-6)


async def test_a_single_shard_weighs_by_itself() -> None:
    scope: Any = Scope(1)
    weigh = await weights(scope, [search(1)])
    assert weigh(search(1)).weighing == Weighing()
    assert scope.all[0].asked == []


async def test_shards_are_not_even_looked_up_if_nothing_is_to_be_weighed() -> None:
    scope: Any = None
    assert (await weights(scope, [search(1, weighing=None)]))(search(1, weighing=None)).weighing is None
