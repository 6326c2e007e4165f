"""Quotas behind their endpoint: what is agreed on, and how much every member uses (reference 15.3)."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct

from consensus.commands import SetQuotas
from consensus.log import MetadataLog
from consensus.state import LEVEL_OF_QUOTAS, ClusterState
from consensus.transitions import Events
from node.client import NodeClient
from node.client.cluster import ClusterClient
from protos.errors import BadRequest, VecraftError, operation_timed_out
from protos.quotas import QuotaConfig, QuotaUsage
from router.background import Background
from router.collections.operations import META_TIMEOUT_MS

PEER_TIMEOUT_S = 5.0


class PeerUsage(Struct, frozen=True):
    exceeded: bool
    resident_memory_percent: int | None
    disk_usage_percent: int | None


class QuotaStatus(Struct, frozen=True, omit_defaults=True):
    """``peers``: None on a node on its own; who does not answer is missing."""

    config: QuotaConfig
    usage: QuotaUsage
    peers: dict[str, PeerUsage] | None = None


class _Exceeded(Struct, frozen=True):
    resident_memory: bool | None
    disk_usage: bool | None


class _Quota(Struct, frozen=True):
    exceeded: _Exceeded


class _Telemetry(Struct, frozen=True):
    quota: _Quota
    quota_usage: QuotaUsage


_decoder = msgspec.json.Decoder(_Telemetry)


class QuotaOperations:
    """``cluster`` None: this node is on its own. Has the node keep to what is agreed on, until ``close``."""

    def __init__(self, log: MetadataLog, node: NodeClient, cluster: ClusterClient | None) -> None:
        self._log, self._node, self._cluster = log, node, cluster
        self._background = Background()
        node.set_quotas(log.state.quotas)
        self._stop_following = log.subscribe(self._follow)

    async def close(self) -> None:
        """Wait for changes that are still being carried out."""
        await self._background.drain()
        self._stop_following()

    def _follow(self, state: ClusterState, _: Events) -> None:
        self._node.set_quotas(state.quotas)

    async def status(self) -> QuotaStatus:
        own = self._node.quotas()
        if self._cluster is None:
            return QuotaStatus(own.config, own.usage)
        state, own_id = self._log.state, self._log.peer_id
        mine = PeerUsage(own.exceeded, own.usage.resident_memory_percent, own.usage.disk_usage_percent)
        others = sorted(state.peers.keys() - {own_id})
        found = await asyncio.gather(*(self._ask(self._cluster, peer) for peer in others))
        peers = {str(peer): usage for peer, usage in zip(others, found) if usage is not None}
        here = {str(own_id): mine} if own_id in state.peers else {}  # a router is no peer
        return QuotaStatus(own.config, own.usage, {**here, **peers})

    async def set(self, config: QuotaConfig, *, wait: bool = False) -> bool:
        """Replace the configuration of all members. Without ``wait`` it is done soon after.

        Raises: BadRequest while some members are too old to know of quotas; Timeout.
        """
        if self._cluster is not None and self._log.state.feature_level < LEVEL_OF_QUOTAS:
            raise BadRequest("some peers are of a version without quotas: upgrade them first")
        timeout_s = META_TIMEOUT_MS / 1000 if wait else 0.0
        call = self._propose(SetQuotas(config))
        try:
            await self._background.finish(call, what="Set quotas", timeout_s=timeout_s)
        except TimeoutError as error:
            if wait:
                raise operation_timed_out("Set quotas", timeout_s) from error
        return True

    async def _propose(self, command: SetQuotas) -> None:
        await self._log.propose(command)

    async def _ask(self, cluster: ClusterClient, peer: int) -> PeerUsage | None:
        try:
            told = _decoder.decode(await cluster.telemetry(peer, level=0, timeout_s=PEER_TIMEOUT_S))
        except (VecraftError, msgspec.MsgspecError):
            return None
        exceeded, usage = told.quota.exceeded, told.quota_usage
        return PeerUsage(
            bool(exceeded.resident_memory or exceeded.disk_usage),
            usage.resident_memory_percent,
            usage.disk_usage_percent,
        )
