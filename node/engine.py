"""The threads that the shards of a process share.

Lives here: the pools, made and ended together. May not live here: shards.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from node.client import SearchLoad
from node.hardware import Hardware
from node.optimizer.budget import BuildMemory
from node.quotas import Quotas, measure_of, memory_bytes
from node.replica.opened import Machinery
from node.workers import SerialExecutor, WorkerPool
from protos.clock import Clock, SystemClock
from protos.collections import Memory, OptimizersConfigDiff
from protos.cores import cores
from protos.hardware import HardwareUsage
from protos.quotas import NO_QUOTAS

WRITER_THREADS = 2
BACKGROUND_THREADS = 2


class Engine:
    """Made and closed in one event loop."""

    def __init__(
        self,
        *,
        search_threads: int | None = None,
        builds_max: int | None = None,
        build_memory: int | None = None,
        overrides: OptimizersConfigDiff | None = None,
        quotas: Quotas | None = None,
        clock: Clock | None = None,
        hardware_reporting: bool = False,
        memory_ceiling: Memory = Memory.PINNED,
    ) -> None:
        """``search_threads`` and ``builds_max`` (builder processes at once): None chooses by the cores.
        ``build_memory``: bytes that all builds together may take; None: most of what is free.
        ``quotas`` None: there are none. ``hardware_reporting``: measure what reads and writes cost.
        ``memory_ceiling``: no file of vectors or indexes is kept in memory more than that."""
        allowed = cores()
        builds_max = builds_max or max(1, allowed // 2)
        self.quotas = quotas or Quotas(NO_QUOTAS, measure_of(Path()))
        self.search = WorkerPool(search_threads or max(2, allowed), "search")
        self._writers = WorkerPool(WRITER_THREADS, "writer")
        self.background = WorkerPool(BACKGROUND_THREADS, "background")
        self.machinery = Machinery(
            search=self.search,
            writers=SerialExecutor(self._writers),
            background=self.background,
            builds=asyncio.Semaphore(builds_max),
            memory=BuildMemory(builds_max, build_memory, total=memory_bytes()),
            clock=clock or SystemClock(),
            cores=allowed,
            overrides=overrides or OptimizersConfigDiff(),
            quotas=self.quotas,
            hardware=Hardware() if hardware_reporting else None,
            ceiling=memory_ceiling,
        )

    def search_load(self) -> SearchLoad:
        return SearchLoad(self.search.threads, self.search.busy, self.search.waiting)

    def hardware(self) -> dict[str, HardwareUsage]:
        """What reads and writes have cost, by the uuid of the collection; empty if that is not measured."""
        measured = self.machinery.hardware
        return {} if measured is None else measured.totals()

    def forget(self, collection: str) -> None:
        """This node has no shard of it any more."""
        if self.machinery.hardware is not None:
            self.machinery.hardware.forget(collection)

    async def close(self) -> None:
        """Finish what is queued, end the threads."""
        for pool in (self.search, self._writers, self.background):
            await asyncio.to_thread(pool.close)
