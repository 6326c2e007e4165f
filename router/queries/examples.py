"""The vectors of queries: as they were sent, or of stored points that are examples (reference 9.4).

Points that are looked up in the same place are fetched together.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from consensus.state import CollectionState
from protos.errors import NotFound, point_not_found
from protos.ids import PointId
from protos.shard import AnyVector, Projection
from router.auth.access import FULL, Access
from router.auth.needs import Need
from router.collections import CollectionOperations
from router.inference.objects import InferenceObject
from router.queries.requests import Example, NearestPoint, NearestVector
from router.scope import Scope, gather
from router.shards import ShardSelector
from router.vectors import params_of, query_vector


class Wanted(Struct, frozen=True):
    """An example for a search by the vectors named ``using`` in the shards of ``keys``."""

    example: Example
    using: str
    keys: ShardSelector | None


class _Source(Struct, frozen=True):
    """Where a point is looked up. ``collection`` None: where is searched. ``keys`` None: as the search has
    them, if it is the same collection."""

    collection: str | None
    vector: str
    keys: ShardSelector | None
    searched_keys: ShardSelector | None


async def vectors_of(
    scope: Scope, collections: CollectionOperations, wanted: Sequence[Wanted], access: Access = FULL
) -> list[AnyVector]:
    """The vector to search by, for each. ``access``: what may be looked up elsewhere.

    Raises: NotFound for an unknown point, collection of a lookup, or vector of a point; BadInput if a vector
        does not fit the collection; Forbidden to look up there.
    """
    params = scope.state.config.params
    found = await _looked_up(scope, collections, wanted, access)
    vectors: list[AnyVector] = []
    for want in wanted:
        example = want.example
        values = example.vector if isinstance(example, NearestVector) else found[_source(want), example.id]
        assert not isinstance(values, InferenceObject), "objects are embedded before"
        vectors.append(query_vector(values, params_of(params, want.using)))
    return vectors


def excluded(state: CollectionState, examples: Sequence[Example]) -> tuple[PointId, ...]:
    """The points among them, which are no answers to themselves unless looked up elsewhere."""
    ids = (
        example.id
        for example in examples
        if isinstance(example, NearestPoint) and example.lookup_collection in (None, state.name)
    )
    return tuple(dict.fromkeys(ids))


async def _looked_up(
    scope: Scope, collections: CollectionOperations, wanted: Sequence[Wanted], access: Access
) -> dict[tuple[_Source, PointId], AnyVector]:
    ids: dict[_Source, list[PointId]] = {}
    for want in wanted:
        params_of(scope.state.config.params, want.using)
        if isinstance(want.example, NearestPoint):
            ids.setdefault(_source(want), []).append(want.example.id)
    fetched = await gather([_fetched(scope, collections, source, ids[source], access) for source in ids])
    return {
        (source, point_id): vector
        for source, vectors in zip(ids, fetched, strict=True)
        for point_id, vector in vectors.items()
    }


def _source(want: Wanted) -> _Source:
    example = want.example
    assert isinstance(example, NearestPoint)
    if example.lookup_collection is None:
        return _Source(None, want.using, None, want.keys)
    name = want.using if example.lookup_vector is None else example.lookup_vector
    return _Source(example.lookup_collection, name, example.lookup_keys, want.keys)


async def _fetched(
    scope: Scope, collections: CollectionOperations, source: _Source, ids: list[PointId], access: Access
) -> dict[PointId, AnyVector]:
    """Raises: as ``vectors_of``."""
    place = scope
    if source.collection is not None:
        access.permit(Need.READ_COLLECTION, source.collection)
        state = await _lookup(collections, source.collection)
        place = scope.of(state, access.tenant(source.collection))
    keys = source.keys or (source.searched_keys if place.state is scope.state else None)
    params_of(place.state.config.params, source.vector)
    records = await place.retrieve(ids, Projection(vectors=(source.vector,)), keys)
    stored = {record.id: record for record in records}
    vectors: dict[PointId, AnyVector] = {}
    for point_id in ids:
        if point_id not in stored:
            raise point_not_found(point_id)
        vector = (stored[point_id].vectors or {}).get(source.vector)
        if vector is None:
            raise NotFound(f'Vector with name "{source.vector}" for point not found')
        vectors[point_id] = vector
    return vectors


async def _lookup(collections: CollectionOperations, collection: str) -> CollectionState:
    try:
        return await collections.opened(collection)
    except NotFound as error:
        raise NotFound(f"Collection {collection} not found") from error
