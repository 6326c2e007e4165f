"""The metadata log of a node that runs alone: commands in a local file, each durable before applied.

``<directory>/snapshot`` holds this peer's id and the state after a number of commands, ``log`` the
commands since. A snapshot is written when the log has grown to ``compact_after`` commands, by writing
beside and renaming, and the log starts anew; a crash in between leaves commands in the log that the
snapshot already holds, which their index tells. Format: ``consensus.log_format``.

Invariants: ``state`` never shows what is not durable; a file that failed to take a command is cut back
to its last intact record, and if even that fails the log refuses every later command until reopened.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from consensus import log_format
from consensus.commands import Command, decode_command, encode_command
from consensus.identity import random_peer_id
from consensus.log import Subscriber
from consensus.log_format import HEADER_BYTES, MetadataCorrupted
from consensus.state import FEATURE_LEVEL, ClusterState, Peer, founding_state
from consensus.subscribers import Subscribers
from consensus.transitions import Events, apply, rejection
from protos.errors import InsufficientStorage, ServiceError
from protos.files import sync_directory
from protos.logger import get_logger

COMPACT_AFTER = 1024

_SNAPSHOT = "snapshot"
_LOG = "log"
_SNAPSHOT_MAGIC = b"VCMSNP"
_LOG_MAGIC = b"VCMLOG"
_INDEX_BYTES = 8

_log = get_logger(__name__)


class _Snapshot(Struct, frozen=True):
    """``index``: commands applied so far."""

    peer_id: int
    index: int
    state: ClusterState


class LocalLog:
    """A ``consensus.log.MetadataLog``. Use ``LocalLog.open``."""

    def __init__(self, directory: Path, snapshot: _Snapshot, *, compact_after: int) -> None:
        self._directory = directory
        self._peer_id = snapshot.peer_id
        self._state = snapshot.state
        self._index = snapshot.index
        self._logged = 0  # commands in the log file
        self._compact_after = compact_after
        self._end = HEADER_BYTES  # where the last intact record ends
        self._file = -1
        self._broken: str | None = None
        self._turn = asyncio.Lock()
        self._proposals: set[asyncio.Task[Events]] = set()
        self._subscribers = Subscribers[ClusterState, Events]()

    @classmethod
    def open(
        cls, directory: Path, *, peer_id: int | None = None, compact_after: int = COMPACT_AFTER
    ) -> LocalLog:
        """Open or found the log in ``directory``. ``peer_id`` counts only when it is founded.

        Raises: MetadataCorrupted if it is damaged beyond a torn tail; OSError.
        """
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / _SNAPSHOT
        if not path.exists():
            _refuse_log_without_snapshot(directory)
            own = peer_id if peer_id is not None else random_peer_id()
            _write_snapshot(directory, _Snapshot(own, 0, founding_state(Peer(own))))
        log = cls(directory, _read_snapshot(path), compact_after=compact_after)
        log._open_log()
        return log

    @property
    def peer_id(self) -> int:
        return self._peer_id

    @property
    def state(self) -> ClusterState:
        return self._state

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        return self._subscribers.add(subscriber)

    async def propose(self, command: Command) -> Events:
        """See ``MetadataLog.propose``. A cancelled caller leaves the command to complete."""
        task = asyncio.create_task(self._propose(command))
        self._proposals.add(task)
        task.add_done_callback(self._proposals.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        async with self._turn:
            self._broken = "it is closed"
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    # --- commands -----------------------------------------------------------------------------------

    async def _propose(self, command: Command) -> Events:
        async with self._turn:
            state, events = apply(self._state, command)
            if state is not self._state:
                await self._persist(encode_command(command))
                self._state = state
                self._subscribers.tell(state, events)
                await self._compact_if_due()
        refused = rejection(events)
        if refused is not None:
            raise refused.error
        return events

    async def _persist(self, body: bytes) -> None:
        if self._broken is not None:
            raise ServiceError(f"The metadata log takes no commands: {self._broken}")
        record = log_format.pack_record((self._index + 1).to_bytes(_INDEX_BYTES, "little") + body)
        try:
            await asyncio.to_thread(self._append, record)
        except OSError as error:
            _log.error("metadata_append_failed", error=str(error), usable=self._broken is None)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise InsufficientStorage(f"The metadata log cannot grow: {error}") from error
            raise ServiceError(f"The metadata log failed: {error}") from error
        self._index += 1
        self._logged += 1

    def _append(self, record: bytes) -> None:
        """Write and sync one record; on failure nothing of it stays. Runs in a worker thread."""
        try:
            _write_all(self._file, record, self._end)
            os.fdatasync(self._file)
        except OSError:
            self._cut_back()
            raise
        self._end += len(record)

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
        except OSError as error:
            self._broken = f"a failed write could not be undone ({error})"

    # --- files --------------------------------------------------------------------------------------

    async def _compact_if_due(self) -> None:
        if self._logged < self._compact_after:
            return
        try:
            await asyncio.to_thread(self._compact)
        except OSError as error:  # the log is complete without it; the next command tries again
            _log.warning("metadata_compaction_failed", error=str(error))

    def _compact(self) -> None:
        """Runs in a worker thread. Until the new log has taken the old one's name nothing has changed."""
        _write_snapshot(self._directory, _Snapshot(self._peer_id, self._index, self._state))
        fresh = _write_beside(self._directory / _LOG, log_format.header(_LOG_MAGIC))
        os.close(self._file)
        self._file, self._end, self._logged = fresh, HEADER_BYTES, 0
        try:
            sync_directory(self._directory)
        except OSError as error:
            self._broken = f"a new log file could not be made durable ({error})"
            raise

    def _open_log(self) -> None:
        path = self._directory / _LOG
        if not path.exists():
            os.close(_write_beside(path, log_format.header(_LOG_MAGIC)))
            sync_directory(self._directory)
        data = path.read_bytes()
        log_format.check_header(data, _LOG_MAGIC, path)
        for end, body in log_format.read_records(data, path):
            self._replay(path, self._end, body)
            self._end = end
        self._file = os.open(path, os.O_RDWR)
        if self._end < len(data):
            _log.warning("metadata_torn_tail_cut", path=str(path), bytes=len(data) - self._end)
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)

    def _replay(self, path: Path, offset: int, body: bytes) -> None:
        self._logged += 1
        index = int.from_bytes(body[:_INDEX_BYTES], "little")
        if index <= self._index:
            return  # in the snapshot
        if index != self._index + 1:
            raise MetadataCorrupted(path, offset, f"command {self._index + 1} is missing")
        try:
            command = decode_command(body[_INDEX_BYTES:])
        except msgspec.MsgspecError as error:
            raise MetadataCorrupted(path, offset, f"not a command this program knows: {error}") from error
        self._state, _ = apply(self._state, command)
        self._index = index


