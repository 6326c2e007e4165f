"""What requests cost a node's hardware (reference 1.1), and the port by which their work is charged to them.

Units: ``cpu`` is microseconds of processor time; all others are bytes.

Lives here: the figures, and whose they are: those of the request under way, in a context variable, so that
tasks and worker threads which work for it find it. Nobody is charged unless an edge has begun to measure.
May not live here: what is measured (``node.hardware``), how it is shown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct

_charging = threading.Lock()  # held for additions only


class HardwareUsage(Struct):
    cpu: int = 0
    payload_io_read: int = 0
    payload_io_write: int = 0
    payload_index_io_read: int = 0
    payload_index_io_write: int = 0
    vector_io_read: int = 0
    vector_io_write: int = 0

    def add(self, other: HardwareUsage) -> None:
        """Safe from many threads."""
        with _charging:
            self.cpu += other.cpu
            self.payload_io_read += other.payload_io_read
            self.payload_io_write += other.payload_io_write
            self.payload_index_io_read += other.payload_index_io_read
            self.payload_index_io_write += other.payload_index_io_write
            self.vector_io_read += other.vector_io_read
            self.vector_io_write += other.vector_io_write


class Bill(Struct):
    """Of one request. ``usage`` None: nothing that is measured was done for it."""

    usage: HardwareUsage | None = None

    def charge(self, usage: HardwareUsage) -> None:
        """Safe from many threads."""
        with _charging:
            own = self.usage = self.usage or HardwareUsage()
        own.add(usage)


_bill: ContextVar[Bill | None] = ContextVar("hardware_bill", default=None)


@contextmanager
def billed() -> Iterator[Bill]:
    """What is done in this block, also by tasks and threads that it starts, is charged to the bill."""
    bill = Bill()
    token = _bill.set(bill)
    try:
        yield bill
    finally:
        _bill.reset(token)


def charge(usage: HardwareUsage) -> None:
    """To the request under way, if it is billed."""
    bill = _bill.get()
    if bill is not None:
        bill.charge(usage)
