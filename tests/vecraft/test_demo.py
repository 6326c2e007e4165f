"""The ports of the demo's node."""

from __future__ import annotations

import socket

from vecraft.demo import free_port


def test_a_port_that_is_taken_is_not_chosen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port


def test_the_ports_of_both_protocols_differ() -> None:
    port = free_port(0)
    assert free_port(port) == port
    assert free_port(port + 1) != port