def _refuse_log_without_snapshot(directory: Path) -> None:
    if (directory / _LOG).exists():
        raise MetadataCorrupted(directory / _SNAPSHOT, 0, "the file is missing, though there is a log")


_decoder = msgspec.msgpack.Decoder(_Snapshot)


def _read_snapshot(path: Path) -> _Snapshot:
    data = path.read_bytes()
    log_format.check_header(data, _SNAPSHOT_MAGIC, path)
    bodies = [body for _, body in log_format.read_records(data, path)]
    if len(bodies) != 1:
        raise MetadataCorrupted(path, HEADER_BYTES, "bad checksum; restore the file from a backup")
    try:
        snapshot = _decoder.decode(bodies[0])
    except msgspec.MsgspecError as error:
        raise MetadataCorrupted(path, HEADER_BYTES, f"not a state this program knows: {error}") from error
    level = snapshot.state.feature_level
    if level > FEATURE_LEVEL:
        text = f"feature level {level} was in use; this program knows {FEATURE_LEVEL}"
        raise MetadataCorrupted(path, HEADER_BYTES, text)
    return snapshot


def _write_snapshot(directory: Path, snapshot: _Snapshot) -> None:
    record = log_format.pack_record(msgspec.msgpack.encode(snapshot))
    os.close(_write_beside(directory / _SNAPSHOT, log_format.header(_SNAPSHOT_MAGIC) + record))
    sync_directory(directory)


def _write_beside(path: Path, data: bytes) -> int:
    """Replace a file as a whole: written and synced under another name, then renamed.

    Returns: the new file, open; its directory is still to be synced.
    """
    beside = path.with_suffix(".new")
    file = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        _write_all(file, data, 0)
        os.fsync(file)
        beside.replace(path)
    except OSError:
        os.close(file)
        raise
    return file


def _write_all(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
