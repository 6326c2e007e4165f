"""The node as the floors above see it: the one door into ``node``.

Lives here: the ports. ``ShardClient`` (re-exported) is one shard, ``ReplicaClient`` one replica of it, local
or remote; ``NodeClient`` finds them and keeps this node's as the cluster state says; ``ClusterClient``
(``node.client.cluster``) is what may be asked of the cluster's machinery. ``asking``: a question to another
node, again and again.
May not live here: FAISS, LMDB, storage; nothing here may import a room of the node that does the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from consensus.state import ClusterState, CollectionState
from protos.hardware import HardwareUsage
from protos.operations import UpdateResult
from protos.quotas import QuotaConfig, QuotaUsage
from protos.shard import Hits, ReadSession, SearchRequest, UpdateRequest
from protos.shard_client import ShardClient

__all__ = ["NodeClient", "QuotaReport", "ReplicaClient", "SearchLoad", "ShardClient", "UpdateRequest"]


class SearchLoad(Struct, frozen=True):
    """The threads that answer reads: how many, how many of them at work, and what waits for one."""

    threads: int
    busy: int
    waiting: int


class QuotaReport(Struct, frozen=True):
    """What counts on this node, what is used, and what has reached its limit and is not released yet."""

    config: QuotaConfig
    usage: QuotaUsage
    memory_exceeded: bool
    disk_exceeded: bool

    @property
    def exceeded(self) -> bool:
        return self.memory_exceeded or self.disk_exceeded


class ReplicaClient(Protocol):
    """A replica of a shard, here or on another node."""

    def open(self, session: ReadSession) -> ShardClient:
        """The shard as this replica has it, for one request. Cheap; connects to nothing by itself.

        An ``update`` raises NotPrimary if another replica leads, ShardUnavailable if nothing was applied
        for another reason, Timeout if it may or may not have been applied.
        """
        ...

    async def settle_schema(self, config_version: int) -> UpdateResult:
        """Have the primary log what the shard still lacks of its collection's vector names and payload
        indexes, as of ``config_version`` or later. Durable and visible on return; the operation id is that
        of the last operation the shard has logged. Raises: as ``update``.
        """
        ...


class NodeClient(Protocol):
    def shard(self, collection: str, shard_id: int, *, answers_since: int | None = None) -> ShardClient:
        """This node's replica of a shard (the collection's real name, aliases are resolved above).

        ``answers_since``: as in ``ReadSession``; None: all that it holds, whoever's points they are.

        Raises: ShardUnavailable if this node does not hold it (yet).
        """
        ...

    def search_soon(
        self, collection: str, shard_id: int, request: SearchRequest
    ) -> Hits | asyncio.Future[Hits] | None:
        """What ``shard(…).search`` finds, if that takes no waiting and next to no time, or where it will be.

        None, or ShardUnavailable from the future: ask ``shard(…).search``. Raises: ServiceError.
        """
        ...

    def replica(self, collection: CollectionState, shard_id: int, peer_id: int) -> ReplicaClient:
        """The replica on a peer, this one included. Cheap. Raises: ShardUnavailable: an unknown peer."""
        ...

    async def reconcile(self, state: ClusterState) -> None:
        """Bring this node's replicas to what ``state`` says: create, reconfigure, drop. Idempotent."""
        ...

    def touch(self, collection: str) -> None:
        """Wake the optimizers of a collection: what an empty PATCH does (reference 7.3, grey)."""
        ...

    def search_load(self) -> SearchLoad:
        """As of now. Cheap."""
        ...

    def hardware(self) -> Mapping[str, HardwareUsage]:
        """What reads and writes of this node's replicas have cost since it started, by the uuid of their
        collection; empty if that is not measured (``service.hardware_reporting``)."""
        ...

    def quotas(self) -> QuotaReport:
        """As of now; reads a few files of the kernel's."""
        ...

    def set_quotas(self, agreed: QuotaConfig | None) -> None:
        """Keep to these from now on; None: to those this node was configured with. While one is exceeded,
        shards led here refuse what adds data with InsufficientStorage."""
        ...

    async def close(self) -> None:
        """Checkpoint and close every shard."""
        ...
