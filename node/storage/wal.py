"""The log of one shard replica: records of (term, seq, body), durable once ``sync`` returns.

Lives here: appending with group commit, rollback of what is not synced, replay, trimming at the front
and cutting at the back. The bytes are ``wal_format``'s. May not live here: what a body means.

Records go to files ``<seq of the first record>.wal``; a record lies in one file, and a group (what one
sync covers) does too, so a new file begins only when everything before it is durable. Hence only the
last file can have a torn tail.

Invariants:
  W1  seq grows by exactly one per record, term never falls;
  W2  a record that ``sync`` covered is replayed unchanged, or ``WalCorrupted`` says which one is not;
  W3  a failed append or sync leaves the file as it was before, or the log refuses further use (after
      a failed fdatasync the kernel may have dropped the pages, so trying again proves nothing).

One thread writes (append, sync, rollback_to, trim, cut_after); ``replay`` may run in others, except
during ``cut_after``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from node.measures import COMMIT_OPERATIONS, WAL_SYNC_FAILURES, WAL_SYNC_SECONDS
from node.storage.wal_format import (
    BODY_BYTES_MAX,
    FILE_HEADER_BYTES,
    BadFrame,
    FileHeader,
    WalCorrupted,
    WalError,
    WalFormatUnknown,
    file_header,
    frame_header,
    read_file_header,
    read_frames,
    synced_claim,
)
from protos.files import remove_synced, replace_synced, sync_directory, write_all

__all__ = ["Wal", "WalCorrupted", "WalError", "WalFormatUnknown", "WalRecord", "WalTrimmed"]

BUFFER_BYTES_MAX = 1 << 20
NEEDLESS_BYTES_MAX = 4 << 20  # of records that nobody needs, in the file that is written
EMPTY = -1  # ``last_seq`` of a log that never held a record


class WalTrimmed(WalError):
    """A replay was asked from a record that the log no longer holds."""

    def __init__(self, from_seq: int, first_seq: int) -> None:
        self.from_seq, self.first_seq = from_seq, first_seq
        super().__init__(f"the log begins at seq {first_seq}, seq {from_seq} was asked for")


class WalRecord(NamedTuple):
    term: int
    seq: int
    body: bytes


class _LogFile(NamedTuple):
    base_seq: int
    path: Path


class _Unsynced(NamedTuple):
    """The state before an unsynced record: its byte position, and the term of its predecessor."""

    position: int
    term: int


class _Tail(NamedTuple):
    """Where the good part of a file ends, its last record, and whether a mark closes it (or nothing
    is there that needs one)."""

    end: int
    seq: int
    term: int
    marked: bool


def _find_tail(stream: BinaryIO, path: Path, header: FileHeader, until: int | None) -> _Tail:
    """Raises: WalCorrupted if the first bad frame was synced (``wal_format`` tells how that shows)."""
    tail = _Tail(FILE_HEADER_BYTES, header.base_seq - 1, header.base_term, True)
    try:
        for frame, _ in read_frames(stream, path, header):
            if until is not None and frame.seq > until:
                break
            tail = _Tail(frame.end, frame.seq, frame.term, frame.is_mark)
    except BadFrame as bad:
        if synced_claim(stream, bad.offset, header.seed) > bad.offset:
            raise WalCorrupted(path, bad.offset, tail.seq + 1, bad.reason) from bad
    return tail


class Wal:
    """See the module. Use ``open``."""

    def __init__(self, directory: Path, capacity_bytes: int, files: list[_LogFile]) -> None:
        self._directory, self._capacity_bytes, self._files = directory, capacity_bytes, files
        self._fd = -1
        self._seed = 0
        self._last_seq, self._last_term = EMPTY, 0
        self._written = 0  # bytes of the last file
        self._synced = 0  # of these, on disk for certain
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._unsynced: list[_Unsynced] = []
        self._broken = False

    @classmethod
    def open(cls, directory: Path, *, capacity_mb: int = 32) -> Wal:
        """Open the log, creating the directory if need be, and cut a torn tail.

        Reads and checks the last file only, earlier ones when they are replayed.
        Raises: WalCorrupted, WalFormatUnknown, OSError.
        """
        if not directory.exists():
            directory.mkdir(parents=True)
            sync_directory(directory.parent)
        for draft in directory.glob("*.tmp"):
            draft.unlink()
        files = sorted(_LogFile(int(path.stem), path) for path in directory.glob("[0-9]*.wal"))
        wal = cls(directory, capacity_mb << 20, files)
        if files:
            wal._open_last()
        return wal

    @classmethod
    def begin_after(cls, directory: Path, seq: int, term: int, *, capacity_mb: int = 32) -> Wal:
        """Create a log whose first record is to be ``seq`` + 1, for a replica that has all before from
        elsewhere; ``term`` is that of record ``seq`` (0 if ``seq`` is -1). Durable on return.

        Raises: FileExistsError if there is a log in ``directory`` already; OSError.
        """
        if seq < EMPTY or term < 0:
            raise ValueError(f"a log cannot begin after seq {seq} of term {term}")
        wal = cls.open(directory, capacity_mb=capacity_mb)
        if wal._files:
            wal.close()
            raise FileExistsError(errno.EEXIST, "there is a log already", str(directory))
        wal._last_term = term
        wal._start_file(seq + 1)
        return wal

    @property
    def last_seq(self) -> int:
        """Seq of the last record appended, synced or not; -1 if there never was one."""
        return self._last_seq

    @property
    def last_term(self) -> int:
        """Term of that record; 0 if there never was one."""
        return self._last_term

    @property
    def first_seq(self) -> int:
        """Seq of the oldest record kept; ``last_seq + 1`` if none is."""
        return self._files[0].base_seq if self._files else self._last_seq + 1

    @property
    def synced_seq(self) -> int:
        """Seq of the last durable record."""
        return self._last_seq - len(self._unsynced)

    @property
    def size_bytes(self) -> int:
        """Bytes in files and not yet written."""
        older = sum(file.path.stat().st_size for file in self._files[:-1])
        return older + self._position

    # --- writing ---------------------------------------------------------------------------------

    def append(self, term: int, seq: int, body: bytes) -> None:
        """Add a record to the current group; only ``sync`` makes it durable. ``body`` is not empty.

        Raises: OSError (no space, ...): the group has failed, ``rollback_to`` where it began.
        """
        self._require_usable()
        if not 0 < len(body) <= BODY_BYTES_MAX:
            raise ValueError(f"a record's body has 1 to {BODY_BYTES_MAX} bytes, not {len(body)}")
        if (self._files and seq != self._last_seq + 1) or seq < 0 or term < self._last_term:
            after = f"seq {self._last_seq} of term {self._last_term}"
            raise ValueError(f"seq {seq} of term {term} does not continue {after}")
        if not self._files or (not self._unsynced and self._is_full):
            self._start_file(seq)
        self._unsynced.append(_Unsynced(self._position, self._last_term))
        header = frame_header(self._seed, term, seq, self._synced, body)
        self._buffer += (header, body)
        self._buffered += len(header) + len(body)
        self._last_seq, self._last_term = seq, term
        if self._buffered > BUFFER_BYTES_MAX:
            self._flush()

    def sync(self) -> None:
        """Make every appended record durable: one write (more for big groups), one fdatasync.

        Raises: OSError: none of the group may be acknowledged; ``rollback_to`` where it began. If it
        was the disk that failed, the log is of no further use until it is opened again.
        """
        self._require_usable()
        if not self._unsynced:
            return
        self._flush()
        started_s = time.perf_counter()
        try:
            os.fdatasync(self._fd)
        except OSError:
            self._broken = True
            WAL_SYNC_FAILURES.inc()
            raise
        WAL_SYNC_SECONDS.observe(time.perf_counter() - started_s)
        COMMIT_OPERATIONS.observe(len(self._unsynced))
        self._unsynced.clear()
        self._synced = self._written
        self._write_mark()

    def mark(self) -> int:
        """Return what ``rollback_to`` takes to come back to this moment (it is ``last_seq``)."""
        return self._last_seq

    def rollback_to(self, mark: int) -> None:
        """Drop the records appended since ``mark``.

        Raises: ValueError if a record after ``mark`` is synced; OSError if the file cannot be put
        back, and the log is of no further use then.
        """
        if self.first_seq <= self.synced_seq and mark < self.synced_seq:
            raise ValueError(f"records after seq {mark} are synced, up to seq {self.synced_seq}")
        keep = max(mark - self.synced_seq, 0)
        if keep < len(self._unsynced):
            self._drop_unsynced(keep)

    def _drop_unsynced(self, keep: int) -> None:
        target = self._unsynced[keep]
        if target.position < self._written:
            self._cut_file(target.position)
            self._drop_buffer()
        while self._position > target.position:
            self._buffered -= len(self._buffer.pop())
        self._last_seq -= len(self._unsynced) - keep
        self._last_term = target.term
        del self._unsynced[keep:]

    @property
    def _position(self) -> int:
        """Where the next frame goes in the last file."""
        return self._written + self._buffered

    @property
    def _is_full(self) -> bool:
        """A file without a record takes one, whatever its size: the next file would have its name."""
        return self._written >= self._capacity_bytes and self._last_seq >= self._files[-1].base_seq

    def _require_usable(self) -> None:
        if self._broken:
            raise OSError(errno.EIO, "the log failed to write or sync and must be opened again")

    def _flush(self) -> None:
        """Write the buffer, all or nothing (what a failed write left behind is cut)."""
        try:
            write_all(self._fd, self._buffer)
        except OSError:
            with contextlib.suppress(OSError):
                self._cut_file(self._written)
            raise
        self._written += self._buffered
        self._drop_buffer()

    def _write_mark(self) -> None:
        """Say in the file that all before is synced. It only adds protection: failing is no error."""
        mark = frame_header(self._seed, self._last_term, self._last_seq, self._synced, b"")
        try:
            write_all(self._fd, [mark])
            self._written += len(mark)
        except OSError:
            with contextlib.suppress(OSError):
                self._cut_file(self._written)

    def _cut_file(self, position: int) -> None:
        try:
            os.ftruncate(self._fd, position)
        except OSError:
            self._broken = True
            raise
        self._written = position

    def _drop_buffer(self) -> None:
        self._buffer.clear()
        self._buffered = 0

    def _start_file(self, base_seq: int) -> None:
        if self._fd >= 0:
            os.fdatasync(self._fd)  # the last mark: a file that is not the last one has no torn tail
        path = self._directory / f"{base_seq:020d}.wal"
        content, seed = file_header(base_seq, self._last_term)
        replace_synced(path, content)
        self._open_for_append(path, seed)
        self._files.append(_LogFile(base_seq, path))
        self._last_seq = base_seq - 1
        self._written = self._synced = len(content)

    def _open_for_append(self, path: Path, seed: int) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._seed = fd, seed

    def _open_last(self, until: int | None = None) -> None:
        """Continue the last file after its last good record, or after ``until``; cut the rest.

        What is kept may be in the system's cache only (the process died before its sync), so it is
        synced before anyone relies on it.
        """
        file = self._files[-1]
        with file.path.open("rb") as stream:
            header = read_file_header(stream, file.path)
            tail = _find_tail(stream, file.path, header, until)
        self._open_for_append(file.path, header.seed)
        self._cut_file(tail.end)
        os.fdatasync(self._fd)
        self._synced, self._last_seq, self._last_term = tail.end, tail.seq, tail.term
        if not tail.marked:
            self._write_mark()

    # --- the front and the back ------------------------------------------------------------------

    def trim(self, before_seq: int, *, keep_bytes: int = 0) -> None:
        """Remove the files that hold only records before ``before_seq``; a long last one is ended for that.

        Of the others the newest are kept all the same until they are ``keep_bytes`` (at most one file
        more than that), so that another replica can be brought up from them. Raises: OSError.
        """
        if not keep_bytes and self._is_needless(before_seq):
            self._start_file(self._last_seq + 1)
        needless = bisect_right(self._files, before_seq, key=lambda file: file.base_seq) - 1
        kept = sum(file.path.stat().st_size for file in self._files[:-1]) if keep_bytes else 0
        for file in self._files[: max(needless, 0)]:
            kept -= file.path.stat().st_size if keep_bytes else 0
            if kept < keep_bytes:
                return
            remove_synced(file.path)
            self._files.remove(file)

    def _is_needless(self, before_seq: int) -> bool:
        """Is the last file worth ending, since it holds only records before ``before_seq``?"""
        idle = not (self._broken or self._unsynced)
        return idle and self._written > NEEDLESS_BYTES_MAX and self._last_seq < before_seq

    def cut_after(self, seq: int) -> None:
        """Remove, durably, every record after ``seq`` (a tail that the primary does not have).

        Interrupted, it leaves a log that ends somewhere after ``seq``; repeat it.
        Raises: ValueError if records are unsynced, or ``seq`` is before ``first_seq - 1``;
        WalCorrupted, OSError.
        """
        self._require_usable()
        if self._unsynced:
            raise ValueError("only a synced log can be cut")
        if seq < self.first_seq - 1:
            raise ValueError(f"cannot cut after seq {seq}: the log begins at seq {self.first_seq}")
        if seq >= self._last_seq:
            return
        holder = max(bisect_right(self._files, seq, key=lambda file: file.base_seq) - 1, 0)
        while len(self._files) > holder + 1:
            remove_synced(self._files[-1].path)
            del self._files[-1]
        self._open_last(until=seq)

    def close(self) -> None:
        """Release the file. Unsynced records are dropped: nobody was told they exist."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._drop_buffer()
        self._broken = True

    # --- reading ---------------------------------------------------------------------------------

    def replay(self, from_seq: int) -> Iterator[WalRecord]:
        """Yield the synced records from ``from_seq`` on, one in memory at a time.

        Records synced after the call are not included.
        Raises: WalTrimmed, WalCorrupted, WalFormatUnknown, OSError.
        """
        if from_seq < self.first_seq and self._files:
            raise WalTrimmed(from_seq, self.first_seq)
        return self._replay(from_seq, self.synced_seq, tuple(self._files))

    def _replay(self, from_seq: int, until: int, files: tuple[_LogFile, ...]) -> Iterator[WalRecord]:
        ends = [file.base_seq - 1 for file in files[1:]] + [until]
        for file, end in zip(files, ends):
            if end >= max(from_seq, file.base_seq):
                yield from self._replay_file(file, from_seq, end)

    def _replay_file(self, file: _LogFile, from_seq: int, end: int) -> Iterator[WalRecord]:
        seq, offset, reason = file.base_seq - 1, FILE_HEADER_BYTES, "records are missing at its end"
        try:
            with file.path.open("rb") as stream:
                header = read_file_header(stream, file.path)
                for frame, body in read_frames(stream, file.path, header):
                    seq, offset = frame.seq, frame.end
                    if seq >= from_seq and not frame.is_mark:
                        yield WalRecord(frame.term, seq, body)
                    if seq == end:
                        return
        except BadFrame as bad:
            offset, reason = bad.offset, bad.reason
        except FileNotFoundError:
            raise WalTrimmed(from_seq, self.first_seq) from None
        raise WalCorrupted(file.path, offset, seq + 1, reason)
