"""Pools and serial queues."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import weakref
from collections.abc import Iterator

import pytest

from node.index.library import faiss
from node.workers import SerialExecutor, WorkerPool, to_its_end


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(2, "test")
    yield pool
    pool.close()


async def test_functions_run_in_named_threads_with_one_openmp_thread(pool: WorkerPool) -> None:
    assert (await pool.run(lambda: threading.current_thread().name)).startswith("test")
    assert await pool.run(faiss.omp_get_max_threads) == 1


async def test_a_function_sees_the_callers_context(pool: WorkerPool) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("here")
    assert await pool.run(variable.get) == "here"
    assert await SerialExecutor(pool).run("k", variable.get) == "here"


async def test_an_error_reaches_the_caller(pool: WorkerPool) -> None:
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        await SerialExecutor(pool).run("k", lambda: 1 // 0)


async def test_one_key_runs_in_order_and_never_side_by_side(pool: WorkerPool) -> None:
    serial = SerialExecutor(pool)
    running, order = threading.Lock(), []

    def step(i: int) -> None:
        assert running.acquire(blocking=False), "two at once"
        order.append(i)
        running.release()

    await asyncio.gather(*(serial.run("k", step, i) for i in range(300)))
    assert order == list(range(300))


async def test_keys_run_side_by_side(pool: WorkerPool) -> None:
    serial = SerialExecutor(pool)
    meeting = threading.Barrier(2)
    await asyncio.gather(serial.run("a", meeting.wait, 5), serial.run("b", meeting.wait, 5))


async def test_a_failure_does_not_stop_the_queue(pool: WorkerPool) -> None:
    serial = SerialExecutor(pool)
    failed = serial.submit("k", lambda: 1 // 0)
    assert await serial.run("k", lambda: 5) == 5
    assert isinstance(failed.exception(), ZeroDivisionError)


async def test_what_is_cancelled_before_its_turn_never_runs(pool: WorkerPool) -> None:
    serial = SerialExecutor(pool)
    gate, ran = threading.Event(), []
    first = serial.submit("k", gate.wait, 5)
    second = serial.submit("k", ran.append, 2)
    third = serial.submit("k", ran.append, 3)
    assert second.cancel()
    gate.set()
    await asyncio.wrap_future(third)
    assert first.result() is True
    assert ran == [3]


async def test_closing_finishes_what_is_queued_and_refuses_more() -> None:
    pool = WorkerPool(1, "closing")
    serial = SerialExecutor(pool)
    gate, ran = threading.Event(), []
    serial.submit("k", gate.wait, 5)
    futures = [serial.submit("k", ran.append, i) for i in range(3)]
    closing = threading.Thread(target=pool.close)
    closing.start()
    gate.set()
    closing.join(5)
    assert not closing.is_alive()
    assert ran == [0, 1, 2]
    assert all(future.done() for future in futures)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            serial.submit("k", ran.append, 4)


async def test_a_cancelled_caller_waits_for_what_runs_in_its_name(pool: WorkerPool) -> None:
    began, go = threading.Event(), threading.Event()
    ended: list[bool] = []

    def work() -> None:
        began.set()
        ended.append(go.wait(10))

    caller = asyncio.create_task(to_its_end(pool.run(work)))
    await asyncio.to_thread(began.wait)
    for _ in range(2):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended == [True]


async def test_without_a_cancellation_the_outcome_is_handed_on(pool: WorkerPool) -> None:
    assert await to_its_end(pool.run(int, "7")) == 7
    with pytest.raises(ZeroDivisionError):
        await to_its_end(pool.run(lambda: 1 // 0))


class Given:
    """Something that can be watched."""


@pytest.mark.parametrize("fails", [False, True])
async def test_what_a_function_was_given_is_let_go_when_it_is_done(fails: bool) -> None:
    """A view that an idle thread held on to would keep the files of segments that are gone."""
    pool = WorkerPool(1, "test")
    given = Given()
    watched = weakref.ref(given)

    def work(_: Given) -> None:
        if fails:
            raise ValueError

    with contextlib.suppress(ValueError):
        await pool.run(work, given)
    await pool.run(lambda: None)  # by then the thread has let go of what it did before
    del given
    assert watched() is None
    pool.close()


async def test_the_loop_may_end_before_its_function_does() -> None:
    pool, begun, go = WorkerPool(1, "test"), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(5)

    async def leave() -> None:
        task = asyncio.create_task(pool.run(work))
        await asyncio.to_thread(begun.wait, 5)
        task.cancel()

    await asyncio.to_thread(asyncio.run, leave())
    go.set()
    assert await pool.run(begun.is_set)  # the thread has outlived it
    pool.close()
