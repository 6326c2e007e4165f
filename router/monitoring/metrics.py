"""Request statistics, and the text of ``/metrics`` (reference section 4.1).

Lives here: counting requests as they end, and turning an ``Inventory`` and the counts into families.
A registry of our own, because the library's default one carries metrics that Qdrant has not.

Invariant: a family without samples is left out.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import msgspec
from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from consensus.state import ReplicaState
from node.client import QuotaReport, SearchLoad
from protos.quotas import disk_limit, memory_limit
from protos.shard import ShardInfo
from router.audit.files import AuditFigures
from router.auth.gate import Denials
from router.cluster.resharding import shown_state
from router.cluster.status import ClusterReport
from router.load import Load
from router.monitoring import machine
from router.monitoring.cluster import cluster_families
from router.monitoring.hardware import hardware_families
from router.monitoring.inventory import CollectionEntry, ShardEntry
from router.monitoring.shards import PREFIX as OWN
from router.monitoring.shards import load_families, prefixed, shard_families

BUCKETS_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0)

_COLLECTION = "/collections/{collection_name}"
EXPORTED = frozenset(
    [f"{_COLLECTION}/index", f"{_COLLECTION}/points", f"{_COLLECTION}/vectors/{{vector_name}}"]
    + [
        f"{_COLLECTION}/points/{tail}"
        for tail in (
            *("batch", "count", "delete", "discover", "discover/batch", "facet"),
            *("payload", "payload/clear", "payload/delete"),
            *("query", "query/batch", "query/groups"),
            *("recommend", "recommend/batch", "recommend/groups"),
            *("scroll", "search", "search/batch", "search/groups"),
            *("search/matrix/offsets", "search/matrix/pairs", "vectors", "vectors/delete"),
        )
    ]
)

EXPORTED_METHODS = frozenset(
    f"/qdrant.Points/{method}"
    for method in (
        *("ClearPayload", "Count", "CreateVectorName", "Delete", "DeletePayload", "DeleteVectorName"),
        *("Discover", "DiscoverBatch", "Facet", "Get", "OverwritePayload"),
        *("Query", "QueryBatch", "QueryGroups", "Recommend", "RecommendBatch", "RecommendGroups"),
        *("Scroll", "Search", "SearchBatch", "SearchGroups", "SetPayload"),
        *("UpdateBatch", "UpdateVectors", "Upsert"),
    )
)


@dataclass(slots=True)
class Durations:
    """Seconds of the requests of one method, endpoint and status."""

    count: int = 0
    sum_s: float = 0.0
    min_s: float = math.inf
    max_s: float = 0.0
    last_unix_s: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))

    def add(self, seconds: float, now_unix_s: float) -> None:
        self.count += 1
        self.sum_s += seconds
        if seconds < self.min_s:
            self.min_s = seconds
        if seconds > self.max_s:
            self.max_s = seconds
        self.last_unix_s = now_unix_s
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1

    def cumulative(self) -> list[tuple[str, float]]:
        total, found = 0, []
        for bound, count in zip([*BUCKETS_S, math.inf], self.buckets):
            total += count
            found.append(("+Inf" if math.isinf(bound) else str(bound), float(total)))
        return found


# method, endpoint (the route's template), status; over gRPC no method, the method's full name, the code
RequestKey = tuple[str, str, int]


class Interface(Struct, frozen=True):
    """A protocol: which endpoints are told, which status is success, what removes a collection.

    ``times_failures``: are requests that failed timed, too?
    """

    name: str
    exported: frozenset[str]
    success: int
    removal: RequestKey
    times_failures: bool


REST = Interface("rest", EXPORTED, 200, ("DELETE", _COLLECTION, 200), times_failures=False)
GRPC = Interface("grpc", EXPORTED_METHODS, 0, ("", "/qdrant.Collections/Delete", 0), times_failures=True)


class RequestStatistics:
    """Written on the event loop only, so it needs no lock.

    ``by_collection`` holds the exported endpoints. A collection enters with its first success and leaves
    when it is deleted, so names that clients make up cost no memory.
    """

    def __init__(self, interface: Interface = REST) -> None:
        self.interface = interface
        self.by_request: dict[RequestKey, Durations] = {}
        self.by_collection: dict[str, dict[RequestKey, Durations]] = {}

    def add(self, key: RequestKey, seconds: float, now_unix_s: float, collection: str | None = None) -> None:
        _count(self.by_request, key, seconds, now_unix_s)
        if collection is None:
            return
        _, endpoint, status = key
        if endpoint in self.interface.exported:
            if status == self.interface.success or collection in self.by_collection:
                _count(self.by_collection.setdefault(collection, {}), key, seconds, now_unix_s)
        elif key == self.interface.removal:
            self.by_collection.pop(collection, None)


class Requests(Struct):
    """The statistics of both protocols."""

    rest: RequestStatistics = msgspec.field(default_factory=RequestStatistics)
    grpc: RequestStatistics = msgspec.field(default_factory=partial(RequestStatistics, GRPC))


def _count(
    statistics: dict[RequestKey, Durations], key: RequestKey, seconds: float, now_unix_s: float
) -> None:
    found = statistics.get(key)
    if found is None:
        found = statistics[key] = Durations()
    found.add(seconds, now_unix_s)


def render(
    *,
    version: str,
    collections: list[CollectionEntry],
    requests: Requests,
    prefix: str,
    per_collection: bool = False,
    cluster: ClusterReport | None = None,
    node: NodeFigures | None = None,
    recovery_mode: bool = False,
) -> bytes:
    """The exposition text; every name starts with ``prefix``. ``cluster`` None: this node is on its own.

    With ``per_collection`` requests are told by collection, and the totals over all collections are left
    out, if there is anything to tell.
    """
    registry = CollectorRegistry(auto_describe=False)
    series = [_Series(found, per_collection) for found in (requests.rest, requests.grpc)]
    in_cluster = cluster is not None
    registry.register(
        _Families(version, collections, series, prefix, in_cluster=in_cluster, recovery_mode=recovery_mode)
    )
    registry.register(_OwnFamilies(collections, node or NodeFigures(), prefix, per_collection, cluster))
    text = generate_latest(registry) + hardware_families(collections, prefix)
    return text if cluster is None else text + cluster_families(cluster, prefix)


class _Series:
    """The exported requests with the values of their labels."""

    def __init__(self, requests: RequestStatistics, per_collection: bool) -> None:
        self._requests = requests
        self.interface = requests.interface
        self._by_collection = per_collection and bool(requests.by_collection)
        methods = ["method"] * (requests.interface is REST)
        self.labels = [*methods, "endpoint", "status"] + ["collection"] * self._by_collection

    def __iter__(self) -> Iterator[tuple[list[str], Durations]]:
        if not self._by_collection:
            yield from self._of(self._requests.by_request, [])
            return
        for name, found in sorted(self._requests.by_collection.items()):
            yield from self._of(found, [name])

    def _of(
        self, found: dict[RequestKey, Durations], collection: list[str]
    ) -> Iterator[tuple[list[str], Durations]]:
        for (method, endpoint, status), durations in sorted(found.items()):
            if endpoint in self.interface.exported:
                methods = [method] * (self.interface is REST)
                yield [*methods, endpoint, str(status), *collection], durations


class _Families:
    """One scrape, in the form the library collects."""

    def __init__(
        self,
        version: str,
        collections: list[CollectionEntry],
        requests: list[_Series],
        prefix: str,
        *,
        in_cluster: bool,
        recovery_mode: bool,
    ) -> None:
        self._version = version
        self._recovery_mode = recovery_mode
        self._collections = collections
        self._requests = requests
        self._prefix = prefix
        self._in_cluster = in_cluster

    def collect(self) -> Iterator[Metric]:
        yield self._app_info()
        yield from self._scalars()
        yield from filter(_has_samples, self._per_collection())
        for series in self._requests:
            yield from filter(_has_samples, self._responses(series))

    def _app_info(self) -> Metric:
        family = self._gauge("app_info", "information about qdrant server", ["name", "version"])
        family.add_metric(["qdrant", self._version], 1)
        return family

    def _scalars(self) -> Iterator[Metric]:
        entries = self._collections
        fewest, most = active_replicas(entries)
        dead = sum(_lacks_a_replica(entry, shard) for entry in entries for shard in entry.shards)
        gauges: dict[str, tuple[str, float]] = {
            "app_status_recovery_mode": ("features enabled in the server", self._recovery_mode),
            "collections_total": ("number of collections", len(entries)),
            "collections_vector_total": (
                "total number of vectors in all collections",
                sum(sum(entry.vectors.values()) for entry in entries),
            ),
            "collection_active_replicas_min": ("minimum number of active replicas", fewest),
            "collection_active_replicas_max": ("maximum number of active replicas", most),
            "collection_dead_replicas": ("shards that have a replica which is not active", dead),
            "cluster_enabled": ("is cluster support enabled", self._in_cluster),
        }
        gauges |= {f"memory_{name}": (f"memory: {name}", value) for name, value in _memory().items()}
        gauges |= {name: (name.replace("_", " "), value) for name, value in machine.process_gauges().items()}
        for name, (help_text, value) in gauges.items():
            yield self._gauge(name, help_text, value=value)
        for name, value in machine.page_faults().items():
            yield CounterMetricFamily(self._prefix + name, name.replace("_", " "), value=value)

    def _per_collection(self) -> Iterator[Metric]:
        vectors = self._gauge(
            "collection_vectors", "vectors by collection and name", ["collection", "vector"]
        )
        points = self._gauge("collection_points", "approximate amount of points", ["id"])
        running = self._gauge("collection_running_optimizations", "optimizations that run now", ["id"])
        queue = self._gauge("collection_update_queue_length", "updates that wait", ["id"])
        deferred = self._gauge(
            "collection_update_queue_deferred_points", "points hidden until they are optimized", ["id"]
        )
        excluded = self._gauge(
            "collection_indexed_only_excluded_points", "points skipped by indexed_only", ["id", "vector"]
        )
        incoming = self._gauge("collection_shard_transfer_incoming", "shard transfers to this node", ["id"])
        outgoing = self._gauge("collection_shard_transfer_outgoing", "shard transfers from this node", ["id"])
        creating = self._gauge("snapshot_creation_running", "snapshots that are being created", ["id"])
        recovering = self._gauge("snapshot_recovery_running", "snapshots that are being recovered", ["id"])
        created = CounterMetricFamily(
            f"{self._prefix}snapshot_created_total", "snapshots created since the start", labels=["id"]
        )
        for entry in self._collections:
            creating.add_metric([entry.name], entry.snapshots.creating)
            recovering.add_metric([entry.name], entry.snapshots.recovering)
            created.add_metric([entry.name], entry.snapshots.created)
            incoming.add_metric([entry.name], entry.incoming_transfers)
            outgoing.add_metric([entry.name], entry.outgoing_transfers)
            for name, count in sorted(entry.vectors.items()):
                vectors.add_metric([entry.name, name], count)
            points.add_metric([entry.name], entry.points)
            running.add_metric([entry.name], entry.optimizing)
            queue.add_metric([entry.name], sum(info.update_queue_length for info in entry.infos))
            if entry.state.config.optimizer_config.prevent_unoptimized:
                deferred.add_metric([entry.name], 0)  # none ever are (``router.collections.info``)
            for name, count in sorted(unindexed(entry.infos).items()):
                excluded.add_metric([entry.name, name], count)
        return iter(
            [
                vectors,
                points,
                running,
                queue,
                deferred,
                excluded,
                creating,
                recovering,
                created,
                incoming,
                outgoing,
            ]
        )

    def _responses(self, series: _Series) -> Iterator[Metric]:
        labels, name = series.labels, f"{series.interface.name}_responses"
        total = CounterMetricFamily(f"{self._prefix}{name}_total", "total number of responses", labels=labels)
        average = self._gauge(f"{name}_avg_duration_seconds", "average response duration", labels)
        lowest = self._gauge(f"{name}_min_duration_seconds", "minimum response duration", labels)
        highest = self._gauge(f"{name}_max_duration_seconds", "maximum response duration", labels)
        histogram = HistogramMetricFamily(
            f"{self._prefix}{name}_duration_seconds", "response duration histogram", labels=labels
        )
        succeeded = str(series.interface.success)
        for values, found in series:
            total.add_metric(values, found.count)
            if series.interface.times_failures or values[labels.index("status")] == succeeded:
                average.add_metric(values, found.sum_s / found.count)
                lowest.add_metric(values, found.min_s)
                highest.add_metric(values, found.max_s)
                histogram.add_metric(values, found.cumulative(), sum_value=found.sum_s)
        return iter([total, average, lowest, highest, histogram])

    def _gauge(
        self, name: str, help_text: str, labels: Iterable[str] | None = None, value: float | None = None
    ) -> GaugeMetricFamily:
        return GaugeMetricFamily(
            self._prefix + name, help_text, value=value, labels=None if labels is None else list(labels)
        )


class NodeFigures(Struct, frozen=True):
    """What the node says of itself: counters, threads, its storage's disk, requests and their callers."""

    measured: CollectorRegistry | None = None
    load: SearchLoad | None = None
    disk: machine.Disk | None = None
    requests: Load | None = None
    quota: QuotaReport | None = None
    audit: AuditFigures | None = None
    denials: Denials | None = None


