"""A real ``vecraft serve`` for tests: start, stop, kill, restart, read its log.

::

    with LiveNode(tmp_path) as node:
        httpx.get(f"{node.url}/collections")

Each node has a directory of its own (its working directory, so storage and snapshots land there)
and ports of its own; ``kill`` is SIGKILL, ``stop`` is SIGTERM and asserts a clean end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from tests.ports import free_port

READY_S_MAX = 30.0
STOP_S_MAX = 30.0
POLL_S = 0.02
ROOT = Path(__file__).resolve().parents[1]

T = TypeVar("T")


def wait_for(condition: Callable[[], T], *, seconds: float = 30.0, what: str = "condition") -> T:
    """Return the first truthy value of ``condition()``; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(POLL_S)


@dataclass(frozen=True)
class Program:
    """What runs: a checkout of Vecraft, and the interpreter with its packages."""

    root: Path = ROOT
    python: Path = Path(sys.executable)


THIS = Program()


class LiveNode:
    """One server process in ``directory``; usable as a context manager.

    Args:
        environment: further variables, such as ``{"VECRAFT__STORAGE__WAL__WAL_CAPACITY_MB": "1"}``.
        arguments: of the command line; the attribute counts for the next start, as ``environment`` does.
        preexec: runs in the child before the program, for resource limits.
        host: the address to listen on and to be reached by.
        prefix: a command that runs the program, such as one that enters a network namespace.
        module: what is run; it takes the program's command line.
        program: which code; the attribute counts for the next start.
    """

    def __init__(
        self,
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        preexec: Callable[[], None] | None = None,
        host: str = "127.0.0.1",
        prefix: tuple[str, ...] = (),
        module: str = "vecraft.cli",
        program: Program = THIS,
    ) -> None:
        self.directory = directory
        self.host = host
        self.port = free_port()
        self.grpc_port: int | None = free_port()  # None: as configured
        self.url = f"http://{host}:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = dict(environment or {})
        self.arguments = arguments
        self._preexec = preexec
        self._prefix, self._module = prefix, module
        self.program = program
        self.ready_s_max = READY_S_MAX

    @property
    def storage(self) -> Path:
        return self.directory / "storage"

    @property
    def log_path(self) -> Path:
        return self.directory / "node.log"

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def launch(self) -> LiveNode:
        """Start the process without waiting for it to answer."""
        assert self.process is None or self.process.poll() is not None
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as output:
            self.process = subprocess.Popen(
                [*self._prefix, str(self.program.python), "-m", self._module, "serve", *self.arguments],
                cwd=self.directory,
                env=self._full_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=self._preexec,
            )
        return self

    def start(self) -> LiveNode:
        """Start the process and wait until it is ready."""
        return self.launch().wait_ready()

    def wait_ready(self) -> LiveNode:
        wait_for(self._answers, seconds=self.ready_s_max, what="the node to be ready")
        return self

    def stop(self) -> None:
        """SIGTERM, and the end must be clean."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.wait()
        assert status == 0, f"exit status {status}\n{self.log()}"

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_S_MAX)

    def wait(self, seconds: float = STOP_S_MAX) -> int:
        """The exit status."""
        assert self.process is not None
        return self.process.wait(seconds)

    def restart(self) -> LiveNode:
        self.kill()
        return self.start()

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def __enter__(self) -> LiveNode:
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if kind is not None:
            print(f"--- log of the node in {self.directory}\n{self.log()[-20_000:]}")

    def _full_environment(self) -> dict[str, str]:
        ours = {
            "VECRAFT__SERVICE__HOST": self.host,
            "VECRAFT__SERVICE__HTTP_PORT": str(self.port),
            "PYTHONPATH": str(self.program.root),
            "PYTHONPYCACHEPREFIX": str(ROOT / ".cache/bytecode"),
        }
        if self.grpc_port is not None:
            ours["VECRAFT__SERVICE__GRPC_PORT"] = str(self.grpc_port)
        # Nodes are started hundreds of times; with its modules compiled, each takes a third of the time.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**inherited, **ours, **self.environment}

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the node ended with {self.process.returncode}\n{self.log()}")
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
