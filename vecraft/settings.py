"""Settings: what may be configured, with Qdrant's keys and defaults (reference section 6.3).

Lives here: the frozen structs, one per section, and their bounds. How they are read from files and
variables is in ``vecraft.configuration``. May not live here: I/O, the environment.

Precedence, the later wins:

1. the defaults in these structs
2. ``config/config.{yaml,yml,json,toml}`` in the working directory
3. ``config/$RUN_MODE.*`` (``RUN_MODE`` defaults to ``development``)
4. ``config/local.*``
5. the file of ``--config-path``
6. variables ``QDRANT__SECTION__KEY``
7. variables ``VECRAFT__SECTION__KEY``
8. command line flags

A value of the wrong type ends the start; one out of its bounds is reported and the default used;
an unknown key is reported with the nearest known one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from protos.cores import cores

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Percent = Annotated[int, Meta(ge=1, le=100)]
PeerId = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class OnDiskLogSettings(Struct, frozen=True, kw_only=True):
    enabled: bool = False
    log_file: str | None = None
    log_level: str | None = None
    format: Literal["text", "json"] = "text"
    span_events: Any = None
    buffer_size_bytes: Positive | None = None


class LoggerSettings(Struct, frozen=True, kw_only=True):
    log_level: str | None = None
    span_events: Any = None
    format: Literal["text", "json"] = "text"
    color: Any = "auto"
    on_disk: OnDiskLogSettings = OnDiskLogSettings()


class WalSettings(Struct, frozen=True, kw_only=True):
    wal_capacity_mb: Positive = 32
    wal_segments_ahead: Count = 0
    wal_retain_closed: Positive = 1


class OptimizerSettings(Struct, frozen=True, kw_only=True):
    """Defaults for new collections; sizes in KiB of raw vectors. None: the engine decides."""

    deleted_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.2
    vacuum_min_vector_number: Annotated[int, Meta(ge=100)] = 1000
    default_segment_number: Count = 0
    max_segment_size: Positive | None = None
    memmap_threshold: Count | None = None
    indexing_threshold: Count | None = 10_000
    flush_interval_sec: Positive = 5
    max_optimization_threads: Count | None = None
    prevent_unoptimized: bool | None = None


class OptimizerOverrides(Struct, frozen=True, kw_only=True):
    """``storage.optimizers_overwrite``: what is given here wins over every collection's own value."""

    deleted_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    vacuum_min_vector_number: Annotated[int, Meta(ge=100)] | None = None
    default_segment_number: Count | None = None
    max_segment_size: Positive | None = None
    memmap_threshold: Count | None = None
    indexing_threshold: Count | None = None
    flush_interval_sec: Positive | None = None
    max_optimization_threads: Count | None = None
    prevent_unoptimized: bool | None = None


class HnswSettings(Struct, frozen=True, kw_only=True):
    m: Count = 16
    ef_construct: Annotated[int, Meta(ge=4)] = 100
    full_scan_threshold: Annotated[int, Meta(ge=10)] = 10_000  # KiB
    max_indexing_threads: Count = 0
    on_disk: bool = False
    payload_m: Count | None = None
    inline_storage: bool | None = None


class HnswGlobalSettings(Struct, frozen=True, kw_only=True):
    healing_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.3


class PerformanceSettings(Struct, frozen=True, kw_only=True):
    max_search_threads: Count = 0  # 0: see ``search_threads``
    optimizer_cpu_budget: int = 0  # 0: the engine decides; negative: leave that many cores free
    optimizer_io_budget: Count = 0
    optimizer_memory_budget_mb: Count = 0  # ours: for all builds together; 0: by what is free
    max_optimization_runtime_threads: Count = 0
    update_rate_limit: Positive | None = None
    search_timeout_sec: Positive | None = None  # None: see ``read_timeout_ms``
    incoming_shard_transfers_limit: Count | None = 1
    outgoing_shard_transfers_limit: Count | None = 1
    async_scorer: bool = False
    io_uring: Any = None
    max_concurrent_collection_loads: Positive | None = None
    max_concurrent_shard_loads: Positive | None = None
    max_concurrent_segment_loads: Positive | None = None


class CollectionDefaults(Struct, frozen=True, kw_only=True):
    """Defaults for new collections; the maps have the shape of the create request."""

    replication_factor: Positive = 1
    write_consistency_factor: Positive = 1
    shard_number: Positive | None = None
    shard_number_per_node: Positive | None = None
    vectors: dict[str, Any] | None = None
    quantization: dict[str, Any] | None = None
    strict_mode: dict[str, Any] | None = None


