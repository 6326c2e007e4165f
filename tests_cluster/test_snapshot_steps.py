"""Snapshots and backups, killed at each step: what was or what is to be is there then, nothing leaks, and the
same call goes well.

A step is a line that changes a file (``steps``). None is left out: what changes files in these rooms and is
no step of any call fails ``test_every_line_that_changes_a_file_is_a_step``. Steps that several calls share
are killed at in the first of them. ``make steps`` kills at all of them, in each call; otherwise it is one in
``ONE_IN`` of each family, always the same.
"""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests_cluster import steps
from tests_cluster.changing_lines import Finder, changing_lines
from tests_cluster.snapshot_calls import ALONE, CLUSTERED, Call, World
from tests_cluster.steps import Seen

pytestmark = pytest.mark.slow

EVERYWHERE = bool(os.environ.get("VECRAFT_ALL_STEPS"))
ONE_IN = 12
# Lines that no call of these tests comes to, and why that is right.
EXEMPT = {
    ("router/snapshots/s3.py", "*"): "snapshots in a bucket are its provider's to keep whole",
    ("node/snapshots/ready.py", "remove"): "of a recovery that is refused; on start `keep` removes the same",
}


@contextlib.contextmanager
def world_of(directory: Path, *, clustered: bool) -> Iterator[World]:
    world = World(directory, clustered=clustered)
    try:
        world.begin()
        yield world
    except BaseException:
        print(f"--- log of the node\n{world.node.log()[-20_000:]}")
        raise
    finally:
        world.end()


def recorded(world: World, call: Call) -> dict[str, Seen]:
    """Its steps, by making it once."""
    call.prepare(world)
    if not call.at_start:
        world.seen("record")
    call.run(world)
    found = world.seen()
    call.check(world, True)
    return found


def killed(world: World, call: Call, name: str, number: int) -> bool:
    """Make the call, to be killed at a step, and start the node again. Returns: was it?"""
    call.prepare(world)
    if call.at_start:
        world.node.environment[steps.KILL_VARIABLE] = f"{name}#{number}"
    else:
        steps.ask(world.control, (name, number))
    with contextlib.suppress(httpx.TransportError, AssertionError):
        call.run(world)
    world.node.environment.pop(steps.KILL_VARIABLE, None)
    ended = not world.node.is_alive() or call_ended(world)
    if not ended and not call.at_start:
        steps.ask(world.control, ("", 0))
    if ended:
        world.node.wait()
        world.node.start()
    return ended


def call_ended(world: World) -> bool:
    """Its connection was lost, so the process is about to be gone."""
    try:
        world.client.get("/healthz")
    except httpx.TransportError:
        return True
    return False


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("family", [*ALONE, *CLUSTERED])
def test_killed_at_any_step_there_is_what_was_or_what_is_to_be(tmp_path: Path, family: str) -> None:
    calls, clustered = (ALONE[family], False) if family in ALONE else (CLUSTERED[family], True)
    known: set[str] = set()
    killed_at: set[str] = set()
    with world_of(tmp_path, clustered=clustered) as world:
        for call in calls:
            call.set_up(world)
            for name, (count, _) in recorded(world, call).items():
                if not EVERYWHERE and (name in known or len(known) % ONE_IN):
                    known.add(name)
                    continue
                known.add(name)
                for number in (1, 2) if count > 1 and "directories" in name else (1,):
                    if killed(world, call, name, number):
                        killed_at.add(name)
                    else:  # what only tidies up after others
                        assert name in killed_at, f"{call.name}: no step {name} this time"
                    check(world, call, name)


def check(world: World, call: Call, name: str) -> None:
    try:
        call.check(world, False)
        world.check_files()
        call.prepare(world)
        call.run(world)
        call.check(world, True)
        world.check_files()
    except AssertionError as error:
        raise AssertionError(f"{call.name}, killed at {name}: {error}") from error


@pytest.mark.timeout(900)
def test_every_line_that_changes_a_file_is_a_step(tmp_path: Path) -> None:
    seen: set[tuple[str, int]] = set()
    for clustered, families in ((False, ALONE), (True, CLUSTERED)):
        with world_of(tmp_path / f"clustered-{clustered}", clustered=clustered) as world:
            for call in (call for calls in families.values() for call in calls):
                call.set_up(world)
                for _, sites in recorded(world, call).values():
                    seen |= set(sites)
    missing = [
        str(line)
        for line in changing_lines(steps.ROOMS)
        if not any((line.file, number) in seen for number in line.lines)
        and not {(line.file, line.function), (line.file, "*")} & EXEMPT.keys()
    ]
    assert missing == [], "no call of these tests comes here: make one that does"


def test_a_line_that_changes_a_file_is_found() -> None:
    """The finder sees calls, and what is handed over to be called elsewhere."""
    finder = Finder("x.py")
    finder.visit(
        ast.parse(
            "def f(p):\n    run(p.unlink)\n    p.open('xb')\n    os.fsync(\n        p)\n    p.open('rb')"
        )
    )
    assert [(line.function, line.what, line.lines.start) for line in finder.found] == [
        ("f", "unlink", 2),
        ("f", "open", 3),
        ("f", "fsync", 4),
    ]
