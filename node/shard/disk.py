"""What a replica's machine asks of its files. Blocking; no event loop.

Lives here: the log lane (``persist``, ``cut``, ``trim``, and ``read`` beside it) and the state lane
(``stage``, ``discard``, ``apply``), each used by one thread at a time.
May not live here: in which order they are called (``life``).

Invariant: an operation that was staged here and comes to be logged is applied as it was prepared.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from node.replica.apply import Prepared
from node.replica.contents import Contents
from node.replica.identity import Identity, write_identity
from node.replica.replay import Replay
from node.replica.staging import Group, Stager, Write
from node.replication.effects import ReadLog
from node.replication.messages import Entry
from node.storage.wal import Wal, WalTrimmed


class Disk:
    """The files of one life of a replica."""

    def __init__(self, directory: Path, identity: Identity, contents: Contents, wal: Wal) -> None:
        self._directory, self._identity = directory, identity
        self._contents, self._wal = contents, wal
        self._stager = Stager(contents)
        self._staged: dict[int, tuple[bytes, Prepared]] = {}

    # --- the log lane -----------------------------------------------------------------------------------

    def persist(self, entries: Sequence[Entry]) -> None:
        """Append and sync. Raises: OSError, WalError: what is not durable now never will be."""
        for entry in entries:
            self._wal.append(entry.term, entry.seq, entry.body)
        self._wal.sync()

    def cut(self, after: int, term: int) -> None:
        """Remove the entries after ``after``, once it is durable that ``term`` was known here.

        Raises: OSError, WalError.
        """
        if term > self._identity.term:
            self._identity = replace(self._identity, term=term)
            write_identity(self._directory, self._identity)
        self._wal.cut_after(after)

    def trim(self, before_seq: int, keep_bytes: int) -> int:
        """Shorten the log; return its first seq. Raises: OSError."""
        self._wal.trim(before_seq, keep_bytes=keep_bytes)
        return self._wal.first_seq

    def close_log(self) -> None:
        self._wal.close()

    def read(self, effect: ReadLog, entries_max: int) -> tuple[Entry, ...]:
        """Durable entries for a follower; none: the log does not reach back. In any thread, but not during
        ``cut``. Raises: OSError, WalError.
        """
        found: list[Entry] = []
        size = 0
        try:
            for record in islice(self._wal.replay(effect.from_seq), entries_max):
                found.append(Entry(record.term, record.seq, record.body))
                size += found[-1].size_bytes
                if size >= effect.bytes_max:
                    break
        except WalTrimmed:
            return ()
        return tuple(found)

    # --- the state lane ---------------------------------------------------------------------------------

    def stage(self, writes: Sequence[Write], first: int) -> tuple[Group, int]:
        """See ``Stager.stage``."""
        group, following = self._stager.stage(writes, first)
        self._staged = {one.seq: (one.body, one.prepared) for one in group.staged}
        return group, following

    def discard(self, group: Group) -> None:
        """Nothing of ``group`` was logged."""
        group.roll_back()
        self._staged.clear()

    def forget_staged(self) -> None:
        """The log was cut: what was staged may not be what comes to be applied."""
        self._staged.clear()

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply durable entries, in order, and publish.

        Raises: what ``Applier.prepare`` raises, ServiceError.
        """
        replay = Replay(self._contents)
        for entry in entries:
            body, prepared = self._staged.pop(entry.seq, (b"", None))
            if prepared is not None and body is entry.body:
                replay.add_prepared(entry.term, entry.seq, prepared, len(entry.body))
            else:
                replay.add(entry.term, entry.seq, entry.body)
        replay.flush()

    def trim_terms(self, log_first_seq: int) -> None:
        """Forget terms that ended before the log begins."""
        applier = self._contents.applier
        applier.terms = applier.terms.trimmed(log_first_seq - 1)
