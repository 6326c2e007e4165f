"""What ``/metrics`` and ``/telemetry`` tell of a cluster (reference 4.1, 4.2).

Lives here: the families and keys that only a member of a cluster has. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from router.cluster.status import ClusterReport, peer_infos, thread_status
from router.monitoring.exposition import family, joined, labels

Json = dict[str, Any]


def cluster_families(report: ClusterReport, prefix: str) -> bytes:
    """The families that only a member of a cluster has."""
    status = report.status
    working = not status.stopped and status.error is None
    lines = [
        *family(prefix, "cluster_peers_total", "gauge", "number of peers", {"": len(report.peers)}),
        *family(prefix, "cluster_term", "counter", "current term of consensus", {"": status.term}),
        *family(
            prefix,
            "cluster_commit",
            "counter",
            "index of the last agreed entry",
            {labels(peer_id=str(report.peer_id)): status.commit},
        ),
        *family(
            prefix,
            "cluster_pending_operations_total",
            "gauge",
            "agreed operations that wait to be applied",
            {"": status.pending_operations},
        ),
        *family(prefix, "cluster_voter", "gauge", "does this peer have a vote", {"": status.is_voter}),
        *family(
            prefix,
            "cluster_working_state",
            "gauge",
            "state of the consensus thread",
            {labels(state="working"): working, labels(state="stopped"): not working},
        ),
    ]
    if working:
        lines += family(
            prefix,
            "cluster_last_update_timestamp_seconds",
            "counter",
            "when the consensus thread last told its state",
            {"": status.last_update_unix_s},
        )
    return joined(lines)


def cluster_section(report: ClusterReport | None, level: int, *, anonymize: bool) -> Json:
    """``cluster`` of the telemetry; ``report`` None: this node is on its own."""
    if report is None:
        return {"enabled": False, "resharding_enabled": False}
    options = report.options
    shown: Json = {"enabled": True, "resharding_enabled": options.resharding_enabled}
    if level >= 1:
        shown["status"] = _status(report)
        shown["metadata"] = {} if anonymize else report.metadata
    if level >= 2:
        shown["config"] = {
            "grpc_timeout_ms": options.grpc_timeout_ms,
            "p2p": {"connection_pool_size": options.connection_pool_size},
            "consensus": {
                "max_message_queue_size": options.max_message_queue_size,
                "tick_period_ms": options.tick_period_ms,
                "bootstrap_timeout_sec": options.bootstrap_timeout_sec,
            },
        }
        shown["peers"] = {} if anonymize else msgspec.to_builtins(peer_infos(report.peers))
    if level >= 3:
        shown["peer_metadata"] = {
            str(peer_id): {"version": peer.version} for peer_id, peer in sorted(report.peers.items())
        }
    return shown


def _status(report: ClusterReport) -> Json:
    status = report.status
    return {
        "number_of_peers": len(report.peers),
        "term": status.term,
        "commit": status.commit,
        "pending_operations": status.pending_operations,
        "role": status.role,
        "is_voter": status.is_voter,
        "peer_id": report.peer_id,
        "consensus_thread_status": msgspec.to_builtins(thread_status(status)),
    }
