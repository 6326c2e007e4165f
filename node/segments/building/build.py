"""The server's side of a build: start the builder process, wait for it, clean up after it.

The process is spawned (never forked from a process with threads) from the calling event loop's thread,
which must outlive the build: the kernel kills the builder when that thread ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import msgspec

from node.segments.building.assemble import DRAFT_SUFFIX
from node.segments.building.jobs import AnyJob, BuildResult, TooLarge, decode_answer, encode
from node.segments.errors import BuildFailed, BuildTooLarge

_STDERR_TAIL = 2000


async def run_build(job: AnyJob) -> BuildResult:
    """Carry out ``job`` in a process of its own. Cancelling kills it; nothing is left behind then either.

    Raises: BuildTooLarge, BuildFailed (it was killed, ran out of memory or disk, found a damaged source).
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "node.segments.building.builder",
        str(os.getpid()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # an interrupt typed at the server's terminal is the server's to handle
        env=environment(job),
    )
    finished = False
    try:
        answer, complaint = await process.communicate(encode(job))
        result = _judge(process.returncode, answer, complaint)
        finished = True
        return result
    finally:
        if not finished:
            await _end(process)
            await asyncio.to_thread(_discard, Path(job.target))


def environment(job: AnyJob) -> dict[str, str]:
    """Of the builder. Its threads sleep while they wait for each other: spinning costs a third of a build."""
    return dict(os.environ) | {
        "OMP_NUM_THREADS": str(job.threads),
        "OMP_WAIT_POLICY": "passive",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _judge(returncode: int | None, answer: bytes, complaint: bytes) -> BuildResult:
    if returncode != 0:
        raise BuildFailed(_reason(returncode, complaint))
    try:
        decoded = decode_answer(answer)
    except msgspec.DecodeError as error:
        raise BuildFailed(f"the builder's answer makes no sense: {error}") from error
    if isinstance(decoded, TooLarge):
        raise BuildTooLarge(decoded.needed, decoded.limit)
    return decoded


def _reason(returncode: int | None, complaint: bytes) -> str:
    if returncode is not None and returncode < 0:
        return f"the builder was killed by {signal.Signals(-returncode).name}"
    return (
        f"the builder ended with {returncode}: {complaint[-_STDERR_TAIL:].decode(errors='replace').strip()}"
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it if it runs, and wait until it is gone even if the waiting is cancelled again."""
    if process.returncode is None:
        process.kill()
    waiting = asyncio.ensure_future(process.wait())
    while not waiting.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            continue


def _discard(target: Path) -> None:
    shutil.rmtree(target.with_name(target.name + DRAFT_SUFFIX), ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
