"""Ends of tasks, and calls of an event loop from other threads."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

from protos.tasks import end_all, heed, post


async def _fail() -> None:
    raise OSError("no disk")


async def test_all_have_ended_whatever_with_when_the_call_returns() -> None:
    cleaned: list[str] = []

    async def cleans_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("done")

    running = {asyncio.create_task(cleans_up()), asyncio.create_task(_fail())}
    for task in running:
        task.add_done_callback(running.discard)
    await asyncio.sleep(0)
    await end_all(running)
    assert cleaned == ["done"]
    assert not running


async def test_the_error_of_a_task_that_nobody_waits_for_is_not_reported() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    heeded = asyncio.create_task(_fail())
    heeded.add_done_callback(heed)
    cancelled = asyncio.create_task(asyncio.Event().wait())
    cancelled.add_done_callback(heed)
    cancelled.cancel()
    await asyncio.wait((heeded, cancelled))
    del heeded, cancelled
    gc.collect()
    assert told == []


async def test_another_thread_calls_the_loop() -> None:
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    threading.Thread(target=post, args=(loop, heard.set)).start()
    async with asyncio.timeout(5):
        await heard.wait()


def test_calling_a_loop_that_is_closed_does_nothing() -> None:
    loop, called = asyncio.new_event_loop(), []
    loop.close()
    post(loop, called.append, 1)
    assert called == []
