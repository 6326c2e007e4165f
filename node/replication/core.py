"""What both roles of a replica share: its identity, its log, the agreement as it knows it, its effects.

May not live here: decisions of a role.
"""

from __future__ import annotations

from collections.abc import Iterable

from node.replication.effects import Effect, Send
from node.replication.events import Recovered, ReplicaSet
from node.replication.log import ReplicaLog
from node.replication.messages import Message, Release
from node.replication.tuning import Tuning


class Core:
    def __init__(self, me: int, recovered: Recovered, *, incarnation: int, tuning: Tuning) -> None:
        self.me, self.incarnation, self.tuning = me, incarnation, tuning
        self.log = ReplicaLog(recovered, tuning)
        self.term = max(recovered.term, self.log.terms.last_term)
        self.opened_term = self.term  # a primary of this term may have sent what it then lost
        self.config: ReplicaSet | None = None
        self.failure: str | None = None
        self.unreachable: frozenset[int] = frozenset()
        self.leaving = False
        self.released: Release | None = None  # of the latest term that was released to this replica
        self._lease_missed_ms: int | None = None
        self.now_ms = 0
        self._effects: list[Effect] = []

    def emit(self, *effects: Effect) -> None:
        self._effects += effects

    def emit_all(self, effects: Iterable[Effect]) -> None:
        self._effects += effects

    def send(self, peer: int, message: Message) -> None:
        self._effects.append(Send(peer, message))

    def drain(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    def miss_lease(self, now_ms: int) -> None:
        """A strong read was asked for, and there is no lease to answer it."""
        self._lease_missed_ms = now_ms

    @property
    def wants_lease(self) -> bool:
        missed_ms = self._lease_missed_ms
        return missed_ms is not None and self.now_ms - missed_ms <= self.tuning.read_lease_ms

    def due(self, last_ms: int | None, interval_ms: int) -> bool:
        return last_ms is None or self.now_ms - last_ms >= interval_ms
