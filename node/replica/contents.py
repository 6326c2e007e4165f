"""What a replica holds in memory, and the view of it that readers get.

Lives here: the applier with what goes along with it (operation ids, the published view), and applying a group
of logged operations. Changed by one thread at a time.
May not live here: the log, the disk's failures, queues.

Invariant: what was published never changes; memory that has parted from the log is never stored.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from node.replica.apply import Applier, Prepared
from node.replica.operation_ids import OperationIds
from node.replica.view import View
from protos.clock import Clock
from protos.errors import ServiceError, VecraftError
from protos.logger import get_logger
from protos.operations import KnowOperations

log = get_logger()


class Contents:
    """``view`` is the last published one, ``views`` all that are still in use.

    ``parted`` tells why memory differs from the log, which stops all further writes.
    """

    def __init__(self, applier: Applier, operation_ids: OperationIds, clock: Clock) -> None:
        self.applier, self.operation_ids = applier, operation_ids
        self.clock = clock
        self.parted: VecraftError | None = None
        self.view: View = applier.view()
        self.views = weakref.WeakSet((self.view,))

    def publish(self) -> None:
        self.view = self.applier.view()
        self.views.add(self.view)

    def apply(self, operations: Sequence[tuple[int, Prepared]], *, term: int) -> None:
        """Apply durable operations of one term, given with their seq, and publish.

        Raises: ServiceError if that cannot be done, and for ever after.
        """
        try:
            self.applier.apply(operations, term=term)
            self.publish()
        except Exception as cause:
            log.exception("apply_failed", seq=operations[0][0])
            self.parted = ServiceError(f"operations are logged but could not be applied: {cause!r}")
            raise self.parted from cause
        now_ms = self.clock.unix_ms()
        for seq, prepared in operations:
            self.operation_ids.remember(prepared.entry.operation_id, seq, now_ms=now_ms)
            if isinstance(prepared.entry.operation, KnowOperations):
                for operation_id in prepared.entry.operation.ids:
                    self.operation_ids.remember(operation_id, seq, now_ms=now_ms)
