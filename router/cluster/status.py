"""What is shown of the cluster: its members, the state of agreement, transfers. Pure.

The structs have the JSON names of reference 14.2 and 14.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from consensus.log import RaftStatus
from consensus.replica_sets import primary_counts, replica_counts
from consensus.state import ClusterState, Peer, Transfer, TransferMethod
from node.client.cluster import SendFailures


class ClusterOptions(Struct, frozen=True, kw_only=True):
    """Settings that the cluster's endpoints obey or show; ``transfer_method`` None: snapshot."""

    transfer_method: TransferMethod | None = None
    resharding_enabled: bool = False
    grpc_timeout_ms: int = 60_000
    connection_pool_size: int = 2
    max_message_queue_size: int = 100
    tick_period_ms: int = 100
    bootstrap_timeout_sec: int = 15


class ClusterReport(Struct, frozen=True):
    """The cluster as this member sees it now. ``comments``: by collection uuid, of transfers it sends."""

    peer_id: int
    status: RaftStatus
    peers: dict[int, Peer]
    metadata: dict[str, Any]
    options: ClusterOptions
    comments: dict[tuple[str, Transfer], str] = {}


class PeerInfo(Struct, frozen=True):
    uri: str


class MemberInfo(Struct, frozen=True):
    """A peer as agreed on (ours): ``replicas`` and ``primaries`` are how many it holds and leads."""

    id: int
    uri: str
    zone: str
    version: str
    node_type: str
    draining: bool
    replicas: int
    primaries: int


class RaftInfo(Struct, frozen=True):
    term: int
    commit: int
    pending_operations: int
    leader: int | None
    role: str | None
    is_voter: bool


class Working(Struct, frozen=True, tag_field="consensus_thread_status", tag="working"):
    last_update: str


class Stopped(Struct, frozen=True, tag_field="consensus_thread_status", tag="stopped"):
    pass


class StoppedWithError(Struct, frozen=True, tag_field="consensus_thread_status", tag="stopped_with_err"):
    err: str


ThreadStatus = Working | Stopped | StoppedWithError


class SendErrors(Struct, frozen=True):
    count: int
    latest_error: str
    latest_error_timestamp: str


class Disabled(Struct, frozen=True, tag_field="status", tag="disabled"):
    pass


class Enabled(Struct, frozen=True, tag_field="status", tag="enabled"):
    peer_id: int
    peers: dict[str, PeerInfo]
    raft_info: RaftInfo
    consensus_thread_status: ThreadStatus
    message_send_failures: dict[str, SendErrors]


ClusterStatus = Disabled | Enabled


def cluster_status(report: ClusterReport, failures: Mapping[str, SendFailures]) -> Enabled:
    status = report.status
    return Enabled(
        peer_id=report.peer_id,
        peers=peer_infos(report.peers),
        raft_info=RaftInfo(
            term=status.term,
            commit=status.commit,
            pending_operations=status.pending_operations,
            leader=status.leader,
            role=status.role,
            is_voter=status.is_voter,
        ),
        consensus_thread_status=thread_status(status),
        message_send_failures={
            shown_uri(uri): SendErrors(failed.count, failed.latest_error, rfc3339(failed.latest_unix_s))
            for uri, failed in sorted(failures.items())
            if failed.count
        },
    )


def peer_infos(peers: Mapping[int, Peer]) -> dict[str, PeerInfo]:
    return {str(peer_id): PeerInfo(shown_uri(peer.uri)) for peer_id, peer in sorted(peers.items())}


def member_infos(state: ClusterState) -> list[MemberInfo]:
    """By id."""
    replicas, primaries = replica_counts(state), primary_counts(state)
    return [
        MemberInfo(
            id=peer.id,
            uri=shown_uri(peer.uri),
            zone=peer.zone,
            version=peer.version,
            node_type=peer.node_type,
            draining=peer.draining,
            replicas=replicas[peer.id],
            primaries=primaries[peer.id],
        )
        for _, peer in sorted(state.peers.items())
    ]


def thread_status(status: RaftStatus) -> ThreadStatus:
    """A peer that was removed shows ``stopped``; one whose consensus failed tells why."""
    if status.error is not None:
        return StoppedWithError(status.error)
    if status.stopped:
        return Stopped()
    return Working(rfc3339(status.last_update_unix_s))


def shown_uri(uri: str) -> str:
    """With a path, as clients know them: ``http://host:6335/``."""
    scheme, separator, rest = uri.partition("://")
    return f"{uri}/" if separator and scheme and "/" not in rest else uri


def transfer_info(transfer: Transfer, comment: str | None = None) -> dict[str, Any]:
    """As in ``shard_transfers``; what is unset is left out."""
    shown: dict[str, Any] = {"shard_id": transfer.shard_id}
    if transfer.to_shard_id is not None:
        shown["to_shard_id"] = transfer.to_shard_id
    shown |= {
        "from": transfer.source,
        "to": transfer.target,
        "sync": transfer.sync,
        "method": transfer.method.value,
    }
    if comment is not None:
        shown["comment"] = comment
    return shown


def rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
