"""Group commit: from a batch of writes to durable, applied operations and one outcome each.

Lives here: the order of things within a group: operation ids, validation, resolving, preparing, log, sync,
apply, publish. Runs in the replica's one writer thread.
May not live here: queues, futures, the meaning of operations (``resolve``, ``apply``).

Invariants:
  C1  nothing is applied before the sync that makes it durable has returned;
  C2  a failed append or sync changes nothing that is seen, and the log is cut back before it is used again;
  C3  an operation that is durable but cannot be applied stops all further writes: memory and log differ.
"""

from __future__ import annotations

import errno
import weakref
from collections.abc import Callable, Sequence

import structlog
from msgspec import Struct

from node.replica.apply import Applier, Prepared
from node.replica.operation_ids import OperationIds
from node.replica.pending import PendingLookups
from node.replica.resolve import Resolution, check, depends_on_filter, resolve
from node.replica.view import View
from node.storage.wal import Wal, WalError
from protos.clock import Clock
from protos.errors import InsufficientStorage, ServiceError, VecraftError
from protos.operations import (
    AnyLogOperation,
    DeleteVectors,
    LogEntry,
    Noop,
    PointChange,
    UpdateVectors,
    encode_entry,
)

log = structlog.get_logger()

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class Write(Struct, frozen=True):
    """A client's change, or an operation that is already one (indexes, vector names)."""

    change: PointChange | None = None
    operation: AnyLogOperation | None = None
    operation_id: bytes = b""
    config_version: int = 0


class Done(Struct, frozen=True):
    """``error`` with a ``seq``: part of the change was done before a missing point."""

    seq: int | None
    error: VecraftError | None = None


class _Staged(Struct, frozen=True):
    position: int
    seq: int
    body: bytes
    prepared: Prepared
    error: VecraftError | None


class Committer:
    """``view`` is the last published one, ``views`` all that are still in use; ``failure`` says why the
    last write could not be done, if so."""

    def __init__(
        self,
        applier: Applier,
        wal: Wal,
        *,
        reopen_wal: Callable[[], Wal],
        operation_ids: OperationIds,
        clock: Clock,
    ) -> None:
        self.applier, self.wal, self.operation_ids = applier, wal, operation_ids
        self._reopen_wal, self._clock = reopen_wal, clock
        self._wal_usable = True
        self._stopped: VecraftError | None = None
        self.failure: str | None = None
        self.view: View = applier.view()
        self.views = weakref.WeakSet((self.view,))

    @property
    def stopped(self) -> bool:
        """Has memory parted from the log (C3)? Nothing of it may be stored then."""
        return self._stopped is not None

    def publish(self) -> None:
        self.view = self.applier.view()
        self.views.add(self.view)

    def commit(self, writes: Sequence[Write]) -> list[Done]:
        """Do ``writes`` in order; each succeeds or fails on its own, but for the disk's failures."""
        group = _Group(self.applier, lambda: self.view, len(writes))
        for position, write in enumerate(writes):
            if _needs_settled_state(write, group.lookups):
                self._flush(group)
            try:
                self._stage(group, position, write)
            except VecraftError as error:
                group.done[position] = Done(None, error)
            except Exception as cause:
                log.exception("write_not_prepared")
                group.done[position] = Done(None, ServiceError(f"{type(cause).__name__}: {cause}"))
            if write.operation is not None:
                self._flush(group)
        self._flush(group)
        return [done for done in group.done if done is not None]

    def close(self) -> None:
        self.wal.close()

    def _stage(self, group: _Group, position: int, write: Write) -> None:
        if self._stopped is not None:
            raise self._stopped
        known = self._first_seq(group, write.operation_id)
        if known is not None:
            group.repeats.append((position, known))
            return
        operation, error = self._resolve(group, write)
        if error is not None and isinstance(operation, Noop):
            raise error
        # A change done in part is not remembered by its id: a repeat must report what is missing, too.
        operation_id = b"" if error is not None else write.operation_id
        entry = LogEntry(operation, operation_id, write.config_version or self.applier.config_version)
        body = encode_entry(entry)
        group.stage(position, body, self._prepare(entry), error)

    def _first_seq(self, group: _Group, operation_id: bytes) -> int | None:
        if not operation_id:
            return None
        staged = group.seq_of.get(operation_id)
        return (
            self.operation_ids.seq_of(operation_id, now_ms=self._clock.unix_ms())
            if staged is None
            else staged
        )

    def _resolve(self, group: _Group, write: Write) -> Resolution:
        if write.operation is not None:
            return Resolution(write.operation)
        assert write.change is not None
        check(write.change, self.applier.dims)
        return resolve(write.change, group.lookups)

    def _prepare(self, entry: LogEntry) -> Prepared:
        mark = self.applier.segments.mark()
        try:
            return self.applier.prepare(entry)
        except Exception as cause:
            self.applier.segments.rollback(mark)
            if not isinstance(cause, OSError | InsufficientStorage):
                raise
            error = _storage_error(cause)
            self.failure = str(error)
            raise error from cause

    def _flush(self, group: _Group) -> None:
        """Log, sync, apply and publish what is staged."""
        if group.staged:
            try:
                self._log(group.staged)
            except (OSError, WalError, ValueError) as cause:
                self.applier.segments.rollback(group.mark)
                self._fail(group, _storage_error(cause))
            else:
                self._apply(group)
        for position, seq in group.repeats:
            error = group.failed.get(seq)
            group.done[position] = Done(None, error) if error else Done(seq)
        group.settle()

    def _log(self, staged: Sequence[_Staged]) -> None:
        if not self._wal_usable:
            self._recover_wal()
        mark = self.wal.mark()
        try:
            for one in staged:
                self.wal.append(self.applier.term, one.seq, one.body)
            self.wal.sync()
        except Exception:
            self._wal_usable = False
            try:  # at once, so that not even a crash brings back what is refused now
                self.wal.rollback_to(mark)
            except OSError:
                log.exception("log_rollback_failed", seq=mark)
            raise

    def _recover_wal(self) -> None:
        self.wal.close()
        self.wal = self._reopen_wal()
        self.wal.cut_after(self.applier.seq)
        self._wal_usable = True

    def _apply(self, group: _Group) -> None:
        try:
            self.applier.apply([(staged.seq, staged.prepared) for staged in group.staged])
            self.publish()
        except Exception as cause:
            log.exception("apply_failed", seq=group.staged[0].seq)
            self._stopped = ServiceError(f"operations are logged but could not be applied: {cause!r}")
            self._fail(group, self._stopped)
            return
        self.failure = None
        now_ms = self._clock.unix_ms()
        for staged in group.staged:
            self.operation_ids.remember(staged.prepared.entry.operation_id, staged.seq, now_ms=now_ms)
            group.done[staged.position] = Done(staged.seq, staged.error)

    def _fail(self, group: _Group, error: VecraftError) -> None:
        self.failure = str(error)
        log.error("writes_refused", error=str(error), operations=len(group.staged))
        for staged in group.staged:
            group.done[staged.position] = Done(None, error)
            group.failed[staged.seq] = error


