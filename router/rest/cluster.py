"""Cluster endpoints: status, members, metadata keys, replica sets, shard keys (reference 3, 14).

A node on its own refuses them, once what the path and the parameters got wrong has been told.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from router.auth.needs import Need
from router.cluster import ClusterOperations
from router.cluster.requests import ClusterChange, DropShardingKey
from router.cluster.status import ClusterStatus, MemberInfo
from router.rest.bodies.cluster import (
    ClusterChangeBody,
    CreateShardingKeyBody,
    decode_cluster_change,
    decode_create_key,
    decode_drop_key,
    decode_metadata,
)
from router.rest.bodies.reading import read_body
from router.rest.envelope import enveloped_route
from router.rest.errors import BadPath
from router.rest.params import DIGITS_MAX, collection_name, flag, operation_timeout_ms
from router.rest.routes import Route

_COLLECTION = "/collections/{collection_name}"
_KEYS = "/cluster/metadata/keys"
_DRAIN = "/cluster/peer/{peer_id}/drain"
_TIMEOUT = ("timeout",)

_route = partial(enveloped_route, tag="Distributed")


def cluster_routes(cluster: ClusterOperations) -> list[Route]:
    handlers = _ClusterHandlers(cluster)
    changes = _ChangeHandlers(cluster)
    return [
        _route(
            "GET",
            "/cluster",
            handlers.status,
            Need.GLOBAL_READ,
            "Get cluster status info",
            result=ClusterStatus,
        ),
        _route(
            "POST",
            "/cluster/recover",
            handlers.recover,
            Need.GLOBAL_MANAGE,
            "Catch up with the cluster",
            result=bool,
        ),
        _route(
            "DELETE",
            "/cluster/peer/{peer_id}",
            handlers.remove_peer,
            Need.GLOBAL_MANAGE,
            "Remove a peer from the cluster",
            ("timeout", "force"),
            result=bool,
        ),
        _route(
            "GET",
            "/cluster/peers",
            handlers.members,
            Need.GLOBAL_READ,
            "List the peers",
            result=list[MemberInfo],
        ),
        _route(
            "PUT",
            _DRAIN,
            handlers.drain,
            Need.GLOBAL_MANAGE,
            "Move a peer's replicas to others",
            _TIMEOUT,
            result=bool,
        ),
        _route(
            "DELETE",
            _DRAIN,
            handlers.stop_draining,
            Need.GLOBAL_MANAGE,
            "Let a peer hold replicas",
            _TIMEOUT,
            result=bool,
        ),
        _route("GET", _KEYS, handlers.keys, Need.GLOBAL_READ, "List cluster metadata keys", result=list[str]),
        _route("GET", f"{_KEYS}/{{key}}", handlers.metadata, Need.GLOBAL_READ, "Get cluster metadata"),
        _route(
            "PUT",
            f"{_KEYS}/{{key}}",
            handlers.set_metadata,
            Need.GLOBAL_WRITE,
            "Set cluster metadata",
            ("wait",),
            result=bool,
        ),
        _route(
            "DELETE",
            f"{_KEYS}/{{key}}",
            handlers.delete_metadata,
            Need.GLOBAL_WRITE,
            "Delete cluster metadata",
            ("wait",),
            result=bool,
        ),
        _route(
            "POST",
            f"{_COLLECTION}/cluster",
            changes.change,
            Need.MANAGE_COLLECTION,
            "Update cluster setup of a collection",
            _TIMEOUT,
            body=ClusterChangeBody,
            result=bool,
        ),
        _route(
            "PUT",
            f"{_COLLECTION}/shards",
            changes.create_key,
            Need.MANAGE_COLLECTION,
            "Create shard key",
            _TIMEOUT,
            body=CreateShardingKeyBody,
            result=bool,
        ),
        _route(
            "POST",
            f"{_COLLECTION}/shards/delete",
            changes.drop_key,
            Need.MANAGE_COLLECTION,
            "Delete shard key",
            _TIMEOUT,
            body=DropShardingKey,
            result=bool,
        ),
    ]


class _ClusterHandlers:
    def __init__(self, cluster: ClusterOperations) -> None:
        self._cluster = cluster

    async def status(self, _request: web.Request) -> ClusterStatus:
        return self._cluster.status()

    async def recover(self, _request: web.Request) -> bool:
        return await self._cluster.recover()

    async def remove_peer(self, request: web.Request) -> bool:
        peer_id, timeout_ms = unsigned(request, "peer_id", bits=64), operation_timeout_ms(request)
        force = flag(request, "force")
        return await self._cluster.remove_peer(peer_id, force=force, timeout_ms=timeout_ms)

    async def members(self, _request: web.Request) -> list[MemberInfo]:
        return self._cluster.members()

    async def drain(self, request: web.Request) -> bool:
        return await self._set_draining(request, draining=True)

    async def stop_draining(self, request: web.Request) -> bool:
        return await self._set_draining(request, draining=False)

    async def _set_draining(self, request: web.Request, *, draining: bool) -> bool:
        peer_id, timeout_ms = unsigned(request, "peer_id", bits=64), operation_timeout_ms(request)
        return await self._cluster.drain_peer(peer_id, draining=draining, timeout_ms=timeout_ms)

    async def keys(self, _request: web.Request) -> list[str]:
        return self._cluster.metadata_keys()

    async def metadata(self, request: web.Request) -> Any:
        return self._cluster.metadata(request.match_info["key"])

    async def set_metadata(self, request: web.Request) -> bool:
        wait = flag(request, "wait")
        self._cluster.require_cluster()
        value = decode_metadata(await read_body(request))
        return await self._cluster.set_metadata(request.match_info["key"], value, wait=wait)

    async def delete_metadata(self, request: web.Request) -> bool:
        wait = flag(request, "wait")
        return await self._cluster.set_metadata(request.match_info["key"], None, wait=wait)


class _ChangeHandlers:
    """Changes of where a collection's points are."""

    def __init__(self, cluster: ClusterOperations) -> None:
        self._cluster = cluster

    async def change(self, request: web.Request) -> bool:
        timeout_ms = self._checked(request)
        return await self._carry_out(request, decode_cluster_change(await read_body(request)), timeout_ms)

    async def create_key(self, request: web.Request) -> bool:
        timeout_ms = self._checked(request)
        return await self._carry_out(request, decode_create_key(await read_body(request)), timeout_ms)

    async def drop_key(self, request: web.Request) -> bool:
        timeout_ms = self._checked(request)
        return await self._carry_out(request, decode_drop_key(await read_body(request)), timeout_ms)

    def _checked(self, request: web.Request) -> int | None:
        """The timeout in ms. Raises: what the path and parameters got wrong; StandaloneMode."""
        collection_name(request)
        timeout_ms = operation_timeout_ms(request)
        self._cluster.require_cluster()
        return timeout_ms

    async def _carry_out(self, request: web.Request, change: ClusterChange, timeout_ms: int | None) -> bool:
        return await self._cluster.change_collection(collection_name(request), change, timeout_ms=timeout_ms)


def unsigned(request: web.Request, name: str, *, bits: int) -> int:
    """A path parameter that is a number. Raises: BadPath."""
    text = request.match_info[name]
    if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX and int(text) < 2**bits:
        return int(text)
    raise BadPath(f"can not parse `{text}` to a u{bits}")
