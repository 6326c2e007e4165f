"""What a replica knows of its own log: where it ends, what is durable, what is applied.

Lives here: the bookkeeping between ``Persist``, ``CutTail``, ``Rebuild``, ``Apply`` and their answers, and
the recent entries kept in memory. May not live here: terms' rules, other replicas.

Invariants: ``floor`` <= ``committed`` <= ``durable`` <= ``last_seq``; ``applied`` <= ``durable``; the log is
never cut below ``committed``; nothing is applied between a cut that must be rebuilt and the end of the
rebuilding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from node.replication.effects import Apply, CutTail, Effect, Persist, Rebuild
from node.replication.events import Recovered
from node.replication.messages import Entry
from node.replication.terms import TermList
from node.replication.tuning import Tuning


class ReplicaLog:
    def __init__(self, recovered: Recovered, tuning: Tuning) -> None:
        self._tuning = tuning
        self.terms: TermList = recovered.terms
        self.last_seq = self.durable = self.applied = recovered.last_seq
        self.floor = self.committed = recovered.floor
        self.complete = recovered.complete
        self.cutting = False
        self.rebuilding = False
        self._unapplied: deque[Entry] = deque()
        self._unapplied_bytes = 0
        self._recent: deque[Entry] = deque()
        self._recent_bytes = 0

    @property
    def settled(self) -> bool:
        """Is no cut under way?"""
        return not self.cutting

    @property
    def has_room(self) -> bool:
        return self._unapplied_bytes < self._tuning.unapplied_bytes_max

    # --- growing ---------------------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> Effect:
        assert self.settled, "entries while a cut is under way"
        for entry in entries:
            assert entry.seq == self.last_seq + 1, f"seq {entry.seq} after {self.last_seq}"
            self.terms = self.terms.extended(entry.term, entry.seq)
            self.last_seq = entry.seq
            self._unapplied_bytes += entry.size_bytes
            self._recent_bytes += entry.size_bytes
        self._unapplied.extend(entries)
        self._recent.extend(entries)
        self._drop_recent()
        return Persist(tuple(entries))

    def persisted(self, seq: int) -> list[Effect]:
        self.durable = max(self.durable, min(seq, self.last_seq))
        return self._apply()

    def mark_applied(self, seq: int) -> None:
        if not self.rebuilding:
            self.applied = max(self.applied, seq)

    def commit(self, seq: int) -> None:
        self.committed = max(self.committed, min(seq, self.durable))

    def checkpointed(self, floor: int, first_seq: int) -> None:
        assert floor <= self.committed, f"a checkpoint of seq {floor}, only {self.committed} is committed"
        self.floor = max(self.floor, floor)
        self.terms = self.terms.trimmed(first_seq - 1)

    # --- cutting ---------------------------------------------------------------------------------------

    def cut(self, after: int, term: int) -> Effect:
        assert after >= self.committed, f"cut after {after}, {self.committed} is committed"
        self.cutting = True
        self.last_seq = after
        self.durable = min(self.durable, after)
        self.terms = self.terms.cut(after)
        for entries in (self._unapplied, self._recent):
            while entries and entries[-1].seq > after:
                entries.pop()
        self._unapplied_bytes = sum(entry.size_bytes for entry in self._unapplied)
        self._recent_bytes = sum(entry.size_bytes for entry in self._recent)
        return CutTail(after, term)

    def tail_cut(self) -> list[Effect]:
        """Everything that was under way before the cut has been reported by now."""
        self.cutting = False
        if self.applied > self.last_seq or self.rebuilding:
            self.rebuilding = True
            self.applied = self.floor
            return [Rebuild()]
        return []

    def rebuilt(self, seq: int) -> list[Effect]:
        if self.cutting:
            return []  # cut again meanwhile; that cut asks for another rebuilding
        self.rebuilding = False
        self.applied = seq
        self.durable = max(self.durable, seq)  # it was read from the files
        while self._unapplied and self._unapplied[0].seq <= self.applied:
            self._unapplied_bytes -= self._unapplied.popleft().size_bytes
        return self._apply()

    def _apply(self) -> list[Effect]:
        if self.rebuilding or self.cutting:
            return []
        entries = []
        while self._unapplied and self._unapplied[0].seq <= self.durable:
            entries.append(self._unapplied.popleft())
            self._unapplied_bytes -= entries[-1].size_bytes
        return [Apply(tuple(entries))] if entries else []

    # --- reading ---------------------------------------------------------------------------------------

    @property
    def first_recent(self) -> int:
        """The oldest entry in memory; ``last_seq + 1`` if none is."""
        return self._recent[0].seq if self._recent else self.last_seq + 1

    def recent(self, from_seq: int) -> tuple[Entry, ...]:
        """Entries in memory from ``from_seq`` on, as many as one message takes."""
        start = from_seq - self.first_recent
        assert start >= 0
        taken: list[Entry] = []
        size, end = 0, min(start + self._tuning.append_entries_max, len(self._recent))
        for index in range(start, end):
            entry = self._recent[index]
            size += entry.size_bytes
            if taken and size > self._tuning.append_bytes_max:
                break
            taken.append(entry)
        return tuple(taken)

    def _drop_recent(self) -> None:
        while self._recent_bytes > self._tuning.recent_bytes_max and self._recent[0].seq <= self.durable:
            self._recent_bytes -= self._recent.popleft().size_bytes
