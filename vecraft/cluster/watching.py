"""What the nodes say of themselves, asked over their REST API once per round.

A node that does not answer holds nobody up: each is asked by itself, and given ``ANSWER_S_MAX``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from msgspec import Struct

from vecraft.cluster.nodes import Node

ANSWER_S_MAX = 2.0
COLLECTIONS_MAX = 8  # shown; asking for hundreds every second would be load of our own making

Json = dict[str, Any]


class NodeStatus(Struct, frozen=True, kw_only=True):
    """``condition``: ready, starting, silent, or how it ended. None: it has not said."""

    name: str
    url: str
    condition: str
    peer_id: int | None = None
    role: str | None = None
    leader: int | None = None
    term: int | None = None
    commit: int | None = None
    peers: int | None = None
    shards: int | None = None
    memory_bytes: int | None = None


class CollectionStatus(Struct, frozen=True, kw_only=True):
    """``replicas``: how many are in which state, as the node that was asked sees it."""

    name: str
    shards: int
    replicas: Mapping[str, int]
    points: int
    transfers: int


class ClusterStatus(Struct, frozen=True):
    nodes: tuple[NodeStatus, ...]
    collections: tuple[CollectionStatus, ...]
    collections_total: int = 0

    @property
    def leaders(self) -> set[int]:
        """As the nodes believe; exactly one when all agree."""
        return {node.leader for node in self.nodes if node.leader is not None}


class Watcher:
    """As an async context manager."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._ready: set[int] = set()  # a node that has been ready is not "starting" any more
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S_MAX), trust_env=False)

    async def __aenter__(self) -> Watcher:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def look(self) -> ClusterStatus:
        reports = await asyncio.gather(*(self._ask(node) for node in self._nodes))
        statuses = tuple(self._status(node, report) for node, report in zip(self._nodes, reports))
        heard = [report for report in reports if report is not None]
        names = sorted({name for report in heard for name in report.collections})
        shown = tuple(collection_status(name, heard) for name in names[:COLLECTIONS_MAX])
        return ClusterStatus(statuses, shown, len(names))

    async def _ask(self, node: Node) -> Report | None:
        if node.status is not None:
            return None
        url = node.place.url
        try:
            cluster = await self._get(f"{url}/cluster")
            listed = await self._get(f"{url}/collections")
            async with self._http.get(f"{url}/readyz") as answer:
                ready = answer.status == 200
            names = sorted(found["name"] for found in listed["collections"])
            details = await asyncio.gather(*(self._details(url, name) for name in names[:COLLECTIONS_MAX]))
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
            return None
        known = {name: found for name, found in zip(names, details) if found is not None}
        return Report(cluster, ready, {**dict.fromkeys(names), **known})

    async def _details(self, url: str, name: str) -> Json | None:
        try:
            return await self._get(f"{url}/collections/{name}/cluster")
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):  # it was deleted, or is slow
            return None

    async def _get(self, url: str) -> Json:
        async with self._http.get(url) as answer:
            answer.raise_for_status()
            result: Json = (await answer.json())["result"]
            return result

    def _status(self, node: Node, report: Report | None) -> NodeStatus:
        place = node.place
        if node.status is not None:
            return NodeStatus(name=place.name, url=place.url, condition=how_it_ended(node.status))
        memory = node.memory_bytes()
        if report is None:
            condition = "silent" if place.number in self._ready else "starting"
            return NodeStatus(name=place.name, url=place.url, condition=condition, memory_bytes=memory)
        if report.ready:
            self._ready.add(place.number)
        return node_status(place.name, place.url, report, memory)


class Report(Struct, frozen=True):
    """``cluster``: what ``GET /cluster`` says; ``collections``: what each one's does (None: unknown)."""

    cluster: Json
    ready: bool
    collections: dict[str, Json | None]


def node_status(name: str, url: str, report: Report, memory_bytes: int | None) -> NodeStatus:
    raft = report.cluster.get("raft_info") or {}
    thread = (report.cluster.get("consensus_thread_status") or {}).get("consensus_thread_status")
    condition = "ready" if report.ready else "starting"
    if thread is not None and thread != "working":
        condition = f"consensus {thread}"
    known = [found for found in report.collections.values() if found is not None]
    return NodeStatus(
        name=name,
        url=url,
        condition=condition,
        peer_id=report.cluster.get("peer_id"),
        role=raft.get("role"),
        leader=raft.get("leader"),
        term=raft.get("term"),
        commit=raft.get("commit"),
        peers=len(report.cluster["peers"]) if "peers" in report.cluster else None,
        shards=sum(len(found["local_shards"]) for found in known),
        memory_bytes=memory_bytes,
    )


def collection_status(name: str, reports: Sequence[Report]) -> CollectionStatus:
    """From what every node says: states as the first one sees them, points as the holders count them."""
    views = [view for report in reports if (view := report.collections.get(name)) is not None]
    if not views:
        return CollectionStatus(name=name, shards=0, replicas={}, points=0, transfers=0)
    replicas = [*views[0]["local_shards"], *views[0]["remote_shards"]]
    points: dict[int, int] = {}
    for shard in (shard for view in views for shard in view["local_shards"]):
        points[shard["shard_id"]] = max(points.get(shard["shard_id"], 0), shard["points_count"])
    return CollectionStatus(
        name=name,
        shards=views[0]["shard_count"],
        replicas=dict(sorted(Counter(shard["state"] for shard in replicas).items())),
        points=sum(points.values()),
        transfers=len(views[0]["shard_transfers"]),
    )


def how_it_ended(status: int) -> str:
    return f"ended by signal {-status}" if status < 0 else f"ended ({status})"
