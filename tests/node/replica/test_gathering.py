"""Plain searches that are gathered while workers are busy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from node.replica.alone import IN_A_ROW_MAX, QUICK_MIN
from node.replica.gathering import GatheredSearches, may_be_gathered
from node.workers import WorkerPool
from protos.errors import BadInput
from protos.filters import Filter
from protos.shard import Hits, SearchParams, SearchRequest


def request(number: float) -> SearchRequest:
    return SearchRequest("", np.array([number], dtype=np.float32), 1)


def never(_: SearchRequest) -> Hits | None:
    return None


class Searcher:
    """Answers a request with its vector as the score, once the gate is open. -1 is refused."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()

    def __call__(self, requests: list[SearchRequest]) -> list[Hits]:
        self.sizes.append(len(requests))
        self.begun.release()
        assert self.gate.wait(10)
        vectors = [each.vector for each in requests]
        if any(vector == -1 for vector in vectors):
            raise BadInput("this one")
        return [Hits([], vector) for vector in vectors]  # type: ignore[arg-type]  # they are arrays


@pytest.fixture(params=[1, 2])
def pool(request: pytest.FixtureRequest) -> Iterator[WorkerPool]:
    pool = WorkerPool(request.param, "test")
    yield pool
    pool.close()


async def begun(searcher: Searcher, calls: int) -> None:
    for _ in range(calls):
        await asyncio.to_thread(searcher.begun.acquire, timeout=10)


def asked(searches: GatheredSearches, number: float) -> asyncio.Future[Hits]:
    """Of a search that no caller that is alone asks for."""
    found = searches.answer(request(number))
    assert isinstance(found, asyncio.Future)
    return found


async def occupied(
    pool: WorkerPool, searcher: Searcher, searches: GatheredSearches
) -> list[asyncio.Future[Hits]]:
    """Each worker has begun one search, and waits for the gate."""
    first = []
    for _ in range(pool.threads):
        first.append(asked(searches, 100))
        await begun(searcher, 1)
    return first


async def test_a_search_that_finds_a_worker_idle_is_begun_alone(pool: WorkerPool) -> None:
    searcher = Searcher()
    searches = GatheredSearches(pool, searcher, never)
    first = await occupied(pool, searcher, searches)
    searcher.gate.set()
    await asyncio.gather(*first)
    assert searcher.sizes == [1] * pool.threads


async def test_what_waits_is_shared_out_among_the_workers_and_each_gets_its_own_answer(
    pool: WorkerPool,
) -> None:
    searcher = Searcher()
    searches = GatheredSearches(pool, searcher, never)
    first = await occupied(pool, searcher, searches)
    waiting = [asked(searches, number) for number in range(8)]
    searcher.gate.set()
    answers = await asyncio.gather(*waiting, *first)
    assert [hits.scores.item() for hits in answers[:8]] == list(range(8))
    assert sum(searcher.sizes) == 8 + pool.threads
    assert searcher.sizes[pool.threads] == 8 // pool.threads


async def test_a_share_is_bounded() -> None:
    pool, searcher = WorkerPool(1, "test"), Searcher()
    searches = GatheredSearches(pool, searcher, never)
    first = await occupied(pool, searcher, searches)
    waiting = [asked(searches, number) for number in range(100)]
    searcher.gate.set()
    await asyncio.gather(*waiting, *first)
    assert max(searcher.sizes) == 16
    pool.close()


async def test_an_error_is_only_that_of_the_search_that_caused_it(pool: WorkerPool) -> None:
    searcher = Searcher()
    searches = GatheredSearches(pool, searcher, never)
    first = await occupied(pool, searcher, searches)
    waiting = [asked(searches, number) for number in (1, -1, 2, -1)]
    searcher.gate.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(each, BadInput) for each in outcomes] == [False, True, False, True]
    await asyncio.gather(*first)


async def test_what_is_cancelled_before_its_turn_is_never_searched(pool: WorkerPool) -> None:
    searcher = Searcher()
    searches = GatheredSearches(pool, searcher, never)
    first = await occupied(pool, searcher, searches)
    cancelled = [asked(searches, -1) for _ in range(5)]
    for each in cancelled:
        each.cancel()
    kept = asked(searches, 7)
    searcher.gate.set()
    assert (await kept).scores.item() == 7
    await asyncio.gather(*first)
    assert sum(searcher.sizes) == pool.threads + 1


