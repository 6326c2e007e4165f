"""Snapshots of the state machine: written, read, and sent to members that are too far behind.

Stands in for the library's serializer (forked children, pickle, no sync, no checksum). Format of
``raft.snapshot``: CRC-32C, then msgpack of ``Snapshot``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import crc32c
import msgspec
from msgspec import Struct
from pysyncobj.config import SERIALIZER_STATE

from consensus.raft.files import Files
from consensus.raft.journal import Entry

SNAPSHOT = "raft.snapshot"
FORMAT = 1
CHUNK_BYTES = 256 * 1024

_CRC = struct.Struct("<I")
Chunk = tuple[bytes, bool, bool]  # data, first, last: the library's order


class SnapshotDamaged(Exception):
    """A snapshot does not match its checksum; starting without it would be starting empty."""


class StateMachine(Protocol):
    def apply(self, *, index: int, term: int, command: bytes) -> object:
        """Total: an error is a value. The result goes to whoever proposed the command."""
        ...

    def snapshot(self) -> bytes: ...

    def restore(self, data: bytes) -> None: ...


class Snapshot(Struct, frozen=True, array_like=True):
    """``last`` is the last entry in ``state``, ``previous`` the one before it; ``members`` as of ``last``."""

    format: int
    state: bytes
    last: Entry
    previous: Entry
    members: list[str]


class Snapshots:
    """The library's serializer interface, over ``Files`` and a ``StateMachine``.

    ``members_at(index)`` are the members as the log up to there says: what the library hands over would
    hold changes that are not committed, and may never be. ``may_send_more(node)`` holds chunks back.
    """

    def __init__(
        self,
        files: Files,
        machine: StateMachine,
        *,
        members_at: Callable[[int], Iterable[str]],
        may_send_more: Callable[[Any], bool] = lambda _: True,
    ) -> None:
        self._files = files
        self._machine = machine
        self._members_at = members_at
        self._may_send_more = may_send_more
        self._written: int | None = None
        self._outgoing: dict[Any, tuple[bytes, int]] = {}
        self._incoming: bytearray | None = None

    def load(self) -> Snapshot | None:
        """Raises: SnapshotDamaged."""
        data = self._files.read(SNAPSHOT)
        return None if data is None else decode(data)

    # --- what the library calls -------------------------------------------------------------------

    def checkSerializing(self) -> tuple[int, int | None]:  # noqa: N802
        if self._written is None:
            return SERIALIZER_STATE.NOT_SERIALIZING, None
        written, self._written = self._written, None
        return SERIALIZER_STATE.SUCCESS, written

    def serialize(self, data: tuple[Any, Entry, Entry, set[Any]], id: int) -> None:
        _, last, previous, _ = data
        ids = sorted(self._members_at(last[1]))
        snapshot = Snapshot(FORMAT, self._machine.snapshot(), last, previous, ids)
        self._files.replace(SNAPSHOT, encode(snapshot))
        self._outgoing.clear()
        self._written = id

    def getTransmissionData(self, transmissionID: Any) -> Chunk | None:  # noqa: N802, N803
        if not self._may_send_more(transmissionID):
            return None  # a heartbeat goes out in its place; the transmission goes on later
        if transmissionID not in self._outgoing:
            data = self._files.read(SNAPSHOT)
            if data is None:
                return None
            self._outgoing[transmissionID] = (data, 0)
        data, sent = self._outgoing[transmissionID]
        chunk = data[sent : sent + CHUNK_BYTES]
        self._outgoing[transmissionID] = (data, sent + len(chunk))
        if not chunk:
            del self._outgoing[transmissionID]
        return chunk, sent == 0, not chunk

    def cancelTransmisstion(self, id: Any) -> None:  # noqa: N802
        self._outgoing.pop(id, None)

    # --- receiving --------------------------------------------------------------------------------

    def receive(self, chunk: Chunk) -> Snapshot | None:
        """Take the next chunk; the whole snapshot with the last one, once its checksum is right."""
        data, first, last = chunk
        if first:
            self._incoming = bytearray()
        if self._incoming is None:
            return None
        self._incoming += data
        if not last:
            return None
        received, self._incoming = bytes(self._incoming), None
        try:
            return decode(received)
        except SnapshotDamaged:
            return None  # chunks went missing on the way; the leader sends it again

    def keep(self, snapshot: Snapshot) -> None:
        """Make a received snapshot this node's own."""
        self._files.replace(SNAPSHOT, encode(snapshot))
        self._outgoing.clear()


def encode(snapshot: Snapshot) -> bytes:
    body = msgspec.msgpack.encode(snapshot)
    return _CRC.pack(crc32c.crc32c(body)) + body


_decoder = msgspec.msgpack.Decoder(Snapshot)


def decode(data: bytes) -> Snapshot:
    """Raises: SnapshotDamaged."""
    if len(data) < _CRC.size or _CRC.unpack_from(data)[0] != crc32c.crc32c(data[_CRC.size :]):
        raise SnapshotDamaged("the snapshot does not match its checksum")
    snapshot = _decoder.decode(data[_CRC.size :])
    if snapshot.format != FORMAT:
        raise SnapshotDamaged(
            f"snapshot format {snapshot.format} is not known here (this program knows {FORMAT})"
        )
    return snapshot
