"""The state machine of the Raft log, on the Raft thread: envelopes in, applied changes out.

An envelope that this program does not know raises, which ends the member and with it the process: an
entry that some members apply and others skip would make them differ for good.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct

from consensus.raft.files import Files
from consensus.raft.founding import RaftFilesMissing
from consensus.raft.hardened import REGULAR
from consensus.raft.journal import DurableJournal
from consensus.raft.snapshots import SNAPSHOT
from consensus.raft.snapshots import decode as decode_snapshot
from consensus.replicated import FORMAT, Envelope, Replicated, decode, encode, step
from consensus.state import ClusterState
from consensus.transitions import Events

_envelopes = msgspec.msgpack.Decoder(Envelope)


class Applied(Struct, frozen=True):
    """One entry was applied at ``index``. ``cluster`` None: it left the cluster state as it was.

    ``events`` None: the entry came too late to have, or to know, a result.
    """

    index: int
    envelope: Envelope
    cluster: ClusterState | None
    events: Events | None


class Restored(Struct, frozen=True):
    """The state was replaced by a snapshot."""

    state: Replicated


class RaftMachine:
    """A ``consensus.raft.snapshots.StateMachine``. ``publish`` is called on the Raft thread, in order."""

    def __init__(self, publish: Callable[[Applied | Restored], None]) -> None:
        self._publish = publish
        self._state = Replicated(FORMAT, 0, ClusterState())

    @property
    def state(self) -> Replicated:
        return self._state

    @property
    def cluster(self) -> ClusterState:
        return self._state.cluster

    def apply(self, *, index: int, term: int, command: bytes) -> object:
        """Raises: UnknownFormat, msgspec.MsgspecError; fatal to the caller."""
        del term
        envelope = _envelopes.decode(command)
        before, done = self._state, step(self._state, index, envelope)
        self._state = done.state
        cluster = done.state.cluster if done.state.cluster is not before.cluster else None
        self._publish(Applied(index, envelope, cluster, done.events))
        return None

    def snapshot(self) -> bytes:
        return encode(self._state)

    def restore(self, data: bytes) -> None:
        self._state = decode(data)
        self._publish(Restored(self._state))


def encode_envelope(envelope: Envelope) -> bytes:
    return msgspec.msgpack.encode(envelope)


def recover(files: Files) -> Replicated:
    """The state that a stopped member's files add up to, with entries that may never have been agreed on.

    Only for a member that has lost the others for good. Raises: SnapshotDamaged, JournalDamaged,
    UnknownFormat, msgspec.MsgspecError; RaftFilesMissing if there is no state.
    """
    data = files.read(SNAPSHOT)
    if data is None:
        raise RaftFilesMissing(f"{SNAPSHOT} is missing: there is no state to go on with")
    machine, snapshot = RaftMachine(lambda _: None), decode_snapshot(data)
    machine.restore(snapshot.state)
    for command, index, term in DurableJournal(files)[:]:
        if index > snapshot.last[1] and command[:1] == REGULAR:
            machine.apply(index=index, term=term, command=command[1:])
    return machine.state
