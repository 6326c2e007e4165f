"""``GET /cluster/telemetry``: every member's telemetry as one picture of the cluster.

Lives here: asking the members, and merging what they say with the agreed state (pure). What one member
tells of itself is ``router.monitoring.telemetry``'s business; of it only the fields below are read.

The state says which collections, shards, replicas and transfers there are; members add what only they know
of their own replicas. One that does not answer in time, or not in this form, is shown as not responsive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from consensus.state import ClusterState, CollectionState, ShardKey, ShardState
from node.client.cluster import ClusterClient
from protos.errors import VecraftError
from protos.logger import get_logger
from router.auth.access import Access
from router.cluster.resharding import reshardings, shown_state, shown_transfers
from router.cluster.status import ThreadStatus, shown_uri, transfer_info

LEVEL_MIN, LEVEL_MAX = 2, 10  # of detail; nothing more is told above level 4

# (level of detail) -> this member's telemetry, a JSON object
OwnTelemetry = Callable[[int], Awaitable[bytes]]

_log = get_logger(__name__)


# --- what is read of one member's telemetry ----------------------------------------------------------


class _App(Struct, frozen=True):
    version: str = ""


class _Status(Struct, frozen=True):
    term: int
    commit: int
    pending_operations: int
    is_voter: bool
    consensus_thread_status: ThreadStatus
    role: str | None = None


class _Cluster(Struct, frozen=True):
    status: _Status


class _Local(Struct, frozen=True):
    status: str | None = None
    total_optimized_points: int | None = None
    vectors_size_bytes: int | None = None
    payloads_size_bytes: int | None = None
    num_points: int | None = None
    num_vectors: int | None = None
    num_vectors_by_name: dict[str, int] | None = None


class _Shard(Struct, frozen=True):
    id: int
    local: _Local | None = None


class _Transfer(Struct, frozen=True, rename={"source": "from", "target": "to"}):
    shard_id: int
    source: int
    target: int
    to_shard_id: int | None = None
    comment: str | None = None


class _Collection(Struct, frozen=True):
    id: str
    shards: list[_Shard] = []
    transfers: list[_Transfer] = []


class _Collections(Struct, frozen=True):
    collections: list[_Collection] = []


class PeerTelemetry(Struct, frozen=True):
    app: _App
    cluster: _Cluster
    collections: _Collections


_decoder = msgspec.json.Decoder(PeerTelemetry)


# --- what is shown -----------------------------------------------------------------------------------


class ReplicaTelemetry(Struct, frozen=True, omit_defaults=True):
    peer_id: int
    state: str
    status: str | None = None
    total_optimized_points: int | None = None
    vectors_size_bytes: int | None = None
    payloads_size_bytes: int | None = None
    num_points: int | None = None
    num_vectors: int | None = None
    num_vectors_by_name: dict[str, int] | None = None


class ShardTelemetry(Struct, frozen=True, omit_defaults=True):
    id: int
    replicas: list[ReplicaTelemetry]
    key: ShardKey | None = None


class CollectionTelemetry(Struct, frozen=True):
    id: str
    shards: list[ShardTelemetry]
    reshardings: list[dict[str, Any]]
    shard_transfers: list[dict[str, Any]]


class PeerDetails(Struct, frozen=True):
    version: str
    role: str | None
    is_voter: bool
    term: int
    commit: int
    num_pending_operations: int
    consensus_thread_status: ThreadStatus


class PeerEntry(Struct, frozen=True, omit_defaults=True):
    uri: str
    responsive: bool
    details: PeerDetails | None = None


class PeersTelemetry(Struct, frozen=True):
    enabled: bool
    number_of_peers: int
    peers: dict[str, PeerEntry]


class ClusterTelemetry(Struct, frozen=True):
    """``cluster`` is left out for callers that know single collections only."""

    collections: dict[str, CollectionTelemetry]
    cluster: PeersTelemetry | UnsetType = UNSET

    def seen_by(self, access: Access) -> ClusterTelemetry:
        if access.everywhere is not None:
            return self
        return ClusterTelemetry({name: one for name, one in self.collections.items() if access.sees(name)})


# --- asking ------------------------------------------------------------------------------------------


async def collect(
    cluster: ClusterClient, state: ClusterState, own: OwnTelemetry, *, level: int, timeout_s: float
) -> ClusterTelemetry:
    """Ask every member at once, for ``timeout_s`` at most. Never fails: silence is shown."""
    level = min(max(level, LEVEL_MIN), LEVEL_MAX)

    async def ask(peer_id: int) -> PeerTelemetry | None:
        try:
            async with asyncio.timeout(timeout_s):
                if peer_id == cluster.peer_id:
                    return _decoder.decode(await own(level))
                return _decoder.decode(await cluster.telemetry(peer_id, level=level, timeout_s=timeout_s))
        except (VecraftError, TimeoutError, msgspec.MsgspecError) as error:
            _log.warning("peer_telemetry_missing", peer_id=peer_id, error=str(error) or "no answer in time")
            return None

    peers = sorted(state.peers)
    answers = await asyncio.gather(*map(ask, peers))
    return merge(state, {peer_id: told for peer_id, told in zip(peers, answers) if told is not None})


# --- merging -----------------------------------------------------------------------------------------


def merge(state: ClusterState, told: Mapping[int, PeerTelemetry]) -> ClusterTelemetry:
    """``told``: what the peers that answered tell, by peer id."""
    collections = {
        name: _collection(collection, told) for name, collection in sorted(state.collections.items())
    }
    peers = {
        str(peer_id): _peer(shown_uri(peer.uri), told.get(peer_id))
        for peer_id, peer in sorted(state.peers.items())
    }
    return ClusterTelemetry(
        collections, PeersTelemetry(enabled=True, number_of_peers=len(peers), peers=peers)
    )


def _peer(uri: str, told: PeerTelemetry | None) -> PeerEntry:
    if told is None:
        return PeerEntry(uri, responsive=False)
    status = told.cluster.status
    details = PeerDetails(
        version=told.app.version,
        role=status.role,
        is_voter=status.is_voter,
        term=status.term,
        commit=status.commit,
        num_pending_operations=status.pending_operations,
        consensus_thread_status=status.consensus_thread_status,
    )
    return PeerEntry(uri, responsive=True, details=details)


def _collection(collection: CollectionState, told: Mapping[int, PeerTelemetry]) -> CollectionTelemetry:
    entries = {
        peer_id: entry
        for peer_id, peer in told.items()
        for entry in peer.collections.collections
        if entry.id == collection.name
    }
    locals_ = {
        (peer_id, shard.id): shard.local
        for peer_id, entry in entries.items()
        for shard in entry.shards
        if shard.local is not None
    }
    comments = {
        (shown.shard_id, shown.to_shard_id, shown.source, shown.target): shown.comment
        for entry in entries.values()
        for shown in entry.transfers
        if shown.comment is not None
    }
    transfers = [
        transfer_info(found, comments.get((found.shard_id, found.to_shard_id, found.source, found.target)))
        for found in shown_transfers(collection)
    ]
    shards = [_shard(collection, shard, locals_) for _, shard in sorted(collection.shards.items())]
    return CollectionTelemetry(collection.name, shards, reshardings(collection), transfers)


def _shard(
    collection: CollectionState, shard: ShardState, locals_: Mapping[tuple[int, int], _Local]
) -> ShardTelemetry:
    replicas = []
    for peer_id in sorted(shard.replicas):
        local = locals_.get((peer_id, shard.id), _Local())
        state = shown_state(collection, shard, peer_id)
        replicas.append(ReplicaTelemetry(peer_id, state, **msgspec.structs.asdict(local)))
    return ShardTelemetry(shard.id, replicas, shard.key)