async def test_what_waits_when_the_pool_is_closed_is_still_answered(pool: WorkerPool) -> None:
    searcher = Searcher()
    searches = GatheredSearches(pool, searcher, never)
    first = await occupied(pool, searcher, searches)
    waiting = [asked(searches, number) for number in range(40)]
    closing = asyncio.create_task(asyncio.to_thread(pool.close))
    while not pool._closed:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)
    searcher.gate.set()
    await asyncio.gather(*waiting, *first)
    await closing


@pytest.mark.parametrize(
    ("search", "gathered"),
    [
        (SearchRequest("", None, 1), True),
        (SearchRequest("", None, 1, filter=Filter()), False),
        (SearchRequest("", None, 1, params=SearchParams(exact=True)), False),
        (SearchRequest("", None, 1, explain=True), False),
    ],
)
def test_what_may_take_long_is_not_gathered(search: SearchRequest, gathered: bool) -> None:
    assert may_be_gathered(search) is gathered


# --- answering where it is asked -----------------------------------------------------------------------


class Places:
    """Answers in workers, and at once, and tells where: thread by thread."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def search(self, requests: list[SearchRequest]) -> list[Hits]:
        self.threads.append(threading.get_ident())
        return [Hits([], np.zeros(1, dtype=np.float32)) for _ in requests]

    def now(self, request: SearchRequest) -> Hits | None:
        if request.vector == -1:
            raise BadInput("this one")
        return self.search([request])[0] if request.vector != 0 else None


async def answered(searches: GatheredSearches, number: float) -> Hits:
    found = searches.answer(request(number))
    return found if isinstance(found, Hits) else await found


async def test_a_caller_that_is_alone_is_answered_where_it_asks(pool: WorkerPool) -> None:
    places = Places()
    searches = GatheredSearches(pool, places.search, places.now)
    for _ in range(QUICK_MIN + IN_A_ROW_MAX):
        await answered(searches, 1)
    here = [thread == threading.get_ident() for thread in places.threads]
    assert here == [False] * QUICK_MIN + [True] * IN_A_ROW_MAX
    with pytest.raises(BadInput):
        await answered(searches, -1)
    await answered(searches, 0)  # not to be answered at once
    assert places.threads[-1] != threading.get_ident()


async def at_the_end_of_a_row(pool: WorkerPool, places: Places) -> GatheredSearches:
    """The next search is answered in the next turn."""
    searches = GatheredSearches(pool, places.search, places.now)
    for _ in range(QUICK_MIN + IN_A_ROW_MAX - 1):
        await answered(searches, 1)
    return searches


async def test_now_and_then_others_have_their_turn_first(pool: WorkerPool) -> None:
    places, order = Places(), list[str]()
    searches = await at_the_end_of_a_row(pool, places)
    asyncio.get_running_loop().call_soon(order.append, "another")
    waiter = asked(searches, 1)
    waiter.add_done_callback(lambda _: order.append("search"))
    await waiter
    assert order == ["another", "search"]
    assert places.threads[-1] == threading.get_ident()


async def test_what_is_answered_in_the_next_turn_may_fail_or_be_left_to_a_worker(pool: WorkerPool) -> None:
    searches = await at_the_end_of_a_row(pool, Places())
    with pytest.raises(BadInput):
        await asked(searches, -1)
    places = Places()
    searches = await at_the_end_of_a_row(pool, places)
    await asked(searches, 0)
    assert places.threads[-1] != threading.get_ident()


async def test_what_is_cancelled_before_the_next_turn_is_never_searched(pool: WorkerPool) -> None:
    places = Places()
    searches = await at_the_end_of_a_row(pool, places)
    before = len(places.threads)
    asked(searches, 1).cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(places.threads) == before


async def test_callers_beside_each_other_are_answered_in_workers(pool: WorkerPool) -> None:
    places = Places()
    searches = GatheredSearches(pool, places.search, places.now)

    async def caller() -> None:
        for _ in range(2 * QUICK_MIN):
            await answered(searches, 1)
            await asyncio.sleep(0)

    await asyncio.gather(caller(), caller())
    here = [thread == threading.get_ident() for thread in places.threads]
    assert here.count(True) <= 1  # before the second one came
