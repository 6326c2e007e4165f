"""What every thread and every task of this process is doing now (``/stacktrace``)."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from types import FrameType

from msgspec import Struct

TASKS_MAX = 1000
FRAMES_MAX = 64


class Stack(Struct, frozen=True):
    """``frames``: outermost first, as ``file:line function``."""

    name: str
    frames: list[str]


class Stacks(Struct, frozen=True):
    threads: list[Stack]
    tasks: list[Stack]


def stacks() -> Stacks:
    """To be called on the event loop, whose own stack is that of this call."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    threads = [
        Stack(names.get(ident, f"thread {ident}"), _frames(frame))
        for ident, frame in sys._current_frames().items()
    ]
    tasks = [_of_task(task) for task in list(asyncio.all_tasks())[:TASKS_MAX]]
    return Stacks(sorted(threads, key=_name), sorted(tasks, key=_name))


def _of_task(task: asyncio.Task[object]) -> Stack:
    frames = [line for frame in task.get_stack(limit=FRAMES_MAX) for line in _frames(frame, limit=1)]
    return Stack(task.get_name(), frames)


def _frames(frame: FrameType, limit: int = FRAMES_MAX) -> list[str]:
    # A negative limit keeps the innermost ones; source lines are not looked up.
    found = traceback.StackSummary.extract(traceback.walk_stack(frame), limit=limit, lookup_lines=False)
    return [f"{line.filename}:{line.lineno} {line.name}" for line in reversed(found)]


def _name(stack: Stack) -> str:
    return stack.name
