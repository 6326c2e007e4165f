"""Clients that wait for a primary.

Lives here: which token is answered at which seq.
May not live here: when a seq counts as reached (``primary``).
"""

from __future__ import annotations

import heapq

from msgspec import Struct

from node.replication.core import Core
from node.replication.effects import Acknowledge, ConfirmTerm, OutcomeUnknown
from node.replication.events import Token


class Waiting(Struct, frozen=True, order=True):
    seq: int
    token: Token
    visible: bool = False
    confirm_term: bool = False


class Acknowledgements:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._stored: list[Waiting] = []
        self._visible: list[Waiting] = []
        self._unconfirmed: list[Waiting] = []
        self._asked: list[Waiting] = []
        self._number = 0
        self._asked_ms: int | None = None

    def add(self, waiting: Waiting) -> None:
        heapq.heappush(self._visible if waiting.visible else self._stored, waiting)

    def reached(self, *, stored: int, visible: int) -> None:
        """Answer what waits for no more than this."""
        for queue, seq in ((self._stored, stored), (self._visible, min(stored, visible))):
            while queue and queue[0].seq <= seq:
                waiting = heapq.heappop(queue)
                if waiting.confirm_term:
                    self._unconfirmed.append(waiting)
                else:
                    self._core.emit(Acknowledge(waiting.token, waiting.seq))
        self.ask()

    @property
    def latest_visible(self) -> int:
        """The last seq that somebody waits to see; -1: nobody does."""
        return max((waiting.seq for waiting in self._visible), default=-1)

    def ask(self) -> None:
        """Have the term confirmed for those that want it: one question at a time, repeated if unanswered."""
        if not self._asked and self._unconfirmed:
            self._asked, self._unconfirmed = self._unconfirmed, []
            self._number += 1
            self._asked_ms = None
        if self._asked and self._core.due(self._asked_ms, self._core.tuning.propose_retry_ms):
            self._asked_ms = self._core.now_ms
            self._core.emit(ConfirmTerm(self._core.term, self._number))

    def confirmed(self, number: int) -> None:
        if number == self._number:
            self._core.emit_all(Acknowledge(waiting.token, waiting.seq) for waiting in self._asked)
            self._asked = []
            self.ask()

    def give_up(self) -> None:
        for queue in (self._stored, self._visible, self._unconfirmed, self._asked):
            self._core.emit_all(OutcomeUnknown(waiting.token) for waiting in queue)
            queue.clear()
