"""From a batch of writes to operations ready to be logged.

Lives here: the order of things before the log: operation ids, validation, resolving, preparing. Runs in the
replica's one writer thread.
May not live here: the log (``commit`` for a single node, ``node.shard`` in a cluster), queues, futures.

Between staging a group and applying it nothing else may change the replica: its rows lie in growing segments
already, and nobody but the group knows that they will count.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from msgspec import Struct

from node.replica.apply import Prepared
from node.replica.contents import Contents
from node.replica.ownership import admitted, check_cleaning, check_intake, ownership_is_stale
from node.replica.pending import PendingLookups
from node.replica.resolve import Resolution, check, depends_on_points, resolve
from protos.errors import InsufficientStorage, ServiceError, VecraftError
from protos.logger import get_logger
from protos.operations import (
    AnyLogOperation,
    DeleteVectors,
    LogEntry,
    Noop,
    PointChange,
    UpdateVectors,
    encode_entry,
)
from protos.shard import Intake

log = get_logger()

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class Write(Struct, frozen=True):
    """A client's change, or an operation that is already one (indexes, vector names).

    ``visible``: to be answered when searches see it, not only when it is durable. ``confirm_term``: and only
    after the cluster has confirmed the primary. ``answers_since``, ``former_ids``: as in
    ``UpdateRequest``. ``intake``: it
    brings copies from another shard. ``cleans``: it removes points that are not the shard's own.
    """

    change: PointChange | None = None
    operation: AnyLogOperation | None = None
    operation_id: bytes = b""
    config_version: int = 0
    visible: bool = True
    confirm_term: bool = False
    answers_since: int = 0
    former_ids: Sequence[bytes] = ()
    intake: Intake | None = None
    cleans: bool = False


class Done(Struct, frozen=True):
    """``error`` with a ``seq``: part of the change was done before a missing point."""

    seq: int | None
    error: VecraftError | None = None


class Staged(Struct, frozen=True):
    """``position`` is the write's in its batch."""

    position: int
    seq: int
    body: bytes
    prepared: Prepared
    error: VecraftError | None


class Group:
    """What is between the queue and the disk: writes staged together.

    ``failed`` are writes refused on their own, by position; ``repeats`` writes that were done before, with
    their seq. ``seq_of`` holds the operation ids of what is staged.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self.staged: list[Staged] = []
        self.repeats: list[tuple[int, int]] = []
        self.failed: dict[int, Done] = {}
        self.seq_of: dict[bytes, int] = {}
        self.lookups = PendingLookups(lambda: contents.view)
        self.mark = contents.applier.segments.mark()

    def stage(self, position: int, body: bytes, prepared: Prepared, error: VecraftError | None) -> None:
        seq = self._contents.applier.seq + 1 + len(self.staged)
        self.staged.append(Staged(position, seq, body, prepared, error))
        if prepared.entry.operation_id:
            self.seq_of[prepared.entry.operation_id] = seq
        self.lookups.foresee(prepared.entry.operation)

    def roll_back(self) -> None:
        """Forget the rows that were placed; nothing of the group was logged."""
        self._contents.applier.segments.rollback(self.mark)


class Stager:
    """``failure`` says why the last write could not be prepared, if the disk was the reason."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self.failure: str | None = None

    def stage(self, writes: Sequence[Write], first: int = 0) -> tuple[Group, int]:
        """Stage ``writes`` from position ``first`` on, as far as they can be resolved together.

        Returns: the group, and the position of the first write that is not in it: that one needs the state
        as the group leaves it.
        """
        group = Group(self._contents)
        for position in range(first, len(writes)):
            write = writes[position]
            if group.staged and _needs_settled_state(write, group.lookups):
                return group, position
            self._try(group, position, write)
            if write.operation is not None:  # such an operation is the last of its group
                return group, position + 1
        return group, len(writes)

    def _try(self, group: Group, position: int, write: Write) -> None:
        try:
            self._stage(group, position, write)
        except VecraftError as error:
            group.failed[position] = Done(None, error)
        except Exception as cause:
            log.exception("write_not_prepared")
            group.failed[position] = Done(None, ServiceError(f"{type(cause).__name__}: {cause}"))

    def _stage(self, group: Group, position: int, write: Write) -> None:
        if self._contents.parted is not None:
            raise self._contents.parted
        known = self._known(group, write)
        if known is not None:
            group.repeats.append((position, known))
            return
        operation, error = self._resolve(group, write)
        if error is not None and isinstance(operation, Noop):
            raise error
        # A change done in part is not remembered by its id: a repeat must report what is missing, too.
        operation_id = b"" if error is not None else write.operation_id
        version = write.config_version or self._contents.applier.config_version
        entry = LogEntry(operation, operation_id, version)
        body = encode_entry(entry)
        group.stage(position, body, self._prepare(entry), error)

    def _known(self, group: Group, write: Write) -> int | None:
        """The seq under which it was done before, here or where its points were then."""
        seqs = (self._first_seq(group, known) for known in (write.operation_id, *write.former_ids))
        return next((seq for seq in seqs if seq is not None), None)

    def _first_seq(self, group: Group, operation_id: bytes) -> int | None:
        if not operation_id:
            return None
        staged = group.seq_of.get(operation_id)
        if staged is not None:
            return staged
        return self._contents.operation_ids.seq_of(operation_id, now_ms=self._contents.clock.unix_ms())

    def _resolve(self, group: Group, write: Write) -> Resolution:
        applier = self._contents.applier
        if write.intake is not None:
            check_intake(applier.buckets, write.intake)
        if write.operation is not None:
            stale = ownership_is_stale(applier.buckets, write.operation)
            return Resolution(Noop() if stale else write.operation)
        change = write.change
        assert change is not None
        if write.cleans:
            check_cleaning(applier.buckets, change)
        elif write.intake is None:
            change = admitted(applier.buckets, change, write.answers_since)
        check(change, applier.shapes)
        return resolve(change, group.lookups)

    def _prepare(self, entry: LogEntry) -> Prepared:
        segments = self._contents.applier.segments
        mark = segments.mark()
        try:
            return self._contents.applier.prepare(entry)
        except Exception as cause:
            segments.rollback(mark)
            if not isinstance(cause, OSError | InsufficientStorage):
                raise
            error = storage_error(cause)
            self.failure = str(error)
            raise error from cause


def _needs_settled_state(write: Write, lookups: PendingLookups) -> bool:
    """Does ``write`` need more of the state than which points exist?"""
    if write.change is None:
        return True
    if depends_on_points(write.change):
        return True
    if isinstance(write.change, UpdateVectors | DeleteVectors):  # their other vectors move along
        return lookups.touched(write.change.ids or ())
    return False


def storage_error(error: Exception) -> VecraftError:
    """What a client hears of a failure of the disk."""
    if isinstance(error, InsufficientStorage):
        return error
    if isinstance(error, OSError) and error.errno in _FULL_DISK:
        return InsufficientStorage(f"cannot write to disk: {error.strerror}")
    return ServiceError(f"cannot write to disk: {error}")
