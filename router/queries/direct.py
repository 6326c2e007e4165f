"""Searches that one shard answers alone: the plainest queries, and by far the most frequent ones.

Nothing is looked up, weighed or merged for them, and nothing is fetched afterwards, so they go through none
of that. Lives here: which queries these are, and what the shard is asked. Answers and errors are those of
``nearest``, which takes everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from consensus.state import CollectionState
from protos.collections import CollectionParams
from protos.shard import Hits, SearchRequest
from router.inference.objects import InferenceObject
from router.merge import skip
from router.queries.requests import WINDOW_MAX, NearestVector, QueryRequest, ReadOptions
from router.replicas.readers import ShardReaders
from router.scope import Scope
from router.vectors import query_vector


def direct_searches(state: CollectionState, requests: Sequence[QueryRequest]) -> list[SearchRequest] | None:
    """What the only shard is asked; None: it takes more than that. Raises: BadInput as ``query_vector``."""
    params = state.config.params
    if len(state.shards) != 1 or state.custom_sharding:
        return None
    for request in requests:
        if not _is_direct(request, params):
            return None
    return [_search(request, params) for request in requests]


def found_soon(
    state: CollectionState, readers: ShardReaders, searches: list[SearchRequest], options: ReadOptions
) -> Hits | asyncio.Future[Hits] | None:
    """What ``search_directly`` would find before ``in_window``, or where it will be; as
    ``NodeClient.search_soon``. None: ask it.

    So there is no reader of the shard, and no timer if nothing need be waited for: they cost as much as a
    good part of a quick search. Who wants more than one replica's word is left to ``search_directly``.
    """
    one_word = options.consistency in (None, 1) and not options.at_least
    if len(searches) != 1 or not one_word:
        return None
    (shard_id,) = state.shards
    return readers.search_soon(state, shard_id, searches[0])


def in_window(hits: Hits, request: QueryRequest) -> Hits:
    return skip(hits, request.offset, request.limit)


async def search_directly(
    scope: Scope, requests: Sequence[QueryRequest], searches: list[SearchRequest]
) -> list[Hits]:
    """``searches``: what ``direct_searches`` made of ``requests``."""
    (shard,) = scope.shards(None)
    found = await shard.search(searches)
    return [in_window(hits, request) for hits, request in zip(found, requests)]


def _is_direct(request: QueryRequest, params: CollectionParams) -> bool:
    query = request.query
    return (
        isinstance(query, NearestVector)
        and not isinstance(query.vector, InferenceObject)
        and not request.prefetch
        and request.shard_keys is None
        and request.using in params.vectors
        and request.params.idf is None
        and isinstance(request.projection.vectors, bool)
    )


def _search(request: QueryRequest, params: CollectionParams) -> SearchRequest:
    query = request.query
    assert isinstance(query, NearestVector)
    assert not isinstance(query.vector, InferenceObject)
    return SearchRequest(
        request.using,
        query_vector(query.vector, params.vectors[request.using]),
        min(request.offset + request.limit, WINDOW_MAX),
        filter=request.filter,
        params=request.params,
        score_threshold=request.score_threshold,
        projection=request.projection,
    )
