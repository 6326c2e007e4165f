"""A real ``vecraft serve`` process on a storage folder of its own, and a small REST client for it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

_SOURCES = Path(__file__).resolve().parents[2]
_READY_TIMEOUT_S = 300.0
_STOP_TIMEOUT_S = 120.0
_POLL_S = 0.01


class ServerFailed(Exception):
    """The server ended, stayed silent or answered an error; the text says which."""


class Client:
    """One keep-alive connection. Not to be shared between threads."""

    def __init__(self, port: int, *, timeout_s: float = 600.0) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

    def call(self, method: str, path: str, body: object | None = None) -> Any:
        """Return the ``result`` of the answer. Raises: ServerFailed on any other status than 200."""
        data = None if body is None else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        return self.send(method, path, data)

    def send(self, method: str, path: str, data: bytes | None) -> Any:
        """As ``call``, with a body that is JSON already."""
        self._connection.request(method, path, body=data, headers={"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise ServerFailed(f"{method} {path}: {response.status} {answer[:500]!r}")
        return orjson.loads(answer).get("result")

    def close(self) -> None:
        self._connection.close()


class Server:
    """Starts and ends the process; use as a context manager so that it never outlives its owner."""

    def __init__(
        self, folder: Path, *, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        """``arguments`` and ``environment``: further ones of the process."""
        self.port, self.grpc_port = free_port(), free_port()
        self._folder = folder.resolve()
        self._arguments, self._environment = tuple(arguments), dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> float:
        """Start and wait for /readyz; returns the seconds it took."""
        started = time.perf_counter()
        self.launch()
        self._wait_ready(started)
        return time.perf_counter() - started

    def launch(self) -> None:
        """Start, and do not wait."""
        self._folder.mkdir(parents=True, exist_ok=True)
        environ = os.environ | {
            "PYTHONPATH": str(_SOURCES),
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(self.port),
            "QDRANT__SERVICE__GRPC_PORT": str(self.grpc_port),
            "QDRANT__STORAGE__STORAGE_PATH": str(self._folder / "storage"),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(self._folder / "snapshots"),
            "QDRANT__TELEMETRY_DISABLED": "true",
            **self._environment,
        }
        environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling everything anew is not what is measured
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "vecraft.cli", "serve", *self._arguments],
                cwd=self._folder,  # where it looks for its configuration and leaves its marker
                env=environ,
                stdout=log,
                stderr=log,
            )

    def client(self) -> Client:
        return Client(self.port)

    def terminate(self) -> float:
        """SIGTERM, as an orchestrator would; returns the seconds until the process has ended."""
        return self._end(signal.SIGTERM)

    def kill(self) -> float:
        """SIGKILL: nothing is flushed."""
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> float:
        process = self._process
        assert process is not None, "not started"
        started = time.perf_counter()
        process.send_signal(number)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(f"still running {_STOP_TIMEOUT_S:.0f} s after {number.name}") from None
        finally:
            self._process = None
        return time.perf_counter() - started

    def _wait_ready(self, started: float) -> None:
        while time.perf_counter() - started < _READY_TIMEOUT_S:
            if self._process is None or self._process.poll() is not None:
                raise ServerFailed(f"ended at start: {self._log_tail()}")
            if self._ready():
                return
            time.sleep(_POLL_S)
        raise ServerFailed(f"not ready after {_READY_TIMEOUT_S:.0f} s: {self._log_tail()}")

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _log_tail(self) -> str:
        return (self._folder / "server.log").read_bytes()[-2000:].decode(errors="replace")


def wait_green(client: Client, collection: str, *, indexed_at_least: int, timeout_s: float) -> float:
    """Wait until the collection is green with so many indexed vectors; returns the seconds it took."""
    started = time.perf_counter()
    while time.perf_counter() - started < timeout_s:
        info = client.call("GET", f"/collections/{collection}")
        if info["status"] == "green" and info["indexed_vectors_count"] >= indexed_at_least:
            return time.perf_counter() - started
        time.sleep(0.1)
    raise ServerFailed(f"{collection} is not green after {timeout_s:.0f} s: {info}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
