from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ports
from tests.live import ROOT


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """The one port that there is to choose."""
    port = ports.free_port()
    monkeypatch.setattr(ports, "_LOCKS", tmp_path / "locks")
    monkeypatch.setattr(ports, "_told", set())
    monkeypatch.setattr(ports, "_FIRST", port)
    (tmp_path / "range").write_text(f"{port + 1} 60999\n")
    monkeypatch.setattr(ports, "_GIVEN", tmp_path / "range")
    return port


def test_ports_are_not_those_that_the_system_gives() -> None:
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        assert all(ports.free_port() < given.getsockname()[1] for _ in range(20))


def test_a_port_is_told_once(only: int) -> None:
    assert ports.free_port() == only
    with pytest.raises(AssertionError, match="is free"):
        ports.free_port()


def test_a_port_that_somebody_listens_at_is_not_told(only: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", only))
        other.listen()
        with pytest.raises(AssertionError, match="is free"):
            ports.free_port()


def test_another_process_is_not_told_it(only: int, tmp_path: Path) -> None:
    program = (
        f"import sys; from pathlib import Path; from tests import ports; ports._FIRST = {only}; "
        f"ports._LOCKS, ports._GIVEN = (Path({str(tmp_path)!r}) / name for name in ('locks', 'range')); "
        "print(ports.free_port(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == only
        with pytest.raises(AssertionError, match="is free"):
            ports.free_port()
        other.communicate(b"")
    assert ports.free_port() == only  # it ended
