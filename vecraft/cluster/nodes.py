"""The processes: where each node lives, how it is started and ended, the end of its log.

One folder holds everything: ``node1/`` with that node's storage, ``node1.log`` beside it. A folder that holds
nodes already is gone on with. Nodes end with the launcher, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from msgspec import Struct

from consensus import identity as identities

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PORT = 6333
PORT_STEP = 10
STOP_S_MAX = 30.0  # then a node is killed
TAIL_LINES = 15
BOOTSTRAP_TIMEOUT_S = 60  # all are started at once, and share the cores
_PR_SET_PDEATHSIG = 1


class Place(Struct, frozen=True):
    """Of node ``number`` (from 1) in ``home``; ``first_port`` is node 1's REST port."""

    number: int
    home: Path
    first_port: int

    @property
    def name(self) -> str:
        return f"node{self.number}"

    @property
    def directory(self) -> Path:
        return self.home / self.name

    @property
    def log_path(self) -> Path:
        return self.home / f"{self.name}.log"

    @property
    def http_port(self) -> int:
        return self.first_port + PORT_STEP * (self.number - 1)

    @property
    def ports(self) -> tuple[int, int, int]:
        """REST, gRPC, peers."""
        return self.http_port, self.http_port + 1, self.http_port + 2

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.http_port}"

    @property
    def peer_uri(self) -> str:
        return f"http://{HOST}:{self.ports[2]}"

    def belongs_to_a_cluster(self) -> bool:
        """Raises: IdentityDamaged."""
        identity = identities.load(self.directory / "storage/cluster")
        return identity is not None and bool(identity.cluster_id)


def places(home: Path, count: int, first_port: int) -> list[Place]:
    """``count`` nodes, or as many as the folder holds already: a part of them might be no majority."""
    held = [int(path.name[4:]) for path in home.glob("node*") if path.is_dir() and path.name[4:].isdigit()]
    return [Place(number, home, first_port) for number in range(1, max([count, *held]) + 1)]


def taken_ports(wanted: Iterable[Place]) -> list[int]:
    return [port for place in wanted for port in place.ports if _is_taken(port)]


def clean(home: Path) -> None:
    """Remove the nodes' folders and logs, and nothing else."""
    for path in home.glob("node*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def arguments(place: Place, everyone: list[Place]) -> tuple[str, ...]:
    """The first node that is of a cluster already, or else node 1, is the one to join."""
    first = next((other for other in everyone if other.belongs_to_a_cluster()), everyone[0])
    joins = () if place == first else ("--bootstrap", first.peer_uri)
    return ("--uri", place.peer_uri, *joins)


class Node:
    """One running process."""

    def __init__(self, place: Place, process: asyncio.subprocess.Process) -> None:
        self.place = place
        self._process = process

    @classmethod
    async def start(cls, place: Place, flags: tuple[str, ...]) -> Node:
        place.directory.mkdir(parents=True, exist_ok=True)
        with place.log_path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "vecraft.cli", "serve", *flags),
                cwd=place.directory,
                env=os.environ | _environment(place),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the launcher's: it ends the nodes one and all
                preexec_fn=partial(_end_with, os.getpid()),
            )
        return cls(place, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it ended; None: it runs."""
        return self._process.returncode

    async def stop(self) -> int:
        """The exit status."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_S_MAX):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    def log_tail(self) -> list[str]:
        return self.place.log_path.read_text(errors="replace").splitlines()[-TAIL_LINES:]

    def memory_bytes(self) -> int | None:
        """Resident; None where the system does not tell it."""
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return None


def _environment(place: Place) -> dict[str, str]:
    http_port, grpc_port, peer_port = place.ports
    settings = {
        "CLUSTER__ENABLED": "true",
        "CLUSTER__P2P__PORT": peer_port,
        "CLUSTER__CONSENSUS__BOOTSTRAP_TIMEOUT_SEC": BOOTSTRAP_TIMEOUT_S,
        "SERVICE__HOST": HOST,
        "SERVICE__HTTP_PORT": http_port,
        "SERVICE__GRPC_PORT": grpc_port,
    }
    return {"PYTHONPATH": str(ROOT), **{f"VECRAFT__{key}": str(value) for key, value in settings.items()}}


def _end_with(parent: int) -> None:
    """In the child, before the program: have the kernel send SIGTERM when the launcher is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it went just before
            os._exit(1)


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False
