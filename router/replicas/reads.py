"""One shard's reads as a ``ShardClient`` offers them, answered by as many replicas as the plan says.

Lives here: which resolution and which merge belong to which read.
May not live here: choosing (``router.replicas.consistency``), asking (``router.replicas.asking``), writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from node.client import ReplicaClient
from protos.facets import FacetHit, FacetRequest
from protos.filters import Filter
from protos.idf import Frequencies, FrequencyRequest
from protos.ids import PointId
from protos.shard import Hits, Position, Projection, Record, ScrollRequest, SearchRequest
from protos.stages import StagedRequest
from router.merge import in_order, merge_hits, merge_pages, merge_staged
from router.replicas.asking import ATTEMPT_MS, Call, ReplicaReads, Resolve
from router.replicas.consistency import (
    Answer,
    AskAgain,
    Plan,
    Resolved,
    resolve_count,
    resolve_facets,
    resolve_frequencies,
    resolve_hits,
    resolve_records,
)

T = TypeVar("T")


class ShardReads:
    """The reads of one request from one shard.

    Args:
        ascending: whether smaller scores of a vector name are better.
        answers_since: of the shard, as in ``ReadSession``.
        hedge_delay_ms: the collection's ``read_fan_out_delay_ms``.
    """

    def __init__(
        self,
        reads: ReplicaReads,
        plan: Plan,
        replicas: Mapping[int, ReplicaClient],
        *,
        ascending: Callable[[str], bool],
        hedge_delay_ms: int | None = None,
        at_least: Position | None = None,
        answers_since: int | None = None,
    ) -> None:
        self._reads, self._plan, self._replicas = reads, plan, replicas
        self._ascending = ascending
        self._hedge_delay_ms = hedge_delay_ms
        self._at_least, self._answers_since = at_least, answers_since

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        def merge(place: int, parts: list[Hits]) -> Hits:
            request = requests[place]
            return merge_hits(parts, request.limit, ascending=self._ascending(request.using))

        def resolve(answers: Sequence[Answer[list[Hits]]], final: bool) -> Resolved[list[Hits]] | AskAgain:
            return resolve_hits(answers, self._plan, merge, final=final)

        return await self._read(lambda shard: shard.search(requests), resolve)

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        def merge(place: int, parts: list[Hits]) -> Hits:
            return merge_staged(parts, requests[place].stage, self._ascending)

        def resolve(answers: Sequence[Answer[list[Hits]]], final: bool) -> Resolved[list[Hits]] | AskAgain:
            return resolve_hits(answers, self._plan, merge, final=final)

        return await self._read(lambda shard: shard.query_staged(requests), resolve)

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        def resolve(
            answers: Sequence[Answer[list[Record]]], final: bool
        ) -> Resolved[list[Record]] | AskAgain:
            return resolve_records(
                answers, self._plan, lambda parts: merge_pages(parts, request), final=final
            )

        return await self._read(lambda shard: shard.scroll(request), resolve)

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        def resolve(
            answers: Sequence[Answer[list[Record]]], final: bool
        ) -> Resolved[list[Record]] | AskAgain:
            return resolve_records(answers, self._plan, lambda parts: in_order(parts, ids), final=final)

        return await self._read(lambda shard: shard.retrieve(ids, projection), resolve)

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        def resolve(answers: Sequence[Answer[int]], final: bool) -> Resolved[int]:  # noqa: ARG001
            return resolve_count(answers, self._plan)

        return await self._read(lambda shard: shard.count(filter, exact=exact), resolve)

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        def resolve(answers: Sequence[Answer[list[FacetHit]]], final: bool) -> Resolved[list[FacetHit]]:  # noqa: ARG001
            return resolve_facets(answers, self._plan)

        return await self._read(lambda shard: shard.facet(request), resolve)

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        def resolve(
            answers: Sequence[Answer[list[Frequencies]]],
            final: bool,  # noqa: ARG001
        ) -> Resolved[list[Frequencies]]:
            return resolve_frequencies(answers, self._plan)

        return await self._read(lambda shard: shard.frequencies(requests), resolve)

    async def _read(self, call: Call[T], resolve: Resolve[T]) -> T:
        plan = self._plan
        dispensable = plan.spare or len(plan.ask) > plan.votes  # is there a way without one of them?
        return await self._reads.read(
            plan,
            self._replicas,
            call,
            resolve,
            hedge_delay_ms=self._hedge_delay_ms,
            attempt_ms=ATTEMPT_MS if dispensable else None,
            at_least=self._at_least,
            answers_since=self._answers_since,
        )
