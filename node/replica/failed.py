"""A replica whose files could not be opened, or are not to be: it stays listed, says why, serves nothing.

Serving the part that can be read might miss acknowledged writes without anyone noticing.
"""

from __future__ import annotations

from typing import NoReturn

from protos.errors import ServiceError
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
    unreachable_shard,
)
from protos.stages import StagedRequest


def withheld(recovery_mode: str) -> str:
    """Why a shard is not opened that may well be sound (``storage.recovery_mode``)."""
    return f"this node is in recovery mode: {recovery_mode}"


class FailedReplica:
    """Implements ``protos.shard_client.ShardClient`` by telling ``reason``."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    async def update(self, request: UpdateRequest) -> UpdateResult:  # noqa: ARG002
        self._refuse()

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:  # noqa: ARG002
        self._refuse()

    async def scroll(self, request: ScrollRequest) -> list[Record]:  # noqa: ARG002
        self._refuse()

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:  # noqa: ARG002
        self._refuse()

    async def count(self, filter: Filter | None, *, exact: bool) -> int:  # noqa: ARG002
        self._refuse()

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:  # noqa: ARG002
        self._refuse()

    async def facet(self, request: FacetRequest) -> list[FacetHit]:  # noqa: ARG002
        self._refuse()

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:  # noqa: ARG002
        self._refuse()

    async def info(self) -> ShardInfo:
        return unreachable_shard(self.reason)

    async def memory(self) -> ShardMemory:
        self._refuse()

    async def close(self, *, checkpoint: bool = True) -> None:
        """Nothing is open."""

    def _refuse(self) -> NoReturn:
        raise ServiceError(f"the shard could not be opened: {self.reason}")
