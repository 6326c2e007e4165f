"""Ports for processes under test that must know theirs before they start, and keep them when they restart.

A port that the system gave (``bind`` to 0) is free again as soon as it is known: another process, or an
outgoing connection, may have it a moment later, or while the process that it is for is down. These lie below
the ports that the system gives, and a lock says that one is taken, for as long as the test process
lives, to every other one on the machine.
"""

from __future__ import annotations

import errno
import random
import socket
import tempfile
from pathlib import Path

from tests.claims import claimed

_LOCKS = Path(tempfile.gettempdir()) / "vecraft-ports.lock"
_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_000
_TRIES_MAX = 1000
_told: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at, and that no other test process will be told."""
    given = int(_GIVEN.read_text().split()[0])
    chosen = random.SystemRandom()  # not the seeded one: each test of a seed would begin with the same ports
    for _ in range(_TRIES_MAX):
        port = chosen.randrange(_FIRST, given)
        if port not in _told and claimed(_LOCKS, port) and _is_free(port):
            _told.add(port)
            return port
    raise AssertionError(f"none of {_TRIES_MAX} ports between {_FIRST} and {given} is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True
