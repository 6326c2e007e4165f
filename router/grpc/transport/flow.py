"""How much the requests on one connection may hold before their clients have to wait.

A message may be as long as gRPC lets it be, as in Qdrant; so the bound is not on one but on all that come at
the same time. While they hold less than ``HELD_BYTES_MAX`` every client stream may send on; beyond that only
the oldest may, so that there is always one that gets done. The others' windows stay shut.

With the windows of all streams a connection holds ``HELD_BYTES_MAX`` + ``STREAMS_MAX`` x ``WINDOW_BYTES`` +
``WIDE_MAX`` x ``WIDE_WINDOW_BYTES`` at most (192 MiB), and one message, and answers (``connection``).
"""

from __future__ import annotations

STREAMS_MAX = 1024  # at the same time; clients queue what is beyond
WINDOW_BYTES = (1 << 16) - 1  # of a stream, as HTTP/2 begins with
WIDE_WINDOW_BYTES = 1 << 20  # of a stream whose message is longer than that
WIDE_MAX = 64
HELD_BYTES_MAX = 1 << 26


class Inflow:
    """Pure accounting; the windows are the connection's."""

    def __init__(self, held_bytes_max: int) -> None:
        self._held_bytes_max = held_bytes_max
        self._held: dict[int, int] = {}  # by stream, the oldest first
        self._withheld: dict[int, int] = {}
        self._wide: set[int] = set()
        self._total = 0

    def arrived(self, stream: int, size: int, *, full: bool = False) -> bool:
        """May its client send as much again? If not, ``left`` and ``taken`` say when. ``full``: no more of it
        is taken for now."""
        self._held[stream] = self._held.get(stream, 0) + size
        self._total += size
        if not full and (self._total <= self._held_bytes_max or next(iter(self._held)) == stream):
            return True
        self._withheld[stream] = self._withheld.get(stream, 0) + size
        return False

    def widen(self, stream: int) -> bool:
        """May the stream have a wide window from now on? Tells so once."""
        if stream in self._wide or len(self._wide) >= WIDE_MAX:
            return False
        self._wide.add(stream)
        return True

    def taken(self, stream: int, size: int) -> list[tuple[int, int]]:
        """So much of it is no longer held. Returns: streams that may send on, and how much."""
        self._held[stream] -= size
        self._total -= size
        return self._released() if self._withheld else []

    def left(self, stream: int) -> list[tuple[int, int]]:
        """Whatever it held is no longer held. Returns: as ``taken``, the stream itself among them."""
        self._wide.discard(stream)
        self._total -= self._held.pop(stream, 0)
        if not self._withheld:
            return []
        withheld = self._withheld.pop(stream, 0)
        return [*([(stream, withheld)] if withheld else []), *self._released()]

    def _released(self) -> list[tuple[int, int]]:
        if self._total <= self._held_bytes_max:
            found = list(self._withheld.items())
            self._withheld.clear()
            return found
        oldest = next(iter(self._held))
        return [(oldest, self._withheld.pop(oldest))] if oldest in self._withheld else []
