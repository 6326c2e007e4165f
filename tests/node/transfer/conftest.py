"""Real replicas, and copies of them made through the whole of sending and receiving."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import Struct

from node.replica.replica import ShardReplica
from node.transfer.receiving import Received, receive_base
from node.transfer.sending import BaseSender
from node.transfer.wire import Form
from node.transfer.workshop import Workshop
from protos.collections import CollectionConfig
from protos.ids import PointId
from protos.shard import Projection, ScrollRequest, SearchParams, SearchRequest
from tests.node.replica.conftest import Shards, shards
from tests.node.replica.kinds import plain
from tests.node.replica.points import config_of, having, upsert, write

__all__ = ["shards"]  # the fixture; the rest is imported by name


class State(Struct):
    """Everything a reader can see of a replica."""

    seq: int
    points: dict[PointId, tuple[int, bytes | None, dict[str, list[float]]]]
    schemas: dict[str, Any]
    fields: dict[str, Any]
    index_points: dict[str, int]
    searched: list[list[tuple[PointId, float]]]
    counted: int


async def state_of(replica: ShardReplica) -> State:
    request = ScrollRequest(limit=1_000_000, projection=Projection(payload=True, vectors=True))
    records = await replica.scroll(request)
    view = replica.view
    searches = [
        SearchRequest(name, np.full(schema.dim, 3.0, dtype=np.float32), 10, params=SearchParams(exact=True))
        for name, schema in sorted(replica.schemas.items())
        if name in view.config.vectors
    ]
    found = await replica.search(searches) if searches else []
    return State(
        seq=view.seq,
        points={
            record.id: (
                record.version,
                record.payload,
                plain(record.vectors or {}),
            )
            for record in records
        },
        schemas=replica.schemas,
        fields=dict(view.columns.fields),
        index_points=(await replica.info()).index_points,
        searched=[
            list(zip([record.id for record in hits.records], hits.scores.tolist(), strict=True))
            for hits in found
        ],
        counted=await replica.count(having("n", 5), exact=True),
    )


class Copying:
    """A node's workshop, and what is copied by it."""

    def __init__(self, shards: Shards, root: Path) -> None:
        self.shards, self.root = shards, root
        self.workshop = Workshop(root, shards.machinery.background)
        self.sender = BaseSender(self.workshop)
        self._open: list[ShardReplica] = []

    async def parts(self, replica: ShardReplica, form: Form = Form.FILES) -> list[bytes]:
        return [part async for part in self.sender.parts(replica, form)]

    async def receive(self, parts: list[bytes]) -> Received:
        return await receive_base(each(parts), self.workshop.place(), self.workshop)

    async def copy(self, replica: ShardReplica, form: Form = Form.FILES) -> Received:
        return await receive_base(self.sender.parts(replica, form), self.workshop.place(), self.workshop)

    async def open(self, received: Received, config: CollectionConfig | None = None) -> ShardReplica:
        replica = await ShardReplica.open(
            received.directory, config or config_of(), self.shards.machinery, term=received.term
        )
        self._open.append(replica)
        return replica

    @property
    def leftovers(self) -> list[str]:
        """What lies in the workshop."""
        directory = self.workshop.place().parent
        return sorted(path.name for path in directory.iterdir()) if directory.exists() else []

    async def close(self) -> None:
        for replica in self._open:
            await replica.close(checkpoint=False)


async def each(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.fixture
async def source(shards: Shards) -> ShardReplica:
    replica = await shards.open()
    await write(replica, upsert(range(50)))
    return replica


@pytest.fixture
async def copying(shards: Shards, tmp_path: Path) -> AsyncIterator[Copying]:
    copying = Copying(shards, tmp_path)
    yield copying
    await copying.close()
