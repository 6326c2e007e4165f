"""The result of ``GET /telemetry`` by level of detail (reference section 4.2).

Lives here: which keys each level has, and ``anonymize``. Nothing is ever sent anywhere.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from consensus.state import Transfer
from node.client import QuotaReport
from protos.collections import CollectionConfig, SparseVectorParams, echo
from protos.quotas import disk_limit, memory_limit
from protos.shard import SegmentInfo, ShardInfo
from router.audit.files import AuditFigures
from router.cluster.resharding import reshardings, shown_transfers
from router.cluster.status import ClusterReport, transfer_info
from router.monitoring import machine
from router.monitoring.cluster import cluster_section
from router.monitoring.inventory import CollectionEntry, ShardEntry
from router.monitoring.metrics import Durations, RequestKey, Requests, RequestStatistics, unindexed
from router.monitoring.optimizations import optimizations_section

Json = dict[str, Any]


_GLOBAL_SECTIONS = ("cluster", "requests", "memory", "quota")


class Process(Struct, frozen=True):
    """What does not change while the process lives. ``started`` is UTC."""

    id: str
    version: str
    started: datetime
    search_threads: int
    max_collections: int | None = None
    low_memory_mode: str = "disabled"
    healing_threshold: float = 0.3
    storage_path: str = "."
    recovery_mode: bool = False
    jwt_rbac: bool | None = None
    hide_jwt_dashboard: bool | None = None


def telemetry(
    *,
    process: Process,
    collections: list[CollectionEntry],
    requests: Requests,
    level: int,
    anonymize: bool,
    per_collection: bool = False,
    cluster: ClusterReport | None = None,
    quota: QuotaReport | None = None,
    audit: AuditFigures | None = None,
) -> Json:
    """``cluster`` None: this node is on its own."""
    comments = {} if cluster is None else cluster.comments
    result: Json = {
        "id": process.id,
        "app": _app(process, level, audit),
        "collections": _collections(process, collections, comments, level, anonymize),
        "cluster": cluster_section(cluster, level, anonymize=anonymize),
        "requests": {
            "rest": _requests(requests.rest, anonymize, per_collection),
            "grpc": _requests(requests.grpc, anonymize, per_collection),
        },
        "quota": _quota(quota),
    }
    if level >= 1:
        result["memory"] = msgspec.to_builtins(machine.memory())
        result["hardware"] = {"collection_data": _hardware(collections, anonymize)}
        result["search_pool"] = {
            "mode": "mixed",
            "high_cpu_threads": process.search_threads,
            "high_io_threads": 0,
        }
    return result


def _hardware(entries: list[CollectionEntry], anonymize: bool) -> Json:
    """Of the collections that anything was measured of."""
    return {
        _name(entry.name, anonymize): msgspec.to_builtins(entry.hardware)
        for entry in entries
        if entry.hardware is not None
    }


def without_global_sections(told: Json) -> Json:
    """What callers are told that know single collections only (reference 4.2)."""
    return {key: section for key, section in told.items() if key not in _GLOBAL_SECTIONS}


def _quota(report: QuotaReport | None) -> Json:
    """None: there are none. Of what is not limited it is not told whether it is exceeded."""
    if report is None:
        exceeded: Json = {"resident_memory": None, "disk_usage": None}
        return {"config": {"enabled": False}, "exceeded": exceeded}
    config = report.config
    exceeded = {
        "resident_memory": None if memory_limit(config) is None else report.memory_exceeded,
        "disk_usage": None if disk_limit(config) is None else report.disk_exceeded,
    }
    return {"config": msgspec.to_builtins(config), "exceeded": exceeded}


def _app(process: Process, level: int, audit: AuditFigures | None) -> Json:
    shown: Json = {"name": "qdrant", "version": process.version, "startup": _utc(process.started)}
    configured = {"jwt_rbac": process.jwt_rbac, "hide_jwt_dashboard": process.hide_jwt_dashboard}
    shown |= {name: value for name, value in configured.items() if value is not None}
    if audit is not None:
        shown["audit"] = msgspec.to_builtins(audit)
    if level >= 1:
        absent = ("debug", "service_debug_feature", "gpu", "rocksdb", "staging")
        shown["features"] = {**dict.fromkeys(absent, False), "recovery_mode": process.recovery_mode}
        shown["runtime_features"] = {}
        shown["low_memory_mode"] = process.low_memory_mode
        shown["hnsw_global_config"] = {"healing_threshold": process.healing_threshold}
        shown["system"] = machine.system()
    return shown


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# --- requests -------------------------------------------------------------------------------------


def _requests(requests: RequestStatistics, anonymize: bool, per_collection: bool) -> Json:
    shown: Json = {"responses": _responses(requests.by_request)}
    if per_collection:
        shown["per_collection_responses"] = {
            _name(name, anonymize): _responses(found)
            for name, found in sorted(requests.by_collection.items())
        }
    return shown


def _responses(by_request: dict[RequestKey, Durations]) -> dict[str, dict[str, Json]]:
    shown: dict[str, dict[str, Json]] = {}
    for (method, endpoint, status), found in sorted(by_request.items()):
        shown.setdefault(f"{method} {endpoint}".strip(), {})[str(status)] = _statistics(found)
    return shown


def _statistics(found: Durations) -> Json:
    return {
        "count": found.count,
        "avg_duration_micros": found.sum_s / found.count * 1e6,
        "min_duration_micros": found.min_s * 1e6,
        "max_duration_micros": found.max_s * 1e6,
        "total_duration_micros": int(found.sum_s * 1e6),
        "last_responded": _utc(datetime.fromtimestamp(found.last_unix_s, UTC)),
    }


# --- collections ----------------------------------------------------------------------------------


Comments = dict[tuple[str, Transfer], str]


def _collections(
    process: Process, entries: list[CollectionEntry], comments: Comments, level: int, anonymize: bool
) -> Json:
    shown: Json = {"number_of_collections": len(entries)}
    if process.max_collections is not None:
        shown["max_collections"] = process.max_collections
    if level == 0:
        return shown
    if level == 1:
        shown["collections"] = [_aggregated(entry) for entry in entries]
        shown["snapshots"] = []
        return shown
    shown["collections"] = [_collection(entry, comments, level, anonymize) for entry in entries]
    shown["snapshots"] = [
        {
            "id": _name(entry.name, anonymize),
            "running_snapshots": entry.snapshots.creating,
            "running_snapshot_recovery": entry.snapshots.recovering,
            "total_snapshot_creations": entry.snapshots.created,
        }
        for entry in entries
    ]
    return shown


def _aggregated(entry: CollectionEntry) -> Json:
    error = entry.first_error
    return {
        "vectors": sum(entry.vectors.values()),
        "optimizers_status": "ok" if error is None else {"error": error},
        "params": echo(entry.state.config)["params"],
    }


def _collection(entry: CollectionEntry, comments: Comments, level: int, anonymize: bool) -> Json:
    shown: Json = {
        "id": _name(entry.name, anonymize),
        "init_time_ms": 0,
        "config": _config(entry.state.config, anonymize),
    }
    if level >= 3:
        shards = [_anonymous(shard) for shard in entry.shards] if anonymize else entry.shards
        shown["shards"] = [_shard(entry, shard, level) for shard in shards]
        shown["transfers"] = [
            transfer_info(transfer, comments.get((entry.state.uuid, transfer)))
            for transfer in shown_transfers(entry.state)
        ]
        shown["resharding"] = reshardings(entry.state)
    return shown


def _config(config: CollectionConfig, anonymize: bool) -> Json:
    shown = echo(config)
    if anonymize:
        shown.pop("metadata", None)
        vectors = shown["params"].get("vectors", {})
        if not isinstance(vectors.get("size"), int):
            shown["params"]["vectors"] = {_hash(name): params for name, params in vectors.items()}
        if sparse := shown["params"].get("sparse_vectors"):
            shown["params"]["sparse_vectors"] = {_hash(name): params for name, params in sparse.items()}
    return shown


def _shard(entry: CollectionEntry, shard: ShardEntry, level: int) -> Json:
    info, agreed = shard.info, entry.state.shards[shard.id]
    return {
        "id": shard.id,
        "key": agreed.key,
        "local": None if info is None else _local(info, entry.state.config, level),
        "remote": [
            {"shard_id": shard.id, "peer_id": peer_id}
            for peer_id in sorted(agreed.replicas)
            if peer_id != entry.peer_id
        ],
        "replicate_states": {str(peer_id): state.value for peer_id, state in sorted(agreed.replicas.items())},
        "partial_snapshot": {
            "ongoing_create_snapshot_requests": shard.partial.creating,
            "is_recovering": shard.partial.recovering,
            "recovery_timestamp": shard.partial.recovered_unix_s,
        },
    }


def _anonymous(shard: ShardEntry) -> ShardEntry:
    """The same numbers without the names of vectors."""
    if shard.info is None:
        return shard
    segments = [
        replace(segment, vectors=_hashed(segment.vectors), indexed_vectors=_hashed(segment.indexed_vectors))
        for segment in shard.info.segment_infos
    ]
    info = replace(shard.info, vectors=_hashed(shard.info.vectors), segment_infos=segments)
    return replace(shard, info=info)


def _local(info: ShardInfo, config: CollectionConfig, level: int) -> Json:
    vectors = sum(info.vectors.values())
    shown: Json = {
        "variant_name": "local shard",
        "status": info.status.value,
        "total_optimized_points": info.indexed_vectors,
        "vectors_size_bytes": sum(segment.vector_bytes for segment in info.segment_infos),
        "payloads_size_bytes": None,
        "num_points": info.points,
        "num_vectors": vectors,
        "num_vectors_by_name": info.vectors,
        "optimizations": optimizations_section(info),
        "async_scorer": False,
        "update_queue": {"length": info.update_queue_length, "op_num": info.operations_applied}
        | _deferred("deferred_points", config),
    }
    if level >= 4:
        shown["segments"] = [_segment(segment, config) for segment in info.segment_infos]
        shown["indexed_only_excluded_vectors"] = unindexed([info])
    return shown


def _deferred(key: str, config: CollectionConfig) -> Json:
    """Where points may be deferred: none are (``router.collections.info``)."""
    return {key: 0} if config.optimizer_config.prevent_unoptimized else {}


def _segment(segment: SegmentInfo, config: CollectionConfig) -> Json:
    """Payloads and their indexes belong to the shard, not to its segments, so nothing is told of them."""
    return {
        "info": {
            "uuid": str(uuid.UUID(segment.id)),
            "segment_type": "indexed" if segment.indexed_vectors else "plain",
            "num_vectors": sum(segment.vectors.values()),
            "num_points": segment.points,
            **_deferred("num_deferred_points", config),
            "num_indexed_vectors": sum(segment.indexed_vectors.values()),
            "num_deleted_vectors": sum(segment.rows - count for count in segment.vectors.values()),
            "vectors_size_bytes": segment.vector_bytes,
            "payloads_size_bytes": 0,
            "ram_usage_bytes": 0,
            "disk_usage_bytes": segment.disk_bytes,
            "is_appendable": segment.appendable,
            "index_schema": {},
            "vector_data": {
                name: {
                    "num_vectors": count,
                    "num_indexed_vectors": segment.indexed_vectors.get(name, 0),
                    "num_deleted_vectors": segment.rows - count,
                }
                for name, count in segment.vectors.items()
            },
        },
        "config": {
            "vector_data": {
                name: _vector_data(segment, name, config)
                for name in segment.vectors
                if name in config.vectors
            },
            "sparse_vector_data": {
                name: _sparse_data(segment, name, params)
                for name, params in config.sparse_vectors.items()
                if name in segment.vectors
            },
            "payload_storage_type": {"type": "mmap"},
        },
        "vector_index_searches": [],
        "payload_field_indices": [],
    }


def _vector_data(segment: SegmentInfo, name: str, config: CollectionConfig) -> Json:
    params = config.vectors[name]
    index: Json = {"type": "plain", "options": {}}
    if name in segment.indexed_vectors:
        index = {"type": "hnsw", "options": msgspec.to_builtins(config.hnsw_of(name))}
    return {
        "size": params.size,
        "distance": params.distance.value,
        "storage_type": "ChunkedMmap" if segment.appendable else "Mmap",
        "index": index,
    }


def _sparse_data(segment: SegmentInfo, name: str, params: SparseVectorParams) -> Json:
    index: Json = {} if params.index is None else msgspec.to_builtins(params.index)
    kind = "Mmap" if name in segment.indexed_vectors else "MutableRam"
    return {
        "index": {**index, "index_type": kind},
        "storage_type": "mmap",
        "modifier": params.modifier or "none",
    }


def _name(name: str, anonymize: bool) -> str:
    return _hash(name) if anonymize else name


def _hashed(counts: dict[str, int]) -> dict[str, int]:
    return {_hash(name): count for name, count in counts.items()}


def _hash(name: str) -> str:
    return str(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
