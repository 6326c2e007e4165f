"""Backups of the whole cluster; ours, beyond Qdrant."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from msgspec import Struct

from node.client.backups import Pruned
from router.auth.needs import Need
from router.rest.bodies.reading import read_body
from router.rest.bodies.snapshots import PruneBody, decode_prune
from router.rest.envelope import Operation, enveloped_route
from router.rest.routes import Route
from router.snapshots.backups import BackupDescription, BackupOperations
from router.snapshots.operations import SnapshotOperations

_BASE = "/cluster/backups"


class BackupList(Struct, frozen=True):
    backups: list[str]


def backup_routes(backups: BackupOperations, snapshots: SnapshotOperations) -> list[Route]:
    """``snapshots`` carries calls to their end, whoever waits."""

    async def create(_request: web.Request) -> BackupDescription:
        return await snapshots.finish(backups.create(), "back up the cluster")

    async def listed(_request: web.Request) -> BackupList:
        return BackupList(await backups.list())

    async def recover(request: web.Request) -> bool:
        call = backups.restore(request.match_info["backup_name"])
        return await snapshots.finish(call, "restore a backup of the cluster")

    async def prune(request: web.Request) -> Pruned:
        retention = decode_prune(await read_body(request))
        return await snapshots.finish(backups.prune(retention), "remove old backups of the cluster")

    return [
        _route("POST", f"{_BASE}/prune", prune, "Remove old backups from this node", Pruned, PruneBody),
        _route("POST", _BASE, create, "Back up the whole cluster, as of one moment", BackupDescription),
        _route("GET", _BASE, listed, "List backups of the cluster on this node", BackupList),
        _route("POST", f"{_BASE}/{{backup_name}}/recover", recover, "Restore all collections of one", bool),
    ]


def _route(
    method: str, path: str, operation: Operation, summary: str, result: Any, body: Any = None
) -> Route:
    need = Need.GLOBAL_MANAGE
    return enveloped_route(method, path, operation, need, summary, tag="Snapshots", body=body, result=result)