class QuotaSettings(Struct, frozen=True, kw_only=True):
    enabled: bool = False
    max_resident_memory_percent: Percent | None = None
    max_disk_usage_percent: Percent | None = None
    release_margin_percent: Annotated[int, Meta(ge=0, le=100)] = 5


class S3Settings(Struct, frozen=True, kw_only=True):
    """``bucket`` is required; what else is None, the environment of the process says."""

    bucket: str = ""
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    endpoint_url: str | None = None


class SnapshotsSettings(Struct, frozen=True, kw_only=True):
    snapshots_storage: Literal["local", "s3"] = "local"
    s3_config: S3Settings = S3Settings()


class PayloadSettings(Struct, frozen=True, kw_only=True):
    """Default for new collections; wins over ``on_disk_payload``, which says the same in older terms."""

    memory: Literal["cold", "cached"] | None = None


class StorageSettings(Struct, frozen=True, kw_only=True):
    storage_path: str = "./storage"
    snapshots_path: str = "./snapshots"
    snapshots_config: SnapshotsSettings = SnapshotsSettings()
    temp_path: str | None = None
    on_disk_payload: bool = True
    payload: PayloadSettings = PayloadSettings()
    low_memory_mode: Literal["disabled", "no_resident", "no_populate"] = "disabled"
    mmap_advice: Literal["normal", "random", "sequential"] = "random"
    update_concurrency: Positive | None = None
    update_queue_size: Positive = 200
    wal: WalSettings = WalSettings()
    node_type: Literal["Normal", "Listener"] = "Normal"
    handle_collection_load_errors: bool = False
    recovery_mode: str | None = None
    performance: PerformanceSettings = PerformanceSettings()
    optimizers: OptimizerSettings = OptimizerSettings()
    optimizers_overwrite: OptimizerOverrides = OptimizerOverrides()
    hnsw_index: HnswSettings = HnswSettings()
    hnsw_global_config: HnswGlobalSettings = HnswGlobalSettings()
    shard_transfer_method: Literal["stream_records", "snapshot", "wal_delta"] | None = None
    collection: CollectionDefaults = CollectionDefaults()
    max_collections: Count | None = None
    quotas: QuotaSettings = QuotaSettings()


class ServiceSettings(Struct, frozen=True, kw_only=True):
    host: str = "0.0.0.0"  # noqa: S104 - Qdrant's default; containers need it
    http_port: Port = 6333
    grpc_port: Port | None = 6334
    metrics_port: Port | None = None
    max_request_size_mb: Positive = 32
    max_pending_requests: Positive = 2048  # ours: what is beyond gets 429 at once
    shutdown_delay_sec: Annotated[int, Meta(ge=0, le=30)] = 0  # ours: it still takes requests so long
    max_workers: Count | None = 0
    http_keep_alive_timeout_sec: Count = 5
    http_client_request_timeout_sec: Count = 5
    http_client_disconnect_timeout_sec: Count = 5
    enable_cors: bool = True
    enable_tls: bool = False
    verify_https_client_certificate: bool = False
    api_key: str | None = None
    alt_api_key: str | None = None
    read_only_api_key: str | None = None
    jwt_rbac: bool | None = None
    enforce_internal_auth: bool = False
    hide_jwt_dashboard: bool | None = None
    static_content_dir: str | None = "./static"
    enable_static_content: bool = True
    slow_query_secs: Annotated[float, Meta(ge=0)] = 1.2
    hardware_reporting: bool = False
    metrics_prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]*$")] | None = None
    enable_snapshot_url_recovery: bool = True


class P2pSettings(Struct, frozen=True, kw_only=True):
    port: Port = 6335
    connection_pool_size: Positive = 2
    enable_tls: bool = False


class ConsensusSettings(Struct, frozen=True, kw_only=True):
    max_message_queue_size: Positive = 100
    tick_period_ms: Positive = 100
    bootstrap_timeout_sec: Positive = 15
    message_timeout_ticks: Positive = 10
    compact_wal_entries: Count = 128


class ClusterSettings(Struct, frozen=True, kw_only=True):
    """``zone`` is ours: where this peer stands, so that replicas of a shard are put into several zones. So is
    ``router``: this node holds no shards, and is no peer; it sends requests to those that are."""

    enabled: bool = False
    router: bool = False
    peer_id: PeerId | None = None
    zone: str = ""
    grpc_timeout_ms: Positive = 60_000
    connection_timeout_ms: Positive = 2_000
    resharding_enabled: bool = False
    p2p: P2pSettings = P2pSettings()
    consensus: ConsensusSettings = ConsensusSettings()


