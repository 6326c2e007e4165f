"""From settings to what the floors below take: defaults for new collections, the node's threads."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec

from consensus.controller import Limits
from consensus.state import TransferMethod
from protos.collections import CollectionDefaults, Memory, OptimizersConfigDiff
from protos.cores import cores
from protos.quotas import QuotaConfig
from router.cluster.status import ClusterOptions
from vecraft.configuration import ConfigurationError
from vecraft.settings import PerformanceSettings, Settings, search_threads

TRANSFERS_MAX = 1 << 30  # where a limit is switched off


def collection_defaults(settings: Settings) -> CollectionDefaults:
    """Raises: ConfigurationError if a map of ``storage.collection`` has not the request's shape."""
    storage = settings.storage
    chosen = storage.collection
    vectors = chosen.vectors or {}
    values: dict[str, Any] = {
        "shard_number": chosen.shard_number,
        "shard_number_per_node": chosen.shard_number_per_node,
        "replication_factor": chosen.replication_factor,
        "write_consistency_factor": chosen.write_consistency_factor,
        "on_disk_payload": storage.on_disk_payload,
        "payload": None if storage.payload.memory is None else {"memory": storage.payload.memory},
        "vectors_on_disk": vectors.get("on_disk"),
        "vectors_memory": vectors.get("memory"),
        "hnsw_config": msgspec.to_builtins(storage.hnsw_index),
        "optimizers_config": msgspec.to_builtins(storage.optimizers),
        "wal_config": msgspec.to_builtins(storage.wal),
        "quantization_config": chosen.quantization,
        "strict_mode_config": chosen.strict_mode,
        "max_collections": storage.max_collections,
    }
    try:
        return msgspec.convert(values, CollectionDefaults)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"storage.collection: {error}") from error


_MIB = 1024 * 1024
_CEILINGS = {"disabled": Memory.PINNED, "no_resident": Memory.CACHED, "no_populate": Memory.COLD}


class NodeOptions(TypedDict):
    search_threads: int
    builds_max: int | None
    build_memory: int | None
    recovery_mode: str | None
    overrides: OptimizersConfigDiff
    quotas: QuotaConfig
    hardware_reporting: bool
    memory_ceiling: Memory


def node_options(settings: Settings) -> NodeOptions:
    """``builds_max``: optimizer processes at once; None: by the cores. ``build_memory``: bytes for all."""
    performance = settings.storage.performance
    return NodeOptions(
        search_threads=search_threads(settings),
        builds_max=builds_max(performance, cores()),
        build_memory=performance.optimizer_memory_budget_mb * _MIB or None,
        recovery_mode=settings.storage.recovery_mode or None,
        overrides=msgspec.convert(
            msgspec.structs.asdict(settings.storage.optimizers_overwrite), OptimizersConfigDiff
        ),
        quotas=msgspec.convert(msgspec.to_builtins(settings.storage.quotas), QuotaConfig),
        hardware_reporting=settings.service.hardware_reporting,
        memory_ceiling=_CEILINGS[settings.storage.low_memory_mode],
    )


def builds_max(performance: PerformanceSettings, cores: int) -> int | None:
    """A build keeps one core busy, so threads and cores both count builds; None: the engine decides."""
    budget = performance.optimizer_cpu_budget
    allowed = max(1, cores + budget) if budget < 0 else budget
    chosen = [count for count in (allowed, performance.max_optimization_runtime_threads) if count]
    return min(chosen, default=None)


def controller_limits(settings: Settings) -> Limits:
    """How eager the controller is with transfers (reference 14.9)."""
    performance, chosen = settings.storage.performance, settings.storage.shard_transfer_method
    limits = Limits(
        incoming_transfers=performance.incoming_shard_transfers_limit or TRANSFERS_MAX,
        outgoing_transfers=performance.outgoing_shard_transfers_limit or TRANSFERS_MAX,
    )
    if chosen is None:
        return limits
    method = TransferMethod(chosen)
    full = limits.full_method if method is TransferMethod.WAL_DELTA else method
    return msgspec.structs.replace(limits, recovery_method=method, full_method=full)


def cluster_options(settings: Settings) -> ClusterOptions:
    storage, cluster = settings.storage, settings.cluster
    method = storage.shard_transfer_method
    return ClusterOptions(
        transfer_method=None if method is None else TransferMethod(method),
        resharding_enabled=cluster.resharding_enabled,
        grpc_timeout_ms=cluster.grpc_timeout_ms,
        connection_pool_size=cluster.p2p.connection_pool_size,
        max_message_queue_size=cluster.consensus.max_message_queue_size,
        tick_period_ms=cluster.consensus.tick_period_ms,
        bootstrap_timeout_sec=cluster.consensus.bootstrap_timeout_sec,
    )
