"""What this node holds, for operators: the numbers behind ``/metrics`` and ``/telemetry``.

Lives here: asking every replica of this node once. May not live here: formats, they are ``metrics``'s and
``telemetry``'s business.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from consensus.log import MetadataLog
from consensus.state import CollectionState
from node.client import NodeClient, QuotaReport, SearchLoad
from protos.errors import VecraftError
from protos.hardware import HardwareUsage
from protos.shard import ShardInfo, ShardStatus
from router.snapshots.statistics import PartialCounts, SnapshotCounts, SnapshotStatistics


class ShardEntry(Struct, frozen=True):
    """``info`` is None when the shard cannot be asked: it is not ``local``, or is being opened or dropped."""

    id: int
    info: ShardInfo | None
    local: bool = True
    partial: PartialCounts = PartialCounts()


class CollectionEntry(Struct, frozen=True):
    """``peer_id`` is this node's; ``snapshots``: what it does about them; ``hardware``:
    what reads and writes have cost here, None: nothing, or it is not measured."""

    state: CollectionState
    shards: list[ShardEntry]
    peer_id: int = 0
    snapshots: SnapshotCounts = SnapshotCounts()
    hardware: HardwareUsage | None = None

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def infos(self) -> list[ShardInfo]:
        return [shard.info for shard in self.shards if shard.info is not None]

    @property
    def points(self) -> int:
        return sum(info.points for info in self.infos)

    @property
    def vectors(self) -> dict[str, int]:
        """By name, over all shards."""
        totals: dict[str, int] = {}
        for info in self.infos:
            for name, count in info.vectors.items():
                totals[name] = totals.get(name, 0) + count
        return totals

    @property
    def optimizing(self) -> int:
        return sum(info.status is ShardStatus.YELLOW for info in self.infos)

    @property
    def incoming_transfers(self) -> int:
        return sum(transfer.target == self.peer_id for transfer in self.state.transfers)

    @property
    def outgoing_transfers(self) -> int:
        return sum(transfer.source == self.peer_id for transfer in self.state.transfers)

    @property
    def first_error(self) -> str | None:
        return next((info.optimizer_error for info in self.infos if info.optimizer_error), None)


class Inventory:
    def __init__(
        self, log: MetadataLog, node: NodeClient, snapshots: SnapshotStatistics | None = None
    ) -> None:
        self._log = log
        self._node = node
        self._snapshots = snapshots or SnapshotStatistics()

    @property
    def collections_total(self) -> int:
        return len(self._log.state.collections)

    @property
    def states(self) -> Mapping[str, CollectionState]:
        return self._log.state.collections

    def search_load(self) -> SearchLoad:
        return self._node.search_load()

    def quotas(self) -> QuotaReport:
        return self._node.quotas()

    async def collections(self) -> list[CollectionEntry]:
        """Every collection, by name."""
        states = sorted(self._log.state.collections.items())
        peer_id, hardware = self._log.peer_id, self._node.hardware()
        return [
            CollectionEntry(
                state,
                await self._shards(state, peer_id),
                peer_id,
                self._snapshots.of(name),
                hardware.get(state.uuid),
            )
            for name, state in states
        ]

    async def _shards(self, state: CollectionState, peer_id: int) -> list[ShardEntry]:
        return [
            ShardEntry(
                shard_id,
                await self._info(state.name, shard_id),
                partial=self._snapshots.of_shard(state.name, shard_id),
            )
            if peer_id in shard.replicas
            else ShardEntry(shard_id, None, local=False)
            for shard_id, shard in sorted(state.shards.items())
        ]

    async def _info(self, collection: str, shard: int) -> ShardInfo | None:
        try:
            return await self._node.shard(collection, shard).info()
        except VecraftError:
            return None
