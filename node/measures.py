"""What this process counts of its own work, for ``/metrics``.

Lives here: counters and histograms beneath the floor that shows them; one process is one node. Figures that
can be read when somebody asks (queues, replicas) are not kept here but asked for.
May not live here: names of collections or shards. What is counted here has labels of few values, so that
its cost does not grow with what a node holds.

They are in a registry of their own: the library's default one carries metrics of the Python process.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from protos.shard import Way

REGISTRY = CollectorRegistry(auto_describe=False)

_SYNC_BUCKETS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

WAL_SYNC_SECONDS = Histogram(
    "vecraft_wal_sync_duration_seconds",
    "time the disk took to make a batch of operations durable",
    buckets=_SYNC_BUCKETS_S,
    registry=REGISTRY,
)
COMMIT_OPERATIONS = Histogram(
    "vecraft_commit_batch_operations",
    "operations that one sync of a log made durable",
    buckets=_BATCH_BUCKETS,
    registry=REGISTRY,
)
WAL_SYNC_FAILURES = Counter(
    "vecraft_wal_sync_failures", "syncs of a log that the disk refused", registry=REGISTRY
)
TAILS_CUT = Counter(
    "vecraft_replica_tails_cut",
    "times a replica's log had parted from its primary's, and was cut back",
    registry=REGISTRY,
)
ROUTERS_FOLLOWING = Gauge("vecraft_routers_following", "routers that follow this peer", registry=REGISTRY)
BUILDS_WAITING = Gauge(
    "vecraft_builds_waiting", "builds of segments that wait for their turn", registry=REGISTRY
)
BUILDS_RUNNING = Gauge("vecraft_builds_running", "builds of segments that run", registry=REGISTRY)
BUILDS_FINISHED = Counter("vecraft_builds_finished", "builds of segments that succeeded", registry=REGISTRY)
BUILDS_FAILED = Counter(
    "vecraft_builds_failed", "builds of segments that failed and are tried again", registry=REGISTRY
)

_searches = Counter(
    "vecraft_segment_searches",
    "queries answered by a segment, by the way the planner took",
    ["way"],
    registry=REGISTRY,
)
SEGMENT_SEARCHES = {way: _searches.labels(way.value) for way in Way}
