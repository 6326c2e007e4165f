"""One scrape or report: what this node holds, its requests and its cluster, put together when asked for.

Lives here: gathering within a time. What is shown of it is ``metrics``'s and ``telemetry``'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from protos.errors import Timeout
from protos.logger import get_logger
from router.audit.files import AuditFigures
from router.auth.access import FULL, Access
from router.auth.gate import Denials
from router.cluster.status import ClusterReport
from router.load import Load
from router.monitoring.inventory import CollectionEntry, Inventory
from router.monitoring.machine import disk
from router.monitoring.metrics import NodeFigures, Requests, render
from router.monitoring.telemetry import Json, Process, telemetry, without_global_sections

_log = get_logger(__name__)

COLLECT_TIMEOUT_MS = 60_000


def on_its_own() -> ClusterReport | None:
    return None


class Collector:
    """``cluster`` tells of the cluster; None if there is none. ``measured``: what the floors below count.
    ``audit`` None: there is no audit log. ``denials``: by the gate."""

    def __init__(
        self,
        process: Process,
        inventory: Inventory,
        requests: Requests,
        *,
        cluster: Callable[[], ClusterReport | None] = on_its_own,
        metrics_prefix: str = "",
        measured: CollectorRegistry | None = None,
        load: Load | None = None,
        audit: Callable[[], AuditFigures] | None = None,
        denials: Denials | None = None,
    ) -> None:
        self._process, self._inventory, self._requests = process, inventory, requests
        self._cluster = cluster
        self._prefix, self._measured, self._load = metrics_prefix, measured, load
        self._audit, self._denials = audit, denials

    async def metrics(self, *, per_collection: bool = False, timeout_ms: int | None = None) -> bytes:
        """Raises: Timeout."""
        return render(
            version=self._process.version,
            collections=await self._entries(timeout_ms),
            requests=self._requests,
            prefix=self._prefix,
            per_collection=per_collection,
            cluster=self._cluster(),
            recovery_mode=self._process.recovery_mode,
            node=NodeFigures(
                self._measured,
                self._inventory.search_load(),
                disk(Path(self._process.storage_path)),
                self._load,
                self._inventory.quotas(),
                self._audited(),
                self._denials,
            ),
        )

    async def telemetry(
        self,
        *,
        level: int,
        anonymize: bool = False,
        per_collection: bool = False,
        timeout_ms: int | None = None,
        access: Access = FULL,
    ) -> Json:
        """What ``access`` shows. Raises: Timeout."""
        entries = [entry for entry in await self._entries(timeout_ms) if access.sees(entry.name)]
        told = telemetry(
            process=self._process,
            collections=entries,
            requests=self._requests,
            level=level,
            anonymize=anonymize,
            per_collection=per_collection,
            cluster=self._cluster(),
            quota=self._inventory.quotas(),
            audit=self._audited(),
        )
        return told if access.everywhere is not None else without_global_sections(told)

    async def for_peers(self, level: int) -> bytes:
        """This node's telemetry as JSON, and what ``/quotas`` wants, for other members. Raises: Timeout."""
        told = await self.telemetry(level=level)
        return msgspec.json.encode({**told, "quota_usage": self._inventory.quotas().usage})

    def _audited(self) -> AuditFigures | None:
        """None: nothing is put on record, or its files cannot be looked at."""
        try:
            return None if self._audit is None else self._audit()
        except OSError as error:
            _log.error("audit_log_not_measured", error=str(error))
            return None

    async def _entries(self, timeout_ms: int | None) -> list[CollectionEntry]:
        timeout_s = (timeout_ms or COLLECT_TIMEOUT_MS) / 1000
        try:
            async with asyncio.timeout(timeout_s):
                return await self._inventory.collections()
        except TimeoutError as error:
            raise Timeout(f"collecting telemetry timed out after {timeout_s:g}s") from error
