"""Operation ids already answered, so that a repeated request changes nothing.

Lives here: the bounded memory of (operation id, seq) pairs and its form on disk.
May not live here: clocks (time is an argument), the log.

Invariants: at most ``OPERATION_IDS_MAX`` ids, oldest forgotten first; an id is forgotten at the latest
``OPERATION_ID_TTL_MS`` after it was remembered; an id never moves to a later seq.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

OPERATION_IDS_MAX = 20_000
OPERATION_ID_TTL_MS = 60 * 60 * 1000


class OperationIds:
    """Ids by age. ``now_ms`` is wall time, because the ids outlive the process."""

    def __init__(self, *, limit: int = OPERATION_IDS_MAX, ttl_ms: int = OPERATION_ID_TTL_MS) -> None:
        self._limit, self._ttl_ms = limit, ttl_ms
        self._seqs: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seqs)

    def seq_of(self, operation_id: bytes, *, now_ms: int) -> int | None:
        """The seq this id was first given, or None if it is empty, new or forgotten."""
        known = self._seqs.get(operation_id)
        if known is None or known[1] + self._ttl_ms < now_ms:
            return None
        return known[0]

    def remember(self, operation_id: bytes, seq: int, *, now_ms: int) -> None:
        if not operation_id or self.seq_of(operation_id, now_ms=now_ms) is not None:
            return
        self._seqs.pop(operation_id, None)
        self._seqs[operation_id] = (seq, now_ms)
        self._forget(now_ms)

    def dump(self) -> list[tuple[bytes, int, int]]:
        """(id, seq, unix ms), oldest first."""
        return [(operation_id, seq, at) for operation_id, (seq, at) in self._seqs.items()]

    def load(self, entries: Iterable[tuple[bytes, int, int]]) -> None:
        for operation_id, seq, at in entries:
            self.remember(operation_id, seq, now_ms=at)

    def _forget(self, now_ms: int) -> None:
        while self._seqs:
            seq_and_time = next(iter(self._seqs.values()))
            if len(self._seqs) <= self._limit and seq_and_time[1] + self._ttl_ms >= now_ms:
                return
            self._seqs.popitem(last=False)
