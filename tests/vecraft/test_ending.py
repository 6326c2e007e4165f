"""How the process ends."""

from __future__ import annotations

import asyncio

import pytest

from vecraft.ending import EXIT_METADATA_FAILED, Ended, Ending

PATIENCE_S = 5


async def test_work_that_is_done_before_the_end_gives_its_result() -> None:
    assert await Ending().unless_asked(asyncio.sleep(0, result=7)) == 7


async def test_work_that_fails_raises_what_it_raised() -> None:
    async def fail() -> None:
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        await Ending().unless_asked(fail())


async def test_work_that_is_still_going_on_is_cancelled_by_the_end() -> None:
    ending, closed = Ending(), asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    asyncio.get_running_loop().call_soon(ending.ask)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Ended):
            await ending.unless_asked(endless())
    assert closed.is_set()
    assert ending.status == 0


async def test_the_first_failure_gives_the_status_and_a_later_request_keeps_it() -> None:
    ending = Ending()
    ending.fail(EXIT_METADATA_FAILED, "first")
    ending.fail(3, "second")
    ending.ask()
    async with asyncio.timeout(PATIENCE_S):
        await ending.wait()
    assert ending.status == EXIT_METADATA_FAILED
