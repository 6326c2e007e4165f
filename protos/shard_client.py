"""The shard port: one shard as a router sees it, local or remote."""

from __future__ import annotations

from typing import Protocol

from protos.facets import FacetHit, FacetRequest
from protos.filters import Filter
from protos.idf import Frequencies, FrequencyRequest
from protos.ids import PointId
from protos.memory import ShardMemory
from protos.operations import UpdateResult
from protos.shard import (
    Hits,
    Projection,
    Record,
    ScrollRequest,
    SearchRequest,
    ShardInfo,
    UpdateRequest,
)
from protos.stages import StagedRequest


class ShardClient(Protocol):
    """One shard as seen from outside, local or remote.

    Every method raises ``protos.errors.VecraftError``; reads answer from one immutable view.
    """

    async def update(self, request: UpdateRequest) -> UpdateResult: ...

    async def search(self, requests: list[SearchRequest]) -> list[Hits]: ...

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        """What stages of searches find; the scores of a stage that lists points are 1.0."""
        ...

    async def scroll(self, request: ScrollRequest) -> list[Record]: ...

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        """The points that exist, in the order asked, without repeats."""
        ...

    async def count(self, filter: Filter | None, *, exact: bool) -> int: ...

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        """By descending count, then ascending value. Raises: BadInput without an index that can tell."""
        ...

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        """For each request. Raises: BadInput: no such sparse vector."""
        ...

    async def info(self) -> ShardInfo: ...

    async def memory(self) -> ShardMemory:
        """What its data takes, of this replica."""
        ...
