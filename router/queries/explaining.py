"""How shards answer a query: what each search of it did, where (an extension of Qdrant's API).

Every stage without prefetches is run once on one replica of each shard, watched; what ranks their points
later is cheap beside it and is not run. May not live here: what a search notes down
(``node.query.explained``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from protos.collections import PayloadSchema
from protos.filters import Filter
from protos.shard import AnyVector, SearchPlan
from protos.stages import Diverse, Listed, Searched, Stage
from router.monitoring.issues import indexed_fields, missing_indexes
from router.queries.plan import plan
from router.queries.requests import QueryRequest
from router.queries.weighing import weighed_stages
from router.replicas.readers import ShardReader
from router.scope import Scope, gather
from router.shards import shards_to_read


class ShardExplanation(Struct, frozen=True):
    """``points`` it answered with, in ``micros``, the way there and back included. ``plan``: of a search;
    ``estimated``: of what is read in order, points that match its filter."""

    shard: int
    points: int
    micros: float
    plan: SearchPlan | None = None
    estimated: int | None = None


class StageExplanation(Struct, frozen=True):
    """``stage``: where it stands, as ``query`` or ``prefetch[0].prefetch[1]``. ``kind``: ``search``,
    ``scroll``, ``order_by`` or ``sample``. ``using``: the vector's name, of a search. The fields of its
    filter: ``indexed``, and ``unindexed`` that could be."""

    stage: str
    kind: str
    using: str | None
    limit: int
    indexed: list[str]
    unindexed: list[str]
    shards: list[ShardExplanation]


class Phases(Struct, frozen=True):
    """Microseconds: until the vectors of all examples were there; of all shards at once."""

    vectors: float
    shards: float


class Explanation(Struct, frozen=True):
    phases: Phases
    stages: list[StageExplanation]


async def explained(
    scope: Scope, request: QueryRequest, vectors: Sequence[AnyVector], *, vectors_micros: float
) -> Explanation:
    """``vectors``: of what the plan takes. Raises: as the reads of shards."""
    scope = scope.nearest_replicas()
    (stage,) = await weighed_stages(scope, [plan(scope.state, request, iter(vectors))])
    leaves = list(_leaves(stage, ""))
    ids, shards = shards_to_read(scope.state, request.shard_keys), scope.shards(request.shard_keys)
    started = time.perf_counter()
    asked = [
        _on_shard(shard_id, shard, stage)
        for _, stage in leaves
        for shard_id, shard in zip(ids, shards, strict=True)
    ]
    answers = iter(await gather(asked))
    shards_micros = _micros_since(started)
    schema = scope.state.payload_schema
    stages = [_told(path, stage, [next(answers) for _ in ids], schema) for path, stage in leaves]
    return Explanation(Phases(vectors_micros, shards_micros), stages)


def _leaves(stage: Stage, path: str) -> Iterator[tuple[str, Searched | Listed]]:
    for place, earlier in enumerate(stage.prefetch):
        yield from _leaves(earlier, f"{path}prefetch[{place}].")
    if not stage.prefetch:
        found = stage.candidates if isinstance(stage, Diverse) else stage
        assert isinstance(found, Searched | Listed), "what combines lists has prefetches"
        yield path.removesuffix(".") or "query", found


async def _on_shard(shard_id: int, shard: ShardReader, stage: Searched | Listed) -> ShardExplanation:
    started = time.perf_counter()
    if isinstance(stage, Searched):
        (hits,) = await shard.search([replace(stage.search, explain=True)])
        return ShardExplanation(shard_id, len(hits.records), _micros_since(started), plan=hits.plan)
    records = await shard.scroll(stage.scroll)
    micros = _micros_since(started)
    estimated = await shard.count(stage.scroll.filter, exact=False)
    return ShardExplanation(shard_id, len(records), micros, estimated=estimated)


def _told(
    path: str,
    stage: Searched | Listed,
    shards: list[ShardExplanation],
    schema: Mapping[str, PayloadSchema],
) -> StageExplanation:
    asked = stage.search if isinstance(stage, Searched) else stage.scroll
    using = stage.search.using if isinstance(stage, Searched) else None
    indexed, unindexed = _fields(asked.filter, schema)
    return StageExplanation(path, _kind(stage), using, asked.limit, indexed, unindexed, shards)


def _kind(stage: Searched | Listed) -> str:
    if isinstance(stage, Searched):
        return "search"
    if stage.scroll.sample_seed is not None:
        return "sample"
    return "scroll" if stage.scroll.order_by is None else "order_by"


def _fields(filter: Filter | None, schema: Mapping[str, PayloadSchema]) -> tuple[list[str], list[str]]:
    if filter is None:
        return [], []
    return indexed_fields(filter, schema), [path.text for path in missing_indexes(filter, schema)]


def _micros_since(started_s: float) -> float:
    return (time.perf_counter() - started_s) * 1e6
