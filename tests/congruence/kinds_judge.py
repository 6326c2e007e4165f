"""Qdrant's own engine with every kind of vector in one shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qdrant_edge as edge

from tests.congruence.edge import DISTANCES
from tests.congruence.vector_kinds import SIZE, Json, Kind, Vector, plain

_DATATYPES = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
    "uint8": edge.VectorStorageDatatype.Uint8,
}
_SEVERAL = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)


class KindsJudge:
    def __init__(self, directory: Path, kinds: dict[str, Kind], *, indexing_kb: int | None = None) -> None:
        directory.mkdir(parents=True)
        self._shard = edge.EdgeShard.create(
            str(directory),
            edge.EdgeConfig(
                vectors={kind.name: _dense(kind) for kind in kinds.values() if kind.shape != "sparse"},
                sparse_vectors={
                    kind.name: _sparse(kind) for kind in kinds.values() if kind.shape == "sparse"
                },
                optimizers=edge.EdgeOptimizersConfig(indexing_threshold=indexing_kb),
            ),
        )

    def upsert(self, points: list[Json]) -> None:
        made = [edge.Point(point["id"], _vectors(point["vector"]), point.get("payload")) for point in points]
        self._shard.update(edge.UpdateOperation.upsert_points(made))

    def update_vectors(self, points: list[Json]) -> None:
        made = [edge.PointVectors(point["id"], _vectors(point["vector"])) for point in points]
        self._shard.update(edge.UpdateOperation.update_vectors(made))

    def delete_vectors(self, ids: list[int], names: list[str]) -> None:
        self._shard.update(edge.UpdateOperation.delete_vectors([*ids], names))

    def delete(self, ids: list[int]) -> None:
        self._shard.update(edge.UpdateOperation.delete_points([*ids]))

    def add_name(self, kind: Kind) -> None:
        if kind.shape == "sparse":
            made = edge.UpdateOperation.create_sparse_vector(kind.name)
        else:
            several = _SEVERAL if kind.shape == "multi" else None
            made = edge.UpdateOperation.create_dense_vector(
                kind.name, SIZE, DISTANCES[kind.distance], several, _DATATYPES[kind.datatype]
            )
        self._shard.update(made)

    def remove_name(self, name: str) -> None:
        self._shard.update(edge.UpdateOperation.delete_vector_name(name))

    def optimize(self) -> None:
        self._shard.optimize()

    def search(
        self,
        using: str,
        vector: Vector,
        limit: int,
        *,
        below: int | None = None,
        corpus_below: int | None = None,
    ) -> list[tuple[int, float]]:
        """Exact. ``below``: only points whose ``n`` is less; ``corpus_below``: statistics of those."""
        hits = self._shard.query(
            edge.QueryRequest(
                query=edge.Query.Nearest(engine_vector(vector), using=using),
                limit=limit,
                filter=None if below is None else _less(below),
                params=edge.SearchParams(
                    exact=True,
                    idf=None if corpus_below is None else edge.IdfParams(_less(corpus_below)),
                ),
            )
        )
        return [(int(str(hit.id)), hit.score) for hit in hits]

    def rated(
        self, query: Any, limit: int, *, below: int | None, without: list[int], threshold: float | None = None
    ) -> list[tuple[int, float]]:
        """Exact, by a query of the engine's own. ``without``: ids that are left out."""
        must = [] if below is None else [edge.FieldCondition("n", range=edge.RangeFloat(lt=below))]
        hits = self._shard.query(
            edge.QueryRequest(
                query=query,
                limit=limit,
                filter=edge.Filter(must=must, must_not=[edge.HasIdCondition({*without})]),
                score_threshold=threshold,
                params=edge.SearchParams(exact=True),
            )
        )
        return [(int(str(hit.id)), hit.score) for hit in hits]

    def vectors(self, ids: list[int]) -> dict[int, dict[str, Vector]]:
        records = self._shard.retrieve([*ids], with_payload=False, with_vector=True)
        found: dict[int, Any] = {int(str(record.id)): record.vector or {} for record in records}
        return {
            point: {name: plain(vector) for name, vector in named.items()} for point, named in found.items()
        }

    def close(self) -> None:
        self._shard.close()


def _less(bound: int) -> edge.Filter:
    return edge.Filter(must=[edge.FieldCondition("n", range=edge.RangeFloat(lt=bound))])


def _dense(kind: Kind) -> edge.EdgeVectorParams:
    return edge.EdgeVectorParams(
        size=SIZE,
        distance=DISTANCES[kind.distance],
        datatype=_DATATYPES[kind.datatype],
        multivector_config=_SEVERAL if kind.shape == "multi" else None,
    )


def _sparse(kind: Kind) -> edge.EdgeSparseVectorParams:
    return edge.EdgeSparseVectorParams(
        modifier=edge.Modifier.Idf if kind.idf else None, datatype=_DATATYPES[kind.datatype]
    )


def _vectors(vectors: dict[str, Vector]) -> dict[str, Any]:
    return {name: engine_vector(vector) for name, vector in vectors.items()}


def engine_vector(vector: Vector) -> Any:
    return edge.SparseVector(**vector) if isinstance(vector, dict) else vector
