"""Searches with their sparse vectors weighed (``protos.idf``), by whoever has the statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from protos.errors import sparse_conversion
from protos.examples import mapped, vectors_of
from protos.idf import Frequencies, weighed
from protos.shard import AnyVector, SearchRequest, SparseVector
from protos.stages import Diverse, Searched, Stage


def vectors_to_weigh(request: SearchRequest) -> list[SparseVector]:
    """Raises: BadInput if one is not sparse."""
    given = vectors_of(request.examples) if request.examples is not None else [request.vector]
    vectors = [each for each in given if isinstance(each, SparseVector)]
    if len(vectors) < len(given):
        raise sparse_conversion()
    return vectors


def weigh(request: SearchRequest, indices: Sequence[int], counts: Frequencies) -> SearchRequest:
    """``request``, to be taken as it is. ``indices``: those that ``counts`` are of, ascending."""

    def made(vector: AnyVector) -> AnyVector:
        assert isinstance(vector, SparseVector)
        return weighed(vector, indices, counts)

    return replace(
        request,
        vector=None if request.vector is None else made(request.vector),
        examples=None if request.examples is None else mapped(request.examples, made),
        weighing=None,
    )


def searches_in(stage: Stage) -> Iterator[SearchRequest]:
    """Its own and those of its prefetches."""
    if isinstance(stage, Searched | Diverse):
        yield stage.search
    for earlier in stage.prefetch:
        yield from searches_in(earlier)


def with_searches(stage: Stage, made: Callable[[SearchRequest], SearchRequest]) -> Stage:
    """The same with ``made`` of each search in its place."""
    prefetch = tuple(with_searches(each, made) for each in stage.prefetch)
    if isinstance(stage, Searched | Diverse):
        return replace(stage, search=made(stage.search), prefetch=prefetch)
    return replace(stage, prefetch=prefetch)
