"""Sparse queries weighed by the statistics of the whole collection (reference 12).

A collection of one shard leaves it to that shard, which spares a trip. Otherwise all shards are asked for
their statistics at once, and the searches that they are sent have weighed vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from consensus.state import CollectionState
from protos.collections import SparseVectorParams
from protos.errors import BadInput
from protos.formulas import Formula
from protos.fusion import Dbsf, Rrf
from protos.idf import Frequencies, FrequencyRequest, Weighing, added, indices_of
from protos.shard import OrderBy, SearchRequest, SparseVector
from protos.stages import Stage
from protos.weighing import searches_in, vectors_to_weigh, weigh, with_searches
from router.queries.requests import Prefetch, QueryRequest, RandomSample
from router.scope import Scope, gather
from router.vectors import params_of

Weigh = Callable[[SearchRequest], SearchRequest]


def check_idf(request: QueryRequest | Prefetch, state: CollectionState) -> None:
    """Raises: BadInput if the statistics for another kind of vector are chosen."""
    by_vectors = not isinstance(request.query, OrderBy | RandomSample | Rrf | Dbsf | Formula | None)
    if by_vectors and request.params.idf is not None and not _has_idf(state, request.using):
        raise BadInput("`idf` is only applicable to sparse vectors with the IDF modifier")
    for prefetch in request.prefetch:
        check_idf(prefetch, state)


def marked(state: CollectionState, search: SearchRequest) -> SearchRequest:
    """``search`` with what its parameters say of weighing where shards look for it."""
    if not _has_idf(state, search.using):
        return search
    weighing = search.params.idf or Weighing()
    return replace(search, weighing=weighing, params=replace(search.params, idf=None))


async def weights(scope: Scope, searches: Sequence[SearchRequest]) -> Weigh:
    """What weighs each of ``searches``."""
    shards = scope.shards(None) if any(search.weighing is not None for search in searches) else []
    if len(shards) <= 1:
        return lambda search: search
    vectors: dict[tuple[str, bytes], list[SparseVector]] = {}
    corpora: dict[tuple[str, bytes], Weighing] = {}
    for search in searches:
        if search.weighing is not None:
            corpora[_key(search)] = search.weighing
            vectors.setdefault(_key(search), []).extend(vectors_to_weigh(search))
    asked = [FrequencyRequest(key[0], indices_of(vectors[key]).tolist(), corpora[key]) for key in vectors]
    parts = await gather([shard.frequencies(asked) for shard in shards])
    counts = {key: (asked[at].indices, added([part[at] for part in parts])) for at, key in enumerate(vectors)}
    return lambda search: search if search.weighing is None else _weighed(search, counts)


async def weighed_stages(scope: Scope, stages: Sequence[Stage]) -> list[Stage]:
    """``stages`` with all of their searches weighed."""
    weigh_one = await weights(scope, [search for stage in stages for search in searches_in(stage)])
    return [with_searches(stage, weigh_one) for stage in stages]


def _weighed(
    search: SearchRequest, counts: dict[tuple[str, bytes], tuple[list[int], Frequencies]]
) -> SearchRequest:
    return weigh(search, *counts[_key(search)])


def _key(search: SearchRequest) -> tuple[str, bytes]:
    return search.using, msgspec.msgpack.encode(search.weighing)


def _has_idf(state: CollectionState, using: str) -> bool:
    """Raises: BadInput if there is no such vector."""
    params = params_of(state.config.params, using)
    return isinstance(params, SparseVectorParams) and params.modifier == "idf"
