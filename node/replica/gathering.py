"""Plain searches that wait for a worker at the same moment are answered in one call.

A search of a caller that is alone is answered where it is asked, if it is sure to be quick (``alone``).
Another one that finds a worker idle is begun at once, alone. Those that come while all are busy wait, and
the worker that is free next takes its share of them: they cost one hop together, one look at what searches
have in common, and one waking of the event loop.

Lives here: which searches may be gathered and how they are shared out. May not live here: what a search does.

Invariants: each search gets its own answer or its own error; none waits while a worker is idle; a search is
answered by what is visible when it is begun, so no earlier than it was asked.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from node.query import is_plain
from node.replica.alone import Alone, Place
from node.workers import WorkerPool
from protos.shard import Hits, SearchRequest

_SHARE_MAX = 16  # more would make the first of them wait too long

# Answers each of the requests, in a worker.
Search = Callable[[list[SearchRequest]], list[Hits]]
# Answers a request on the event loop, if it is quick to answer; else None.
Now = Callable[[SearchRequest], Hits | None]
Outcome = Hits | BaseException


class _Asked(Struct, frozen=True, gc=False):
    request: SearchRequest
    waiter: asyncio.Future[Hits]


def may_be_gathered(request: SearchRequest) -> bool:
    """Is it so quick that others may wait until it is done, too?"""
    return is_plain(request) and not request.params.exact


class GatheredSearches:
    """Of one replica."""

    def __init__(self, workers: WorkerPool, search: Search, now: Now) -> None:
        self._workers, self._search, self._now = workers, search, now
        self._alone = Alone()
        self._unanswered = 0  # searches that workers have been asked for
        self._lock = threading.Lock()
        self._waiting: deque[_Asked] = deque()
        self._called = 0  # workers that were called and have not come yet

    def answer(self, request: SearchRequest) -> Hits | asyncio.Future[Hits]:
        """For a search that ``may_be_gathered``, on the event loop: what it finds, or where that will be.

        Raises: what answering raises, now or in time.
        """
        alone, loop = self._alone, asyncio.get_running_loop()
        if not alone.callers:
            loop.call_soon(alone.turn_over)
        caller = id(asyncio.current_task())
        place = alone.asked(caller, time.perf_counter(), waiting=self._unanswered)
        hits = self._answer_now(request) if place is Place.HERE else None
        if hits is not None:
            return hits
        waiter: asyncio.Future[Hits] = loop.create_future()
        if place is Place.NEXT_TURN:
            loop.call_soon(self._answer_next, request, waiter)
        else:
            self._ask(request, waiter)
        return waiter

    def _answer_now(self, request: SearchRequest) -> Hits | None:
        started_s = time.perf_counter()
        try:
            return self._now(request)
        finally:
            self._alone.took(time.perf_counter() - started_s)

    def _answer_next(self, request: SearchRequest, waiter: asyncio.Future[Hits]) -> None:
        if waiter.done():
            return
        try:
            hits = self._answer_now(request)
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it
            waiter.set_exception(error)
            return
        if hits is None:
            self._ask(request, waiter)
        else:
            waiter.set_result(hits)

    def _ask(self, request: SearchRequest, waiter: asyncio.Future[Hits]) -> None:
        """Have workers answer."""
        self._unanswered += 1
        waiter.add_done_callback(self._answered)
        with self._lock:
            self._waiting.append(_Asked(request, waiter))
            call = self._may_call()
        if call:
            self._workers.start(self._serve)

    def _answered(self, _: asyncio.Future[Hits]) -> None:
        self._unanswered -= 1

    def _may_call(self) -> bool:
        """Note that one more worker is called, unless as many are as there are. Under the lock."""
        call = self._called < self._workers.threads
        self._called += call
        return call

    def _serve(self) -> None:
        """In a worker."""
        again = True
        while again:
            with self._lock:
                self._called -= 1
                asked = self._share()
                call = bool(self._waiting) and self._may_call()
            again = call and not self._another_called()
            if asked:
                started_s = time.perf_counter()
                outcomes = self._outcomes([each.request for each in asked])
                self._alone.took((time.perf_counter() - started_s) / len(asked))
                _tell(asked, outcomes)

    def _another_called(self) -> bool:
        try:
            self._workers.start(self._serve)
        except RuntimeError:
            return False  # the pool is closing and finishes what is queued: here
        return True

    def _share(self) -> list[_Asked]:
        """Of what waits, leaving as much to each other worker. Nobody waits for what was cancelled."""
        share: list[_Asked] = []
        wanted = min(-(-len(self._waiting) // self._workers.threads), _SHARE_MAX)
        while self._waiting and len(share) < wanted:
            asked = self._waiting.popleft()
            if not asked.waiter.cancelled():
                share.append(asked)
        return share

    def _outcomes(self, requests: list[SearchRequest]) -> Sequence[Outcome]:
        try:
            return self._search(requests)
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it
            if len(requests) == 1:
                return [error]
        return [outcome for request in requests for outcome in self._outcomes([request])]


def _tell(asked: list[_Asked], outcomes: Sequence[Outcome]) -> None:
    try:
        asked[0].waiter.get_loop().call_soon_threadsafe(_settle, asked, outcomes)
    except RuntimeError:  # the loop is closed: nobody waits any more
        return


def _settle(asked: list[_Asked], outcomes: Sequence[Outcome]) -> None:
    for each, outcome in zip(asked, outcomes, strict=True):
        if each.waiter.done():
            continue
        if isinstance(outcome, BaseException):
            each.waiter.set_exception(outcome)
        else:
            each.waiter.set_result(outcome)
