"""Asking all nodes for what is on record there."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from msgspec import Struct

from consensus.log import MetadataLog
from node.client.cluster import ClusterClient
from protos.errors import BadRequest, ServiceError, VecraftError
from protos.logger import get_logger
from router.audit.entries import Wanted, newest
from router.audit.files import AuditLog

TIMEOUT_S: Final = 60.0

_log = get_logger(__name__)


class Entries(Struct, frozen=True, omit_defaults=True):
    """The newest first. ``missing_peers``: those that did not answer; their entries may be newer."""

    entries: list[dict[str, Any]]
    missing_peers: list[int] = []


class AuditSearch:
    """``own`` None: nothing is put on record here. ``cluster`` None: a node on its own."""

    def __init__(self, own: AuditLog | None, log: MetadataLog, cluster: ClusterClient | None) -> None:
        self._own, self._log, self._cluster = own, log, cluster

    async def everywhere(self, wanted: Wanted, *, timeout_ms: int | None = None) -> Entries:
        """Raises: InvalidField; BadRequest if there is no audit log."""
        wanted.check()
        if self._own is None:
            raise BadRequest("Audit logging is not enabled")
        timeout_s = TIMEOUT_S if timeout_ms is None else timeout_ms / 1000
        cluster = self._cluster
        if cluster is None:
            return Entries(await self._here(wanted))
        peers = sorted({*self._log.state.peers, cluster.peer_id})  # a router is none of them
        answers = await asyncio.gather(*(self._at(cluster, peer, wanted, timeout_s) for peer in peers))
        missing = [peer for peer, answer in zip(peers, answers) if answer is None]
        return Entries(newest((answer for answer in answers if answer is not None), wanted.limit), missing)

    async def for_peers(self, request: bytes) -> bytes:
        """What another node asks, as JSON both. Raises: ServiceError."""
        try:
            wanted = _wanted.decode(request)
        except msgspec.MsgspecError as error:
            raise ServiceError(f"what a peer asks of the audit log is not known here: {error}") from error
        return msgspec.json.encode([] if self._own is None else await self._here(wanted))

    async def _at(
        self, cluster: ClusterClient, peer: int, wanted: Wanted, timeout_s: float
    ) -> list[dict[str, Any]] | None:
        try:
            async with asyncio.timeout(timeout_s):
                if peer == cluster.peer_id:
                    return await self._here(wanted)
                request = msgspec.json.encode(wanted)
                return _found.decode(await cluster.audit_entries(peer, request, timeout_s=timeout_s))
        except (VecraftError, TimeoutError, msgspec.MsgspecError) as error:
            _log.warning("peer_audit_log_missing", peer_id=peer, error=str(error) or "no answer in time")
            return None

    async def _here(self, wanted: Wanted) -> list[dict[str, Any]]:
        assert self._own is not None
        try:
            return await asyncio.to_thread(self._own.search, wanted)
        except OSError as error:
            raise ServiceError(f"the audit log cannot be read: {error}") from error


_wanted = msgspec.json.Decoder(Wanted)
_found = msgspec.json.Decoder(list[dict[str, Any]])