class TlsSettings(Struct, frozen=True, kw_only=True):
    cert: str = "./tls/cert.pem"
    key: str = "./tls/key.pem"
    ca_cert: str = "./tls/cacert.pem"
    cert_ttl: Positive | None = 3600


class InferenceSettings(Struct, frozen=True, kw_only=True):
    address: str | None = None
    timeout: Positive | None = None
    token: str | None = None


class AuditSettings(Struct, frozen=True, kw_only=True):
    enabled: bool = False
    dir: str = "./storage/audit"
    rotation: Literal["daily", "hourly"] = "daily"
    max_log_files: Positive = 7
    trust_forwarded_headers: bool = False
    log_api: bool = True


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that may be configured. Sections that steer what this program has not are maps."""

    log_level: str = "INFO"
    logger: LoggerSettings = LoggerSettings()
    storage: StorageSettings = StorageSettings()
    service: ServiceSettings = ServiceSettings()
    cluster: ClusterSettings = ClusterSettings()
    telemetry_disabled: bool = False
    tls: TlsSettings = TlsSettings()
    inference: InferenceSettings = InferenceSettings()
    audit: AuditSettings = AuditSettings()
    feature_flags: dict[str, Any] = {}
    gpu: dict[str, Any] | None = None
    debugger: dict[str, Any] | None = None


KEY_ALIASES = {
    "full_scan_threshold_kb": "full_scan_threshold",
    "max_segment_size_kb": "max_segment_size",
    "memmap_threshold_kb": "memmap_threshold",
    "indexing_threshold_kb": "indexing_threshold",
}


def search_threads(settings: Settings) -> int:
    """Threads that serve reads: as configured, else one per core (FAISS and numpy keep a core busy each)."""
    return settings.storage.performance.max_search_threads or max(2, cores())


def read_timeout_ms(settings: Settings) -> int:
    """How long reads may take that name no timeout of their own."""
    return (settings.storage.performance.search_timeout_sec or 60) * 1000


def unmet(settings: Settings) -> list[str]:
    """Reasons not to start: what is asked for would silently not happen, at somebody's cost."""
    service, cluster = settings.service, settings.cluster
    if cluster.router and not cluster.enabled:
        return ["cluster.router is set, but not cluster.enabled: a router needs a cluster"]
    if service.enforce_internal_auth and not (service.api_key or service.alt_api_key):
        return ["service.enforce_internal_auth is set, but no service.api_key that peers could show"]
    return []


_KEYS = ("api_key", "alt_api_key", "read_only_api_key")
_TOKEN_SECRET_BYTES_MIN = 32  # RFC 7518, 3.2
_KEY_BYTES_MIN = 16  # what is shorter may be guessed over the network, however few tries a second it answers


def doubtful_keys(service: ServiceSettings) -> list[str]:
    """What an operator may believe of the keys that is not so. Names no key."""
    given = {name: getattr(service, name) for name in _KEYS}
    problems = [
        f"service.{name} is empty, which is as if it were not set" for name in _KEYS if given[name] == ""
    ]
    problems += [
        f"service.{name} has fewer than {_KEY_BYTES_MIN} bytes, and can be guessed"
        for name, key in given.items()
        if key and len(key.encode()) < _KEY_BYTES_MIN
    ]
    secrets = {name: given[name] for name in ("api_key", "alt_api_key") if given[name]}
    if service.jwt_rbac and not secrets:
        problems.append("service.jwt_rbac has no effect without service.api_key, which signs the tokens")
    if service.jwt_rbac:
        problems += [
            f"service.{name} signs tokens, but has fewer than {_TOKEN_SECRET_BYTES_MIN} bytes"
            for name, secret in secrets.items()
            if len(secret.encode()) < _TOKEN_SECRET_BYTES_MIN
        ]
    return problems


def without_effect(settings: Settings) -> list[str]:
    """What is set and does nothing, without harm."""
    cluster, listener = settings.cluster, settings.storage.node_type == "Listener"
    if cluster.router:
        idle = {
            "storage.node_type": listener,
            "storage.recovery_mode": bool(settings.storage.recovery_mode),
            "cluster.peer_id": cluster.peer_id is not None,
        }
        return [f"{key} has no effect on a router" for key, value in idle.items() if value]
    if cluster.enabled:
        return []
    idle = {
        "storage.node_type": listener,
        "cluster.zone": bool(cluster.zone),
        "cluster.p2p.enable_tls": cluster.p2p.enable_tls,
    }
    return [f"{key} has no effect without cluster.enabled" for key, value in idle.items() if value]