class _OwnFamilies:
    """The same for what Qdrant has not (``shards``)."""

    def __init__(
        self,
        collections: list[CollectionEntry],
        node: NodeFigures,
        prefix: str,
        per_collection: bool,
        cluster: ClusterReport | None,
    ) -> None:
        self._collections, self._node, self._prefix = collections, node, prefix
        self._per_collection, self._cluster = per_collection, cluster

    def collect(self) -> Iterator[Metric]:
        node, prefix, cluster = self._node, self._prefix, self._cluster
        peers = 1 if cluster is None else len(cluster.peers)
        families = shard_families(
            self._collections, peers=peers, prefix=prefix, per_collection=self._per_collection
        )
        yield from filter(_has_samples, families)
        if cluster is not None:
            name, led = f"{prefix}{OWN}cluster_has_leader", cluster.status.leader is not None
            yield GaugeMetricFamily(name, "does this peer know who leads consensus", value=led)
        if node.load is not None:
            yield from load_families(node.load, prefix=prefix)
        if node.disk is not None:
            name = f"{prefix}{OWN}disk"
            yield GaugeMetricFamily(
                f"{name}_size_bytes", "the disk of the storage", value=node.disk.size_bytes
            )
            yield GaugeMetricFamily(f"{name}_free_bytes", "free on that disk", value=node.disk.free_bytes)
        if node.audit is not None:
            name, size = f"{prefix}audit_log_dir_size_bytes", node.audit.dir_size_bytes
            yield GaugeMetricFamily(name, "files of the audit log", value=size)
        if node.quota is not None:
            yield from filter(_has_samples, (self._quotas(node.quota),))
        if node.requests is not None:
            name = f"{prefix}{OWN}requests"
            running, refused = node.requests.running, node.requests.refused
            yield GaugeMetricFamily(f"{name}_running", "requests about collections under way", value=running)
            yield CounterMetricFamily(f"{name}_refused_total", "requests that were too many", value=refused)
        if node.denials is not None:
            yield self._denied(node.denials)
        if node.measured is not None:
            yield from prefixed(node.measured, prefix)

    def _denied(self, denials: Denials) -> Metric:
        family = CounterMetricFamily(
            f"{self._prefix}{OWN}requests_denied_total", "requests that were not let in", labels=["reason"]
        )
        family.add_metric(["unknown_caller"], denials.unknown)
        family.add_metric(["not_allowed"], denials.forbidden)
        return family

    def _quotas(self, report: QuotaReport) -> Metric:
        """Qdrant's family; it has a series for each resource that has a limit."""
        family = GaugeMetricFamily(
            f"{self._prefix}quota_exceeded",
            "does a quota keep this node from taking data",
            labels=["resource"],
        )
        config = report.config
        if memory_limit(config) is not None:
            family.add_metric(["memory"], report.memory_exceeded)
        if disk_limit(config) is not None:
            family.add_metric(["disk"], report.disk_exceeded)
        return family


