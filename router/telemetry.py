"""The result of ``GET /telemetry`` by level of detail (reference section 4.2).

Lives here: which keys each level has, and ``anonymize``. Nothing is ever sent anywhere.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from protos.collections import CollectionConfig, echo
from protos.shard import ShardInfo
from router import machine
from router.inventory import CollectionEntry, ShardEntry
from router.metrics import Durations, RequestStatistics

Json = dict[str, Any]


class Process(Struct, frozen=True):
    """What does not change while the process lives. ``started`` is UTC."""

    id: str
    version: str
    started: datetime
    search_threads: int
    max_collections: int | None = None
    low_memory_mode: str = "disabled"
    healing_threshold: float = 0.3
    peer_id: int = 0


def telemetry(
    *,
    process: Process,
    collections: list[CollectionEntry],
    requests: RequestStatistics,
    level: int,
    anonymize: bool,
) -> Json:
    result: Json = {
        "id": process.id,
        "app": _app(process, level),
        "collections": _collections(process, collections, level, anonymize),
        "cluster": {"enabled": False, "resharding_enabled": False},
        "requests": {"rest": {"responses": _responses(requests)}, "grpc": {"responses": {}}},
        "quota": {"config": {"enabled": False}, "exceeded": {"resident_memory": False, "disk_usage": False}},
    }
    if level >= 1:
        result["memory"] = msgspec.to_builtins(machine.memory())
        result["hardware"] = {"collection_data": {}}
        result["search_pool"] = {
            "mode": "mixed",
            "high_cpu_threads": process.search_threads,
            "high_io_threads": 0,
        }
    return result


def _app(process: Process, level: int) -> Json:
    shown: Json = {"name": "qdrant", "version": process.version, "startup": _utc(process.started)}
    if level >= 1:
        shown["features"] = dict.fromkeys(
            ("debug", "service_debug_feature", "recovery_mode", "gpu", "rocksdb", "staging"), False
        )
        shown["runtime_features"] = {}
        shown["low_memory_mode"] = process.low_memory_mode
        shown["hnsw_global_config"] = {"healing_threshold": process.healing_threshold}
        shown["system"] = machine.system()
    return shown


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# --- requests -------------------------------------------------------------------------------------


def _responses(requests: RequestStatistics) -> dict[str, dict[str, Json]]:
    shown: dict[str, dict[str, Json]] = {}
    for (method, endpoint, status), found in sorted(requests.by_request.items()):
        shown.setdefault(f"{method} {endpoint}", {})[str(status)] = _statistics(found)
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


def _collections(process: Process, entries: list[CollectionEntry], level: int, anonymize: bool) -> Json:
    shown: Json = {"number_of_collections": len(entries)}
    if process.max_collections is not None:
        shown["max_collections"] = process.max_collections
    if level == 0:
        return shown
    if level == 1:
        shown["collections"] = [_aggregated(entry) for entry in entries]
        shown["snapshots"] = []
        return shown
    shown["collections"] = [_collection(process, entry, level, anonymize) for entry in entries]
    shown["snapshots"] = [
        {
            "id": _name(entry.name, anonymize),
            "running_snapshots": 0,
            "running_snapshot_recovery": 0,
            "total_snapshot_creations": 0,
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


def _collection(process: Process, entry: CollectionEntry, level: int, anonymize: bool) -> Json:
    shown: Json = {
        "id": _name(entry.name, anonymize),
        "init_time_ms": 0,
        "config": _config(entry.state.config, anonymize),
    }
    if level >= 3:
        shown["shards"] = [_shard(process, shard, level) for shard in entry.shards]
        shown["transfers"] = []
        shown["resharding"] = []
    return shown


def _config(config: CollectionConfig, anonymize: bool) -> Json:
    shown = echo(config)
    if anonymize:
        shown.pop("metadata", None)
        vectors = shown["params"].get("vectors", {})
        if not isinstance(vectors.get("size"), int):
            shown["params"]["vectors"] = {_hash(name): params for name, params in vectors.items()}
    return shown


def _shard(process: Process, shard: ShardEntry, level: int) -> Json:
    info = shard.info
    return {
        "id": shard.id,
        "key": None,
        "local": None if info is None else _local(info, level),
        "remote": [],
        "replicate_states": {str(process.peer_id): "Active"},
    }


def _local(info: ShardInfo, level: int) -> Json:
    vectors = sum(info.vectors.values())
    shown: Json = {
        "variant_name": "local shard",
        "status": info.status.value,
        "total_optimized_points": info.indexed_vectors,
        "vectors_size_bytes": None,
        "payloads_size_bytes": None,
        "num_points": info.points,
        "num_vectors": vectors,
        "num_vectors_by_name": info.vectors,
        "optimizations": {
            "status": "ok" if info.optimizer_error is None else {"error": info.optimizer_error},
            "optimizations": {"count": 0},
            "log": [],
        },
        "async_scorer": False,
        "update_queue": {"length": info.update_queue_length},
    }
    if level >= 4:
        shown["segments"] = []
        shown["indexed_only_excluded_vectors"] = {}
    return shown


def _name(name: str, anonymize: bool) -> str:
    return _hash(name) if anonymize else name


def _hash(name: str) -> str:
    return str(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
