"""Whether a plain search is answered where it is asked, on the event loop, instead of in a worker.

A hop to a worker and back takes as long as a good part of a quick search, and gains nothing while one caller
asks one search after the other: the loop has nothing else to do meanwhile. It would harm others if a search
took long, as one that reads from the disk does, or if several were asked for, which workers answer side by
side.

Rules: R1 lately no two callers asked at the same time, which is: in one turn of the loop, or one while
another waited for a worker; R2 the last searches were quick, wherever they were answered; R3 now and then
one is answered in the loop's next turn, so that whatever else waits for the loop has its own. (A worker would
do, too; but where nothing else runs it has to be waked, which takes as long as several searches.)
Pure: times are given. May not live here: what a search is (``node.query.plain``), threads.
"""

from __future__ import annotations

import enum
from typing import Final

LATELY_S: Final = 0.05
QUICK_S: Final = 0.001  # more is slow: longer than anything else that runs on the loop should take
QUICK_MIN: Final = 16  # so many quick searches after a slow one, before it is tried again
IN_A_ROW_MAX: Final = 32


class Place(enum.Enum):
    """Where a search is answered: on the loop, at once or in its next turn, or in a worker."""

    HERE = enum.auto()
    NEXT_TURN = enum.auto()
    WORKER = enum.auto()


class Alone:
    """Of one replica. For the event loop; ``took`` for any thread: a lost count does no harm.

    ``callers``: how many ask in this turn of the loop, 2: more than one.
    """

    def __init__(self) -> None:
        self.callers = 0
        self._caller = 0
        self._crowded_until_s = 0.0
        self._quick = self._in_a_row = 0

    def asked(self, caller: int, now_s: float, *, waiting: int) -> Place:
        """A search is asked for by ``caller``. ``waiting``: how many wait for workers."""
        if not self.callers:
            self.callers, self._caller = 1, caller
        elif caller != self._caller:
            self.callers = 2
        if waiting or self.callers > 1:
            self._crowded_until_s = now_s + LATELY_S
        if now_s < self._crowded_until_s or self._quick < QUICK_MIN:  # R1, R2
            return Place.WORKER
        self._in_a_row = (self._in_a_row + 1) % IN_A_ROW_MAX
        return Place.HERE if self._in_a_row else Place.NEXT_TURN  # R3

    def turn_over(self) -> None:
        """The loop has run everything that could run."""
        self.callers = 0

    def took(self, seconds: float) -> None:
        """A search has taken so long."""
        self._quick = self._quick + 1 if seconds <= QUICK_S else 0
