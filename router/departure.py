"""Whether this node is about to go, as those who send it requests are told.

From then on it is not ready, its answers end their connections, and gRPC's health check says so; it answers
all the same, until those who balance load have heard of it (``service.shutdown_delay_sec``).
"""

from __future__ import annotations


class Departure:
    """``begun`` stays so."""

    def __init__(self) -> None:
        self.begun = False

    def begin(self) -> None:
        self.begun = True
