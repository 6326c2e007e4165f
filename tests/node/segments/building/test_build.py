"""The builder process: answers, refusals, kills from either side. Each test starts an interpreter."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from node.index import GraphParams
from node.replica.segment_set import SegmentSet
from node.segments import BuildFailed, BuildTooLarge, SealedSegment
from node.segments.building import IndexJob, Source, run_build
from node.segments.building.build import environment
from node.segments.building.jobs import encode
from tests.node.segments.make import sealed, vectors

pytestmark = pytest.mark.slow


def job(directory: Path, rows: int, ef_construct: int = 40, memory_bytes: int | None = None) -> IndexJob:
    source = sealed(directory / "s", vectors(rows))
    return IndexJob(
        target=str(directory / "t"),
        graphs={"": GraphParams(8, ef_construct)},
        source=Source(str(source.directory)),
        memory_bytes=memory_bytes,
    )


def long_job(directory: Path) -> IndexJob:
    """Minutes of work."""
    return job(directory, 60_000, ef_construct=20_000)


async def reached(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def children(of: int) -> list[int]:
    path = Path(f"/proc/{of}/task/{of}/children")
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def started(directory: Path) -> int:
    """The builder's pid once it is at work."""
    await reached((directory / "t.tmp" / "vectors.0.f32").exists)
    (pid,) = [pid for pid in children(os.getpid()) if b"node.segments.building.builder" in cmdline(pid)]
    return pid


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_a_build_makes_a_segment_that_opens(tmp_path: Path) -> None:
    result = await run_build(job(tmp_path, 500))
    segment = SealedSegment.open(Path(result.directory))
    assert segment.graph("") is not None
    assert segment.verify() == []


async def test_a_build_over_its_memory_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BuildTooLarge):
        await run_build(job(tmp_path, 500, memory_bytes=1000))
    assert os.listdir(tmp_path) == ["s"]


def test_a_builders_threads_do_not_spin_and_are_as_many_as_its_job_says(tmp_path: Path) -> None:
    found = environment(msgspec.structs.replace(job(tmp_path, 10), threads=3))
    assert (found["OMP_NUM_THREADS"], found["OMP_WAIT_POLICY"]) == ("3", "passive")
    assert found["PATH"] == os.environ["PATH"]


async def test_a_missing_source_is_a_typed_failure_with_the_reason(tmp_path: Path) -> None:
    broken = IndexJob(target=str(tmp_path / "t"), source=Source(str(tmp_path / "none")))
    with pytest.raises(BuildFailed, match="has no manifest"):
        await run_build(broken)
    assert os.listdir(tmp_path) == []


async def test_a_killed_builder_is_a_typed_failure_and_leaves_nothing(tmp_path: Path) -> None:
    build = asyncio.create_task(run_build(long_job(tmp_path)))
    os.kill(await started(tmp_path), signal.SIGKILL)
    with pytest.raises(BuildFailed, match="SIGKILL"):
        await build
    assert os.listdir(tmp_path) == ["s"]


async def test_cancelling_kills_the_builder(tmp_path: Path) -> None:
    build = asyncio.create_task(run_build(long_job(tmp_path)))
    pid = await started(tmp_path)
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    assert not is_running(pid)
    assert os.listdir(tmp_path) == ["s"]


PARENT = """
import asyncio, sys
from node.segments.building.build import run_build
from node.segments.building.jobs import decode_job
asyncio.run(run_build(decode_job(sys.stdin.buffer.read())))
"""


async def test_the_builder_dies_with_its_parent(tmp_path: Path) -> None:
    """SIGKILL gives the parent no chance to clean up; what is left over goes when the replica is opened."""
    work = encode(long_job(tmp_path))
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdin=asyncio.subprocess.PIPE)
    assert parent.stdin is not None
    parent.stdin.write(work)
    parent.stdin.close()
    await reached((tmp_path / "t.tmp" / "vectors.0.f32").exists)
    (builder,) = children(parent.pid)
    parent.kill()
    await parent.wait()
    await reached(lambda: not is_running(builder))
    assert SegmentSet(tmp_path, {}).strays(["s"]) == [tmp_path / "t.tmp"]


async def test_a_builder_whose_parent_is_gone_does_not_begin() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "node.segments.building.builder", "1", stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await process.communicate()
    assert process.returncode == 1
    assert b"the parent is gone" in complaint