class _Group:
    """What is between the queue and the disk. ``seq_of`` and ``failed`` are those of staged operations."""

    def __init__(self, applier: Applier, view: Callable[[], View], size: int) -> None:
        self._applier = applier
        self.done: list[Done | None] = [None] * size
        self.staged: list[_Staged] = []
        self.repeats: list[tuple[int, int]] = []
        self.seq_of: dict[bytes, int] = {}
        self.failed: dict[int, VecraftError] = {}
        self.lookups = PendingLookups(view)
        self.mark = applier.segments.mark()

    def stage(self, position: int, body: bytes, prepared: Prepared, error: VecraftError | None) -> None:
        seq = self._applier.seq + 1 + len(self.staged)
        self.staged.append(_Staged(position, seq, body, prepared, error))
        if prepared.entry.operation_id:
            self.seq_of[prepared.entry.operation_id] = seq
        self.lookups.foresee(prepared.entry.operation)

    def settle(self) -> None:
        self.staged.clear()
        self.repeats.clear()
        self.seq_of.clear()
        self.failed.clear()
        self.lookups.forget()
        self.mark = self._applier.segments.mark()


def _needs_settled_state(write: Write, lookups: PendingLookups) -> bool:
    """Does ``write`` need more of the state than which points exist?"""
    if write.change is None:
        return True
    if depends_on_filter(write.change):
        return True
    if isinstance(write.change, UpdateVectors | DeleteVectors):  # their other vectors move along
        return lookups.touched(write.change.ids or ())
    return False


def _storage_error(error: Exception) -> VecraftError:
    if isinstance(error, InsufficientStorage):
        return error
    if isinstance(error, OSError) and error.errno in _FULL_DISK:
        return InsufficientStorage(f"cannot write to disk: {error.strerror}")
    return ServiceError(f"cannot write to disk: {error}")
