"""Batches of searches cut into parts."""

from __future__ import annotations

import asyncio
from typing import cast

import numpy as np
import pytest

from node.query import Known
from node.replica.spreading import search_in_parts
from node.replica.view import View
from protos.errors import BadInput
from protos.shard import Hits, SearchRequest

VIEW = cast(View, object())


def requests(count: int) -> list[SearchRequest]:
    return [SearchRequest("", np.array([i], dtype=np.float32), 1) for i in range(count)]


class Reader:
    """Answers a request with its vector as the score."""

    def __init__(self, failing: int = -1) -> None:
        self.sizes: list[int] = []
        self.known: list[Known | None] = []
        self.running = self.most_running = 0
        self._failing = failing

    async def __call__(self, view: View, requests: list[SearchRequest], known: Known | None) -> list[Hits]:
        assert view is VIEW
        self.sizes.append(len(requests))
        self.known.append(known)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        for _ in range(len(self.sizes) % 3):  # some are overtaken
            await asyncio.sleep(0)
        self.running -= 1
        if any(request.vector[0] == self._failing for request in requests):
            raise BadInput("this one")
        return [Hits([], request.vector) for request in requests]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 8, 9, 31, 100, 1000])
async def test_answers_come_in_the_order_of_the_requests(workers: int, count: int) -> None:
    read = Reader()
    answers = await search_in_parts(read, VIEW, requests(count), workers=workers)
    assert [hits.scores[0] for hits in answers] == list(range(count))
    assert read.most_running <= workers
    assert sum(read.sizes) == count


async def test_every_worker_gets_a_part_and_no_part_is_long() -> None:
    read = Reader()
    await search_in_parts(read, VIEW, requests(1000), workers=2)
    assert read.most_running == 2
    assert max(read.sizes) <= 32


@pytest.mark.parametrize(
    ("count", "workers", "sizes"),
    [
        (30, 2, [15, 15]),
        (64, 2, [32, 32]),
        (65, 2, [17, 17, 17, 14]),
        (100, 2, [25, 25, 25, 25]),
        (100, 3, [17, 17, 17, 17, 17, 15]),
        (20, 4, [8, 8, 4]),
    ],
)
async def test_every_worker_gets_as_much_as_the_others(count: int, workers: int, sizes: list[int]) -> None:
    read = Reader()
    await search_in_parts(read, VIEW, requests(count), workers=workers)
    assert read.sizes == sizes


async def test_parts_share_what_they_find_out_about_filters() -> None:
    read = Reader()
    await search_in_parts(read, VIEW, requests(100), workers=2)
    assert read.known[0] is not None
    assert all(known is read.known[0] for known in read.known)


async def test_an_error_ends_the_batch_and_what_is_not_begun_never_is() -> None:
    read = Reader(failing=0)
    with pytest.raises(BadInput):
        await search_in_parts(read, VIEW, requests(1000), workers=2)
    assert len(read.sizes) < 10
