"""Measuring what reads and writes of replicas cost, where ``service.hardware_reporting`` asks for it.

What is measured:

- ``cpu``: processor time of the worker that answers a read, and of the writer while it prepares and applies
  an operation. Decoding requests, logging and building segments are not anybody's request.
- ``vector_io_*``: bytes of stored vectors that were compared with a query or returned, and that were written.
  Graphs and their codes are not counted: walking them is processor time.
- ``payload_io_*``: bytes of stored payloads, read or written.
- ``payload_index_io_*``: bytes of the slots and bitmaps that payload indexes gave for filters, of the entries
  that facets and orders read, and of those that a write put there, eight bytes each for a value, or its code,
  and a slot.

Whoever reads or writes asks for the figures of the call that runs in its thread, ``counting``: None, unless
somebody measures. May not live here: to which request it is charged (``protos.hardware``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, ParamSpec, TypeVar

import msgspec

from protos.hardware import HardwareUsage, charge

P = ParamSpec("P")
T = TypeVar("T")

INDEX_ENTRY_BYTES: Final = 8
_WRITES_MAX: Final = 4096  # whose costs are kept until they are asked for

_counting: ContextVar[HardwareUsage | None] = ContextVar("hardware_counting", default=None)


def counting() -> HardwareUsage | None:
    """The figures of the call that runs in this thread; None: nobody measures it."""
    return _counting.get()


def counted(usage: HardwareUsage, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call, and add to ``usage`` what it costs in this thread, also if it raises."""
    token = _counting.set(usage)
    started_ns = time.thread_time_ns()
    try:
        return call(*args, **kwargs)
    finally:
        usage.cpu += -(-(time.thread_time_ns() - started_ns) // 1000)
        _counting.reset(token)


class Meter:
    """Of one replica. ``total``: of its collection on this node."""

    def __init__(self, total: HardwareUsage) -> None:
        self._total = total
        self._lock = threading.Lock()
        self._writes: dict[int, HardwareUsage] = {}

    def read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call, in a worker, for the request whose context this is."""
        usage = HardwareUsage()
        try:
            return counted(usage, call, *args, **kwargs)
        finally:
            self._total.add(usage)
            charge(usage)

    def wrote(self, seq: int, usage: HardwareUsage) -> None:
        """The operation at ``seq`` has cost that. In the writer's thread, which works for many requests."""
        self._total.add(usage)
        with self._lock:
            self._writes[seq] = usage
            if len(self._writes) > _WRITES_MAX:
                del self._writes[next(iter(self._writes))]

    def charge_write(self, seq: int) -> None:
        """To the request under way; once. On the event loop."""
        with self._lock:
            usage = self._writes.pop(seq, None)
        if usage is not None:
            charge(usage)


class Hardware:
    """Of a process: totals by collection, by their uuids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: dict[str, HardwareUsage] = {}

    def meter(self, collection: str) -> Meter:
        with self._lock:
            return Meter(self._totals.setdefault(collection, HardwareUsage()))

    def totals(self) -> dict[str, HardwareUsage]:
        """Since the process started, of collections that anything was measured of."""
        nothing = HardwareUsage()
        with self._lock:
            found = {collection: msgspec.structs.replace(used) for collection, used in self._totals.items()}
        return {collection: used for collection, used in found.items() if used != nothing}

    def forget(self, collection: str) -> None:
        """It is gone from this node."""
        with self._lock:
            self._totals.pop(collection, None)
