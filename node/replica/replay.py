"""Applying operations that are in the log already: on opening, and on a replica that follows another.

Lives here: which of them may be applied together. May not live here: where they come from.
"""

from __future__ import annotations

from node.replica.apply import Prepared
from node.replica.contents import Contents
from protos.operations import PutPoints, RemovePoints, decode_entry

GROUP_MAX, GROUP_BYTES_MAX = 256, 16 << 20  # operations applied at a time, and about their bytes


class Replay:
    """Applies in groups of operations that are independent of each other, and of one term."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._group: list[tuple[int, Prepared]] = []
        self._term = self._size = 0

    def add(self, term: int, seq: int, body: bytes) -> None:
        """Apply the operation ``body`` in the end. Raises: as ``Applier.prepare``, ``Contents.apply``."""
        entry = decode_entry(body)
        independent = isinstance(entry.operation, PutPoints | RemovePoints)
        full = len(self._group) == GROUP_MAX or self._size > GROUP_BYTES_MAX
        if full or not independent or term != self._term:
            self.flush()
        self.add_prepared(term, seq, self._contents.applier.prepare(entry), len(body))
        if not independent:
            self.flush()

    def add_prepared(self, term: int, seq: int, prepared: Prepared, size_bytes: int) -> None:
        if term != self._term:
            self.flush()
        self._term = term
        self._group.append((seq, prepared))
        self._size += size_bytes

    def flush(self) -> None:
        """Apply what was added."""
        if self._group:
            self._contents.apply(self._group, term=self._term)
        self._group, self._size = [], 0
