"""Short forms of what tests of replicas write and read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from node.replica.replica import ShardReplica
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    Distance,
    HnswConfig,
    OptimizersConfig,
    VectorParams,
)
from protos.filters import FieldCondition, Filter, HasId, MatchValue
from protos.ids import PointId
from protos.operations import PointChange, UpdateResult, Upsert, VectorBatch
from protos.shard import Projection, ScrollRequest, SearchRequest, UpdateRequest
from tests.node.replica.kinds import plain

DIM = 4


def config_of(
    vectors: Mapping[str, VectorParams] | None = None, hnsw: HnswConfig | None = None, **optimizers: Any
) -> CollectionConfig:
    """One unnamed Euclid vector of four components, and no optimizing unless asked for."""
    chosen = {"max_optimization_threads": 0} | optimizers
    return CollectionConfig(
        params=CollectionParams(
            vectors={"": VectorParams(DIM, Distance.EUCLID)} if vectors is None else dict(vectors)
        ),
        hnsw_config=hnsw or HnswConfig(),
        optimizer_config=OptimizersConfig(**chosen),
    )


def batch(matrix: Any, name: str = "", rows: Sequence[int] | None = None) -> VectorBatch:
    data = np.asarray(matrix, dtype="<f4")
    owners = b"" if rows is None else np.asarray(rows, dtype="<u4").tobytes()
    return VectorBatch(name, data.shape[1], data.tobytes(), owners)


def upsert(ids: Sequence[PointId], payloads: Sequence[Mapping[str, Any]] | None = None) -> Upsert:
    """Every point at (id, 0, 0, 0); UUIDs at the origin."""
    places = [[i if isinstance(i, int) else 0, 0, 0, 0] for i in ids]
    given = payloads if payloads is not None else [{"n": i} for i in ids]
    return Upsert(list(ids), (batch(places),), [json.dumps(payload).encode() for payload in given])


async def write(replica: ShardReplica, change: PointChange, **more: Any) -> UpdateResult:
    return await replica.update(UpdateRequest(change, **({"wait": True} | more)))


async def contents(replica: ShardReplica) -> dict[PointId, tuple[Any, dict[str, list[float]]]]:
    """{id: (payload, vectors)} of every point."""
    request = ScrollRequest(limit=100_000, projection=Projection(payload=True, vectors=True))
    return {
        record.id: (
            json.loads(record.payload or b"null"),
            plain(record.vectors or {}),
        )
        for record in await replica.scroll(request)
    }


async def nearest(
    replica: ShardReplica, vector: Sequence[float], limit: int = 3, **more: Any
) -> list[PointId]:
    request = SearchRequest("", np.asarray(vector, dtype=np.float32), limit, **more)
    (hits,) = await replica.search([request])
    return [record.id for record in hits.records]


def having(key: str, value: Any) -> Filter:
    return Filter(must=(FieldCondition(key, (MatchValue(value),)),))


def only(*ids: PointId) -> Filter:
    return Filter(must=(HasId(ids),))
