"""``make cluster`` as its user meets it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live import wait_for
from vecraft.cluster.nodes import PORT_STEP, Place, taken_ports

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
NODES = 2
START_S_MAX = 60.0
END_S_MAX = 30.0


class Launched:
    """A launcher without a terminal; ``output`` is what it has printed so far."""

    def __init__(self, directory: Path, port: int, *flags: str) -> None:
        self.port = port
        self.home = directory / "home"
        self._output = directory / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "vecraft.cluster", "--nodes", str(NODES)),
                    *("--port", str(port), "--directory", str(self.home), *flags),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def places(self) -> list[Place]:
        return [Place(number, self.home, self.port) for number in range(1, NODES + 1)]

    def wait_until_ready(self) -> None:
        self.wait_until("The cluster is ready", START_S_MAX)

    def wait_until(self, text: str, seconds: float = 10.0) -> None:
        def told() -> bool:
            assert self.process.poll() is None or text in self.output, self.output
            return text in self.output

        try:
            wait_for(told, seconds=seconds, what=repr(text))
        except AssertionError as error:
            error.add_note(self.output)
            raise

    def pids(self) -> list[int]:
        """Of the nodes, in order."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(END_S_MAX)

    def close(self) -> None:
        if self.process.poll() is None:
            self.interrupt()


@pytest.fixture
def port() -> int:
    """With all the others after it free; test processes start to look at different places."""
    for first in range(20_001 + os.getpid() % 400 * PORT_STEP * NODES, 32_000, PORT_STEP * NODES):
        if not taken_ports([Place(number, Path(), first) for number in range(1, NODES + 1)]):
            return first
    raise AssertionError("no ports are free")


@pytest.fixture
def launched(tmp_path: Path, port: int) -> Iterator[Launched]:
    found = Launched(tmp_path, port)
    yield found
    found.close()


def test_a_cluster_starts_tells_of_a_lost_node_ends_and_comes_back_with_its_data(
    launched: Launched, tmp_path: Path
) -> None:
    launched.wait_until_ready()
    first, second = launched.places
    assert second.url in launched.output
    assert len(httpx.get(f"{second.url}/cluster").json()["result"]["peers"]) == NODES
    body = {"vectors": {"size": 2, "distance": "Dot"}}
    assert httpx.put(f"{first.url}/collections/kept", json=body, timeout=30).status_code == 200
    launched.wait_until("collection kept: 2 shards")
    os.kill(launched.pids()[1], signal.SIGKILL)
    launched.wait_until("node2 ended by signal 9, the end of its log:\n")
    assert launched.interrupt() == 0, launched.output
    assert taken_ports(launched.places) == []
    again = Launched(tmp_path, launched.port)
    try:
        again.wait_until_ready()
        listed = httpx.get(f"{second.url}/collections").json()["result"]["collections"]
        assert listed == [{"name": "kept"}]
    finally:
        again.close()


def test_ports_in_use_are_told_before_anything_starts(tmp_path: Path, port: int) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a test before may have had it
        other.bind(("127.0.0.1", port + PORT_STEP + 2))
        other.listen()
        launched = Launched(tmp_path, port)
        assert launched.process.wait(END_S_MAX) == 1
    assert f"In use already: port {port + PORT_STEP + 2}. Nothing was started" in launched.output
    assert not launched.home.exists()


def test_a_node_that_cannot_start_ends_the_run_and_shows_why(tmp_path: Path, port: int) -> None:
    place = Place(2, tmp_path / "home", port)
    (place.directory / "config").mkdir(parents=True)
    (place.directory / "config/config.yaml").write_text("service:\n  enable_cors: perhaps\n")
    launched = Launched(tmp_path, port)
    assert launched.process.wait(END_S_MAX) == 1
    assert "node2 ended (1), the end of its log" in launched.output
    assert "service.enable_cors = 'perhaps'" in launched.output
    assert taken_ports(launched.places) == []


def test_nodes_end_with_a_launcher_that_is_killed(launched: Launched) -> None:
    wait_for(lambda: len(launched.pids()) == NODES, what="the nodes")
    pids = launched.pids()
    launched.process.kill()
    launched.process.wait()
    wait_for(lambda: not any(map(runs, pids)), what="the nodes to end")


def runs(pid: int) -> bool:
    """A process that has ended and that nobody has asked for yet has no command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False
