"""A node without shards: ``node.client.NodeClient`` of a router, whose replicas are all on other nodes.

Whatever needs files of shards here is refused: a router has none, and what lies on its disk goes with it.
"""
# ruff: noqa: ARG002 - the ports' arguments, of calls that are all refused

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NoReturn

from consensus.state import ClusterState, CollectionState
from node.client import QuotaReport, SearchLoad
from node.client.backups import Backup, Pruned, Retention, Undisturbed
from node.client.snapshots import (
    ContentFile,
    PartialManifest,
    PartialReceiver,
    Ready,
    SnapshotDescription,
    Written,
)
from node.peer.calls import PeerCalls
from node.peer.remote import RemoteReplica
from node.quotas import Quotas
from protos.errors import BadRequest, ShardUnavailable
from protos.hardware import HardwareUsage
from protos.quotas import QuotaConfig
from protos.shard import SearchRequest
from protos.shard_client import ShardClient


class ShardlessNode:
    """Implements ``node.client.NodeClient``."""

    def __init__(self, calls: PeerCalls, quotas: Quotas) -> None:
        self._calls, self._quotas = calls, quotas

    def shard(self, collection: str, shard_id: int, *, answers_since: int | None = None) -> ShardClient:
        raise ShardUnavailable(f"shard {shard_id} of collection `{collection}` is not on this node, a router")

    def search_soon(self, collection: str, shard_id: int, request: SearchRequest) -> None: ...

    def replica(self, collection: CollectionState, shard_id: int, peer_id: int) -> RemoteReplica:
        return RemoteReplica(self._calls, peer_id, collection.uuid, shard_id)

    async def reconcile(self, state: ClusterState) -> None:
        """There is nothing to be brought to it."""

    def touch(self, collection: str) -> None:
        """No optimizer is here."""

    def search_load(self) -> SearchLoad:
        return SearchLoad(0, 0, 0)

    def hardware(self) -> Mapping[str, HardwareUsage]:
        return {}

    def quotas(self) -> QuotaReport:
        return self._quotas.report()

    def set_quotas(self, agreed: QuotaConfig | None) -> None:
        self._quotas.configure(agreed)

    async def close(self) -> None:
        """Nothing is open."""


def _refuse() -> NoReturn:
    raise BadRequest(
        "This node is a router: it holds no shards, and keeps no snapshots or backups. Ask one of the peers"
        " that GET /cluster names"
    )


class ShardlessSnapshots:
    """A ``node.client.snapshots.SnapshotNode``, and a ``node.client.backups.BackupNode``. Each call raises
    BadRequest."""

    def check(self) -> None:
        _refuse()

    async def write(
        self, collection: CollectionState, shard_ids: Sequence[int], path: Path, *, kind: str
    ) -> Written:
        _refuse()

    async def manifest(self, collection: CollectionState, shard_id: int) -> PartialManifest:
        _refuse()

    async def write_partial(
        self, collection: CollectionState, shard_id: int, theirs: PartialManifest, path: Path
    ) -> Written | None:
        _refuse()

    def receiving(
        self, collection: CollectionState, shard_id: int
    ) -> AbstractAsyncContextManager[PartialReceiver]:
        _refuse()

    async def read(self, path: Path, accept: Callable[[SnapshotDescription], None]) -> Ready:
        _refuse()

    async def assemble(
        self, description: SnapshotDescription, files: Mapping[int, Sequence[ContentFile]]
    ) -> Ready:
        _refuse()

    async def prepare(
        self, ready: Ready, collection: CollectionState, as_shards: Mapping[int, int]
    ) -> dict[int, str]:
        _refuse()

    async def discard(self, names: Iterable[str]) -> None:
        _refuse()

    async def settled(self, collection: CollectionState, files: Mapping[int, str]) -> None:
        _refuse()

    async def back_up(self, root: Path) -> str:
        _refuse()

    async def backups(self, root: Path) -> list[str]:
        _refuse()

    async def backup(self, root: Path, name: str) -> Backup:
        _refuse()

    async def prune(self, root: Path, retention: Retention, undisturbed: Undisturbed) -> Pruned:
        _refuse()
