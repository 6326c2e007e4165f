"""The Raft log on disk: checksummed records, and the term and vote that must survive a restart.

Format of ``raft.log``: records of length, CRC-32C (over all that follows), index, term, command. Format of
``raft.meta``: CRC-32C, then the JSON of ``_Meta``. The log is only ever appended to, cut at its end, or
replaced as a whole.

A record that is cut short or has a wrong checksum ends the log if nothing valid follows: it was being
written when the node stopped. Followed by a valid record it is damage, and the node must not start.
"""

from __future__ import annotations

import struct
from typing import Any

import crc32c
import msgspec
from msgspec import Struct
from pysyncobj.journal import Journal

from consensus.raft.files import Files

LOG = "raft.log"
META = "raft.meta"
FORMAT = 1

Entry = tuple[bytes, int, int]  # command, index, term: the library's order

_HEADER = struct.Struct("<IIQQ")
_BODY = struct.Struct("<QQ")
_CRC = struct.Struct("<I")
_CRC_END = 8


class JournalDamaged(Exception):
    """The files hold damage that no crash explains; the node must be wiped and rejoin as a new one."""


class _Meta(Struct, frozen=True):
    format: int = FORMAT
    term: int = 0
    voted_for: str | None = None
    commit_index: int = 1


class DurableJournal(Journal):  # type: ignore[misc]
    """The library's journal interface over ``Files``.

    ``add`` and ``deleteEntriesFrom`` are durable after ``sync``; terms and votes at once.
    Raises: JournalDamaged on opening.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._meta = _read_meta(files)
        self._stored_commit_index = self._meta.commit_index
        self._entries, self._ends = _read_log(files)
        self._dirty = False

    def add(self, command: bytes, idx: int, term: int) -> None:
        record = encode_record((command, idx, term))
        self._files.append(LOG, record)
        self._entries.append((command, idx, term))
        self._ends.append(self._end + len(record))
        self._dirty = True

    def sync(self) -> None:
        if self._dirty:
            self._files.sync(LOG)
            self._dirty = False

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803
        if entryFrom < len(self._entries):
            del self._entries[entryFrom:]
            del self._ends[entryFrom:]
            self._files.truncate(LOG, self._end)
            self._dirty = True

    def deleteEntriesTo(self, entryTo: int) -> None:  # noqa: N802, N803
        self.replace(self._entries[entryTo:])

    def clear(self) -> None:
        self.deleteEntriesFrom(0)

    def replace(self, entries: list[Entry]) -> None:
        """Make ``entries`` the whole log, atomically."""
        records = [encode_record(entry) for entry in entries]
        self._files.replace(LOG, b"".join(records))
        self._entries = list(entries)
        self._ends = []
        for record in records:
            self._ends.append(self._end + len(record))
        self._dirty = False

    def __getitem__(self, item: Any) -> Any:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def _destroy(self) -> None:
        self.onOneSecondTimer()

    def onOneSecondTimer(self) -> None:  # noqa: N802
        """Keep the commit index, so that a restarted member knows what it knew without a leader."""
        if self._meta.commit_index != self._stored_commit_index:
            self.sync()
            self._write_meta()

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803
        # The leader counts its own copy towards the commit: it must be on disk by now.
        self.sync()
        self._meta = msgspec.structs.replace(self._meta, commit_index=raftCommitIndex)

    def getRaftCommitIndex(self) -> int:  # noqa: N802
        return min(self._meta.commit_index, self._entries[-1][1]) if self._entries else 1

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:  # noqa: N802, N803
        self._meta = msgspec.structs.replace(self._meta, term=term, voted_for=votedForNodeId)
        self._write_meta()

    def getCurrentTerm(self) -> int:  # noqa: N802
        return self._meta.term

    def getVotedForNodeId(self) -> str | None:  # noqa: N802
        return self._meta.voted_for

    def _write_meta(self) -> None:
        body = msgspec.json.encode(self._meta)
        self._files.replace(META, _CRC.pack(crc32c.crc32c(body)) + body)
        self._stored_commit_index = self._meta.commit_index

    @property
    def _end(self) -> int:
        return self._ends[-1] if self._ends else 0


def encode_record(entry: Entry) -> bytes:
    command, index, term = entry
    checked = _BODY.pack(index, term) + command
    return struct.pack("<II", len(command), crc32c.crc32c(checked)) + checked


_decoder = msgspec.json.Decoder(_Meta)


def _read_meta(files: Files) -> _Meta:
    data = files.read(META)
    if data is None:
        return _Meta()
    if len(data) < _CRC.size or _CRC.unpack_from(data)[0] != crc32c.crc32c(data[_CRC.size :]):
        raise JournalDamaged(f"{META}: the checksum does not match its content")
    meta = _decoder.decode(data[_CRC.size :])
    if meta.format != FORMAT:
        raise JournalDamaged(f"{META}: format {meta.format} is not known here (this program knows {FORMAT})")
    return meta


def _read_log(files: Files) -> tuple[list[Entry], list[int]]:
    data = files.read(LOG) or b""
    entries: list[Entry] = []
    ends: list[int] = []
    offset = 0
    while (record := _record_at(data, offset)) is not None:
        entry, offset = record
        entries.append(entry)
        ends.append(offset)
    if offset < len(data):
        if _valid_record_after(data, offset):
            raise JournalDamaged(f"{LOG}: a record at byte {offset} is damaged, and valid ones follow it")
        files.truncate(LOG, offset)
        files.sync(LOG)
    return entries, ends


def _record_at(data: bytes, offset: int) -> tuple[Entry, int] | None:
    if offset + _HEADER.size > len(data):
        return None
    length, checksum, index, term = _HEADER.unpack_from(data, offset)
    end = offset + _HEADER.size + length
    if end > len(data) or crc32c.crc32c(data[offset + _CRC_END : end]) != checksum:
        return None
    return (data[offset + _HEADER.size : end], index, term), end


def _valid_record_after(data: bytes, offset: int) -> bool:
    # An index is at least 1, so a run of zeros, whose checksum would match, is no record.
    return any(
        record is not None and record[0][1] > 0
        for start in range(offset + 1, len(data) - _HEADER.size + 1)
        for record in [_record_at(data, start)]
    )
