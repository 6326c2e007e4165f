"""What ``/metrics`` tells of shards and of the machinery beneath, beyond Qdrant's families. Pure.

Every name begins with ``vecraft_``. Without ``per_collection`` a family is one series, the worst of all
shards, so that what a scrape costs does not grow with the collections; with it there is one series per shard,
or per follower of a shard. Only the peer that leads a shard tells of followers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric

from consensus.replica_sets import in_sync, is_in_sync, is_resharded, wanted_replicas
from node.client import SearchLoad
from protos.shard import ReplicationInfo, ShardStatus
from router.monitoring.inventory import CollectionEntry, ShardEntry

PREFIX = "vecraft_"


class Figure(NamedTuple):
    """``value`` of ``labels``, the collection's name first."""

    labels: tuple[str, ...]
    value: float


def shard_families(
    entries: Sequence[CollectionEntry], *, peers: int, prefix: str, per_collection: bool
) -> Iterator[Metric]:
    """``peers``: members of the cluster; no shard can have more replicas."""
    name = f"{prefix}{PREFIX}"
    counts = {
        "shards_under_replicated": (
            "shards with fewer replicas in sync than they should have",
            sum(_is_short(entry, shard, peers) for entry, shard in _every(entries)),
        ),
        "shards_without_primary": (
            "shards that nobody can write to: their primary is not in sync",
            sum(_has_no_primary(entry, shard) for entry, shard in _every(entries)),
        ),
        "shards_failed": (
            "shards on this node that cannot be read, or whose writes, files or builds fail",
            sum(_has_failed(shard) for _, shard in _every(entries)),
        ),
        "collections_resharding": (
            "collections whose points move between shards, or that are cleaned up after that",
            sum(is_resharded(entry.state) for entry in entries),
        ),
    }
    for family, (text, count) in counts.items():
        yield GaugeMetricFamily(name + family, text, value=count)
    yield _worst(
        name + "shard_in_sync_replicas",
        "replicas that hold every acknowledged write",
        ("collection", "shard"),
        list(_in_sync(entries)),
        worst=min,
        per_collection=per_collection,
    )
    yield _worst(
        name + "replica_lag_operations",
        "operations in the primary's log that a follower has not confirmed",
        ("collection", "shard", "peer"),
        list(_lags(entries)),
        worst=max,
        per_collection=per_collection,
    )
    yield _worst(
        name + "replica_divergence_operations",
        "operations that readers of one replica in sync see, and readers of another do not yet",
        ("collection", "shard"),
        list(_divergences(entries)),
        worst=max,
        per_collection=per_collection,
    )


def load_families(load: SearchLoad, *, prefix: str) -> Iterator[Metric]:
    """The threads that answer reads."""
    figures = {
        "search_pool_threads": ("threads that answer reads", load.threads),
        "search_pool_busy_threads": ("threads that answer reads now", load.busy),
        "search_pool_waiting": ("parts of reads that wait for a thread", load.waiting),
    }
    for family, (text, value) in figures.items():
        yield GaugeMetricFamily(f"{prefix}{PREFIX}{family}", text, value=value)


def prefixed(registry: CollectorRegistry, prefix: str) -> Iterator[Metric]:
    """What ``registry`` holds, under names that begin with ``prefix``, without the times of creation."""
    for family in registry.collect():
        renamed = Metric(prefix + family.name, family.documentation, family.type)
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                renamed.add_sample(prefix + sample.name, sample.labels, sample.value)
        yield renamed


def _worst(
    name: str,
    text: str,
    labels: tuple[str, ...],
    figures: list[Figure],
    *,
    worst: Callable[[Iterable[float]], float],
    per_collection: bool,
) -> GaugeMetricFamily:
    """A series per figure, or one for the worst of them; none without figures."""
    family = GaugeMetricFamily(name, text, labels=labels if per_collection else ())
    if not per_collection and figures:
        family.add_metric((), worst(figure.value for figure in figures))
    for figure in figures if per_collection else ():
        family.add_metric(figure.labels, figure.value)
    return family


def _every(entries: Sequence[CollectionEntry]) -> Iterator[tuple[CollectionEntry, ShardEntry]]:
    return ((entry, shard) for entry in entries for shard in entry.shards)


def _is_short(entry: CollectionEntry, shard: ShardEntry, peers: int) -> bool:
    agreed = entry.state.shards[shard.id]
    return len(in_sync(agreed)) < min(wanted_replicas(entry.state, agreed), peers)


def _has_no_primary(entry: CollectionEntry, shard: ShardEntry) -> bool:
    agreed = entry.state.shards[shard.id]
    return not is_in_sync(agreed, agreed.primary)


def _has_failed(shard: ShardEntry) -> bool:
    return shard.local and (shard.info is None or shard.info.status is ShardStatus.RED)


def _in_sync(entries: Sequence[CollectionEntry]) -> Iterator[Figure]:
    for entry, shard in _every(entries):
        yield Figure((entry.name, str(shard.id)), len(in_sync(entry.state.shards[shard.id])))


def _led(entries: Sequence[CollectionEntry]) -> Iterator[tuple[tuple[str, str], ReplicationInfo]]:
    """Shards that this node leads, with where their logs stand."""
    for entry, shard in _every(entries):
        replication = None if shard.info is None else shard.info.replication
        if replication is not None and replication.followers is not None:
            yield (entry.name, str(shard.id)), replication


def _lags(entries: Sequence[CollectionEntry]) -> Iterator[Figure]:
    for labels, replication in _led(entries):
        for follower in replication.followers or ():
            yield Figure((*labels, str(follower.peer_id)), max(0, replication.logged - follower.durable))


def _divergences(entries: Sequence[CollectionEntry]) -> Iterator[Figure]:
    for labels, replication in _led(entries):
        in_sync = [follower.applied for follower in replication.followers or () if follower.in_sync]
        applied = [replication.applied, *in_sync]
        yield Figure(labels, max(applied) - min(applied))
