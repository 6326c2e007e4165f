"""``vecraft`` in a process that can be killed (SIGKILL) at each of its steps on files, told by name.

A *step* is one change of a file or directory that code of certain rooms is about to make: creating, linking,
renaming, removing, truncating, writing without a buffer, syncing. The program knows nothing of it: here,
around it, audit events of the interpreter and a few functions of ``os`` are listened to. A step is called by
the line of the rooms that makes it and by what is done there: every line that changes a file has a name.

Lives here: listening, naming, killing, and the socket by which a test asks for that (``Control``).
May not live here: which rooms, what is called, what must hold afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "node/snapshots/",
    "node/backup/",
    "node/transfer/export.py",
    "node/transfer/workshop.py",
    "node/directories.py",
    "router/snapshots/",
)
SOCKET_VARIABLE, KILL_VARIABLE = "STEPS_SOCKET", "STEPS_KILL"

_EVENTS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "shutil.rmtree")
_CALLS = ("fsync", "fdatasync", "ftruncate", "sendfile", "writev", "pwrite")
_BYTECODE = re.compile(r"__pycache__|\.pyc")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

Site = tuple[str, int]  # a file below the root, a line
Seen = tuple[int, list[Site]]


class Steps:
    """``seen``: the names of steps since ``record``, with how often each came and the lines that led there.
    ``kill_at``: the name of one, and which of those that have it."""

    def __init__(self, kill_at: tuple[str, int] = ("", 0)) -> None:
        self._lock = threading.RLock()  # what listens may be heard itself, in a finalizer
        self._local = threading.local()
        self._name, self._left = kill_at
        self.seen: dict[str, Seen] = {}

    def record(self) -> None:
        with self._lock:
            self.seen = {}

    def kill_at(self, name: str, number: int) -> None:
        with self._lock:
            self._name, self._left = name, number

    def step(self, what: str) -> None:
        sites = [*_sites(sys._getframe(2)), *getattr(self._local, "origin", ())]
        if not sites:
            return
        name = f"{sites[0][0]}:{sites[0][1]} {what}"
        with self._lock:
            count, known = self.seen.get(name, (0, []))
            self.seen[name] = (count + 1, known or sites)
            self._left -= name == self._name
            if name == self._name and self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def called_by(self, origin: list[Site]) -> Iterator[None]:
        """What this thread does within the block was asked for in those lines."""
        former = getattr(self._local, "origin", [])
        self._local.origin = origin
        try:
            yield
        finally:
            self._local.origin = former


def _sites(frame: FrameType | None) -> list[Site]:
    """Lines of the rooms on the stack, the innermost first."""
    found = []
    while frame is not None:
        path = _room(frame.f_code.co_filename)
        if path is not None:
            found.append((path, frame.f_lineno))
        frame = frame.f_back
    return found


@functools.cache
def _room(file: str) -> str | None:
    with contextlib.suppress(ValueError):
        path = Path(file).relative_to(ROOT).as_posix()
        if path.startswith(ROOMS):
            return path
    return None


def install(steps: Steps) -> None:
    """Listen from now on, for as long as the process lives."""
    sys.addaudithook(lambda event, arguments: _heard(steps, event, arguments))
    for name in _CALLS:
        setattr(os, name, _announced(steps, name, getattr(os, name)))
    _carry_origins(steps)


def _heard(steps: Steps, event: str, arguments: tuple[Any, ...]) -> None:
    changes = event in _EVENTS or (event == "open" and (arguments[2] or 0) & _WRITING)
    if changes and not _BYTECODE.search(str(arguments[0])):
        steps.step(event.rpartition(".")[2])


def _announced(steps: Steps, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def announced(*arguments: Any, **named: Any) -> Any:
        steps.step(name)
        return call(*arguments, **named)

    return announced


def _carry_origins(steps: Steps) -> None:
    """Work that is handed to another thread has a stack of its own there; it is told who handed it over."""
    from node.workers import WorkerPool

    to_thread, run = asyncio.to_thread, WorkerPool.run

    def carried(call: Callable[..., Any]) -> Callable[..., Any]:
        origin = _sites(sys._getframe(2))

        @functools.wraps(call)
        def carried_out(*arguments: Any, **named: Any) -> Any:
            with steps.called_by(origin):
                return call(*arguments, **named)

        return carried_out if origin else call

    def thread(call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        return to_thread(carried(call), *arguments, **named)

    def pool(self: WorkerPool, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return run(self, carried(call), *arguments, **named)

    asyncio.to_thread = thread
    WorkerPool.run = pool  # type: ignore[method-assign]


class Control:
    """Answers a test at a Unix socket: ``record``, ``seen``, or a name and a number, to be killed at."""

    def __init__(self, steps: Steps, path: str) -> None:
        self._steps = steps
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(path)
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection, connection.makefile("rw") as stream:
                asked = json.loads(stream.readline())
                if asked == "record":
                    self._steps.record()
                elif asked != "seen":
                    self._steps.kill_at(*asked)
                stream.write(json.dumps(self._steps.seen) + "\n")


def ask(path: Path, question: str | tuple[str, int]) -> dict[str, Seen]:
    """From the test's side. Returns: the steps that were seen."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        with connection.makefile("rw") as stream:
            stream.write(json.dumps(question) + "\n")
            stream.flush()
            found = json.loads(stream.readline())
    return {name: (count, [tuple(site) for site in sites]) for name, (count, sites) in found.items()}


def main() -> int:
    name, _, number = os.environ.get(KILL_VARIABLE, "").rpartition("#")
    steps = Steps((name, int(number or 0)))
    install(steps)
    path = os.environ[SOCKET_VARIABLE]
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    Control(steps, path)
    from vecraft import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