def active_replicas(entries: Iterable[CollectionEntry]) -> tuple[int, int]:
    """The fewest and the most active replicas of any shard; shards that are being split do not count."""
    counts = [
        sum(state is ReplicaState.ACTIVE for state in shard.replicas.values())
        for entry in entries
        for shard in entry.state.shards.values()
        if ReplicaState.RESHARDING.value
        not in (shown_state(entry.state, shard, peer_id) for peer_id in shard.replicas)
    ]
    return min(counts, default=0), max(counts, default=0)


def _lacks_a_replica(entry: CollectionEntry, shard: ShardEntry) -> bool:
    """Is a replica of the shard not active, or this node's not to be asked?"""
    states = entry.state.shards[shard.id].replicas.values()
    return (shard.local and shard.info is None) or any(state is not ReplicaState.ACTIVE for state in states)


def unindexed(shards: Iterable[ShardInfo]) -> dict[str, int]:
    """Vectors without a graph, by name; names that have none are left out."""
    missing: dict[str, int] = {}
    for segment in (segment for shard in shards for segment in shard.segment_infos):
        for name, count in segment.vectors.items():
            if name not in segment.indexed_vectors and count:
                missing[name] = missing.get(name, 0) + count
    return missing


def _memory() -> dict[str, int]:
    found = machine.memory()
    return {name: getattr(found, name) for name in found.__struct_fields__}


def _has_samples(family: Metric) -> bool:
    return bool(family.samples)
