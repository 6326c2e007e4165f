"""Group commit on a single node: from a batch of writes to durable, applied operations and one outcome each.

Lives here: staged operations into the log, one sync for all of them, then applying; what a failed disk leaves
behind. Runs in the replica's one writer thread.
May not live here: what comes before the log (``staging``), queues, futures. In a cluster it is ``node.shard``
that logs.

Invariants:
  C1  nothing is applied before the sync that makes it durable has returned;
  C2  a failed append or sync changes nothing that is seen, and the log is cut back before it is used again;
  C3  an operation that is durable but cannot be applied stops all further writes: memory and log differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.replica.contents import Contents
from node.replica.staging import Done, Group, Staged, Stager, Write, storage_error
from node.storage.wal import Wal, WalError
from protos.errors import VecraftError
from protos.logger import get_logger

log = get_logger()


class Committer:
    """``failure`` says why the last write could not be done, if so. ``term`` stamps what is logged."""

    def __init__(self, contents: Contents, wal: Wal, *, reopen_wal: Callable[[], Wal], term: int) -> None:
        self.contents, self.wal = contents, wal
        self._term = term
        self._reopen_wal = reopen_wal
        self._wal_usable = True
        self._stager = Stager(contents)
        self._write_failure: str | None = None

    @property
    def failure(self) -> str | None:
        return self._write_failure or self._stager.failure

    def commit(self, writes: Sequence[Write]) -> list[Done]:
        """Do ``writes`` in order; each succeeds or fails on its own, but for the disk's failures."""
        done: dict[int, Done] = {}
        position = 0
        while position < len(writes):
            group, position = self._stager.stage(writes, position)
            done.update(group.failed)
            done.update(self._flush(group))
        return [done[position] for position in range(len(writes))]

    def close(self) -> None:
        self.wal.close()

    def _flush(self, group: Group) -> dict[int, Done]:
        """Log, sync, apply and publish what is staged."""
        failure: VecraftError | None = None
        if group.staged:
            try:
                self._log(group.staged)
            except (OSError, WalError, ValueError) as cause:
                group.roll_back()
                failure = self._failed(group, storage_error(cause))
            else:
                failure = self._apply(group)
        done = {one.position: Done(one.seq, one.error) for one in group.staged}
        if failure is not None:
            done = {one.position: Done(None, failure) for one in group.staged}
        first = group.staged[0].seq if group.staged else self.contents.applier.seq + 1
        for position, seq in group.repeats:
            lost = failure is not None and seq >= first
            done[position] = Done(None, failure) if lost else Done(seq)
        return done

    def _log(self, staged: Sequence[Staged]) -> None:
        if not self._wal_usable:
            self._recover_wal()
        mark = self.wal.mark()
        try:
            for one in staged:
                self.wal.append(self._term, one.seq, one.body)
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
        self.wal.cut_after(self.contents.applier.seq)
        self._wal_usable = True

    def _apply(self, group: Group) -> VecraftError | None:
        try:
            self.contents.apply([(staged.seq, staged.prepared) for staged in group.staged], term=self._term)
        except VecraftError as error:
            return self._failed(group, error)
        self._write_failure = self._stager.failure = None
        return None

    def _failed(self, group: Group, error: VecraftError) -> VecraftError:
        self._write_failure = str(error)
        log.error("writes_refused", error=str(error), operations=len(group.staged))
        return error
