"""Distance matrices: the nearest neighbours of randomly chosen points among themselves (reference 9.14)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from protos.collections import UNNAMED
from protos.filters import Filter, HasId, HasVector
from protos.ids import PointId, id_key
from protos.shard import AnyVector, FloatArray, Hits, Projection, SearchParams
from router.merge import skip, without
from router.queries.operations import SearchOperations
from router.queries.requests import NearestVector, QueryRequest, RandomSample, ReadOptions
from router.shards import ShardSelector

SAMPLE_DEFAULT, NEIGHBOURS_DEFAULT = 10, 3
# Every search of a trip to another node carries the ids of the whole sample.
_IDS_PER_TRIP: Final = 200_000


_NONE: Final = np.empty(0, dtype=np.float32)


class MatrixQuery(Struct, frozen=True):
    """``sample`` points that have the vector ``using``, and ``limit`` neighbours of each."""

    sample: int = SAMPLE_DEFAULT
    limit: int = NEIGHBOURS_DEFAULT
    using: str = UNNAMED
    filter: Filter | None = None
    shard_keys: ShardSelector | None = None


class Matrix(Struct, frozen=True):
    """``ids`` ascending; ``neighbours`` of each, best first, itself left out."""

    ids: list[PointId]
    neighbours: list[Hits]

    @property
    def scores(self) -> FloatArray:
        """Of all neighbours, row by row."""
        return np.concatenate([_NONE, *(hits.scores for hits in self.neighbours)])

    def offsets(self) -> tuple[list[int], list[int]]:
        """Row and column of each neighbour, as places in ``ids``."""
        places = {point_id: place for place, point_id in enumerate(self.ids)}
        rows = [row for row, hits in enumerate(self.neighbours) for _ in hits.records]
        return rows, [places[record.id] for hits in self.neighbours for record in hits.records]


async def distance_matrix(
    searches: SearchOperations, collection: str, query: MatrixQuery, options: ReadOptions
) -> Matrix:
    """Empty if fewer than two points can be chosen. Raises: as ``SearchOperations.query``."""
    return await searches.bounded(_matrix(searches, collection, query, options), options, "Search matrix")


async def _matrix(
    searches: SearchOperations, collection: str, query: MatrixQuery, options: ReadOptions
) -> Matrix:
    options = await searches.admit_sample(collection, query.filter, query.sample, options)
    searches.check_vector_name(collection, query.using)
    (sample,) = await searches.query(collection, [_sampling(query)], options)
    vectors: dict[PointId, AnyVector] = {
        record.id: record.vectors[query.using]
        for record in sample.records
        if record.vectors and query.using in record.vectors  # it may have lost it meanwhile
    }
    if len(vectors) < 2:
        return Matrix([], [])
    ids = sorted(vectors, key=id_key)
    among = Filter(must=(HasId(tuple(ids)),))
    wanted = [_neighbours_of(vectors[point_id], query, among) for point_id in ids]
    found: list[Hits] = []
    step = max(1, _IDS_PER_TRIP // len(ids))
    for at in range(0, len(ids), step):
        found += await searches.query(collection, wanted[at : at + step], options)
    return Matrix(ids, _without_themselves(ids, found, query.limit))


def _sampling(query: MatrixQuery) -> QueryRequest:
    has_vector = HasVector(query.using)
    return QueryRequest(
        RandomSample(),
        limit=query.sample,
        filter=Filter(must=(has_vector,) if query.filter is None else (has_vector, query.filter)),
        projection=Projection(vectors=(query.using,)),
        shard_keys=query.shard_keys,
    )


def _neighbours_of(vector: AnyVector, query: MatrixQuery, among: Filter) -> QueryRequest:
    """One more than wanted, for the point itself; with the same filter for all, so that they share it."""
    return QueryRequest(
        NearestVector(vector),
        using=query.using,
        limit=query.limit + 1,
        filter=among,
        params=SearchParams(exact=True),
        shard_keys=query.shard_keys,
    )


def _without_themselves(ids: Sequence[PointId], found: Sequence[Hits], limit: int) -> list[Hits]:
    return [skip(without(hits, point_id), 0, limit) for point_id, hits in zip(ids, found, strict=True)]
