"""Real replicas in temporary directories."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.optimizer.budget import BuildMemory
from node.quotas import Quotas, measure_of
from node.replica.replica import Machinery, ShardReplica
from node.workers import SerialExecutor, WorkerPool
from protos.clock import SystemClock
from protos.collections import CollectionConfig
from protos.quotas import NO_QUOTAS
from tests.node.replica.points import config_of


class Shards:
    """Opens replicas, crashes them, closes what is left."""

    def __init__(self, root: Path) -> None:
        self._root, self._copies = root, 0
        self._open: list[ShardReplica] = []
        self._pools = [WorkerPool(2, "search"), WorkerPool(2, "writer"), WorkerPool(2, "background")]
        self.machinery = Machinery(
            search=self._pools[0],
            writers=SerialExecutor(self._pools[1]),
            background=self._pools[2],
            builds=asyncio.Semaphore(1),
            memory=BuildMemory(1),
            clock=SystemClock(),
            cores=1,
            quotas=Quotas(NO_QUOTAS, measure_of(root)),
        )
        self.directory = root / "shard"

    async def open(self, config: CollectionConfig | None = None) -> ShardReplica:
        replica = await ShardReplica.open(self.directory, config or config_of(), self.machinery)
        self._open.append(replica)
        return replica

    def crash(self) -> None:
        """The next ``open`` finds what the disk holds now; the replica of before goes on elsewhere."""
        self._copies += 1
        copy = self._root / f"copy{self._copies}"
        shutil.copytree(self.directory, copy)
        self.directory = copy

    async def close(self) -> None:
        for replica in self._open:
            await replica.close(checkpoint=False)
        for pool in self._pools:
            pool.close()


@pytest.fixture
async def shards(tmp_path: Path) -> AsyncIterator[Shards]:
    shards = Shards(tmp_path)
    yield shards
    await shards.close()
