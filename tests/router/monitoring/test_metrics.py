"""The text of ``/metrics``."""

from __future__ import annotations

from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from consensus.state import CollectionState, ReplicaState, ShardState
from protos.collections import CollectionConfig, CollectionParams, OptimizersConfig
from protos.hardware import HardwareUsage
from protos.shard import SegmentInfo, ShardInfo, ShardStatus
from router.audit.files import AuditFigures
from router.monitoring.inventory import CollectionEntry, ShardEntry
from router.monitoring.metrics import GRPC, NodeFigures, Requests, RequestStatistics, render

QUERY = "/collections/{collection_name}/points/query"


def entry(name: str, **fields: object) -> CollectionEntry:
    values: dict[str, object] = {
        "status": ShardStatus.GREEN,
        "points": 3,
        "vectors": {"": 3},
        "indexed_vectors": 3,
        "segments": 1,
        "index_points": {},
        "operations_applied": 3,
    }
    info = ShardInfo(**(values | fields))  # type: ignore[arg-type]
    config = CollectionConfig(CollectionParams(vectors={}))
    state = CollectionState(name, "uuid", config, {0: ShardState(0, {1: ReplicaState.ACTIVE}, 1)}, ())
    return CollectionEntry(state, [ShardEntry(0, info)])


def segment(number: int, vectors: dict[str, int], indexed: dict[str, int]) -> SegmentInfo:
    points = max(vectors.values())
    return SegmentInfo(
        f"{number:032x}", points + 1, points, vectors, indexed, 100, 200, appendable=not indexed
    )


def samples(
    collections: list[CollectionEntry] | None = None,
    requests: RequestStatistics | None = None,
    grpc: RequestStatistics | None = None,
    prefix: str = "",
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = render(
        version="1.2.3",
        collections=collections or [],
        requests=Requests(requests or RequestStatistics(), grpc or RequestStatistics(GRPC)),
        prefix=prefix,
    ).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_recovery_mode_is_told() -> None:
    def shown(recovery_mode: bool) -> bytes:
        requests = Requests(RequestStatistics(), RequestStatistics(GRPC))
        return render(version="1", collections=[], requests=requests, prefix="", recovery_mode=recovery_mode)

    assert b"app_status_recovery_mode 1.0" in shown(True)
    assert b"app_status_recovery_mode 0.0" in shown(False)


def test_a_node_without_collections_tells_about_itself_and_leaves_empty_families_out() -> None:
    found = samples()
    assert found["app_info", (("name", "qdrant"), ("version", "1.2.3"))] == 1
    for name in ("collections_total", "collections_vector_total", "cluster_enabled"):
        assert found[name, ()] == 0
    assert found["memory_resident_bytes", ()] > 1e6
    assert found["process_open_fds", ()] > 2
    names = {name for name, _ in found}
    assert not any(name.startswith(("collection_points", "rest_responses")) for name in names)


def test_the_hardware_that_requests_cost_is_told_of_collections_where_it_is_measured() -> None:
    def lines(*collections: CollectionEntry) -> list[str]:
        text = render(version="1", collections=list(collections), requests=Requests(), prefix="p_").decode()
        return [line for line in text.splitlines() if "hardware" in line and not line.startswith("#")]

    assert lines(entry("one")) == []
    used = replace(entry("two"), hardware=HardwareUsage(cpu=7, vector_io_read=8))
    values = dict.fromkeys(HardwareUsage.__struct_fields__, 0.0) | {"cpu": 7.0, "vector_io_read": 8.0}
    expected = [f'p_collection_hardware_metric_{name}{{id="two"}} {values[name]}' for name in values]
    assert lines(entry("one"), used) == expected  # as Qdrant names its counters, without _total


def test_the_size_of_the_audit_log_is_told_if_there_is_one() -> None:
    def shown(audit: AuditFigures | None) -> list[str]:
        node = NodeFigures(audit=audit)
        text = render(version="1", collections=[], requests=Requests(), prefix="p_", node=node).decode()
        return [line for line in text.splitlines() if "audit" in line and not line.startswith("#")]

    assert shown(None) == []
    figures = AuditFigures("logs", "daily", 7, False, True, 99)
    assert shown(figures) == ["p_audit_log_dir_size_bytes 99.0"]


def test_where_points_may_be_deferred_it_is_told_that_none_are() -> None:
    name = "collection_update_queue_deferred_points"
    assert not any(found == name for found, _ in samples([entry("one")]))
    deferring = entry("one")
    config = replace(deferring.state.config, optimizer_config=OptimizersConfig(prevent_unoptimized=True))
    deferring = replace(deferring, state=replace(deferring.state, config=config))
    assert samples([deferring])[name, (("id", "one"),)] == 0


def test_collections_are_counted_by_name_and_vector() -> None:
    found = samples(
        [
            entry("one", segment_infos=[segment(1, {"": 2}, {}), segment(2, {"": 1}, {"": 1})]),
            entry(
                "two", points=5, vectors={"a": 5, "b": 4}, status=ShardStatus.YELLOW, update_queue_length=7
            ),
        ]
    )
    assert found["collections_total", ()] == 2
    assert found["collections_vector_total", ()] == 12
    assert found["collection_vectors", (("collection", "two"), ("vector", "b"))] == 4
    assert found["collection_points", (("id", "two"),)] == 5
    assert found["collection_running_optimizations", (("id", "one"),)] == 0
    assert found["collection_running_optimizations", (("id", "two"),)] == 1
    assert found["collection_update_queue_length", (("id", "two"),)] == 7
    assert found["collection_indexed_only_excluded_points", (("id", "one"), ("vector", ""))] == 2
    assert found["collection_active_replicas_min", ()] == 1


def test_a_shard_that_cannot_be_asked_counts_as_dead() -> None:
    broken = CollectionEntry(entry("one").state, [ShardEntry(0, None)])
    assert samples([broken])["collection_dead_replicas", ()] == 1


def test_requests_are_counted_per_route_and_timed_when_they_succeed() -> None:
    requests = RequestStatistics()
    for seconds in (0.0005, 0.03, 0.03, 7.0):
        requests.add(("POST", QUERY, 200), seconds, 1.0)
    requests.add(("POST", QUERY, 404), 0.5, 1.0)
    requests.add(("GET", "/telemetry", 200), 0.5, 1.0)
    found = samples(requests=requests)
    good = (("endpoint", QUERY), ("method", "POST"), ("status", "200"))
    bad = (("endpoint", QUERY), ("method", "POST"), ("status", "404"))
    assert found["rest_responses_total", good] == 4
    assert found["rest_responses_total", bad] == 1
    assert found["rest_responses_min_duration_seconds", good] == 0.0005
    assert found["rest_responses_max_duration_seconds", good] == 7.0
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "rest_responses_duration_seconds_bucket"
    }
    assert (buckets["0.001"], buckets["0.05"], buckets["10.0"], buckets["+Inf"]) == (1, 3, 4, 4)
    assert ("rest_responses_avg_duration_seconds", bad) not in found
    assert not any("/telemetry" in str(labels) for _, labels in found)


def test_requests_are_told_by_collection_and_leave_with_it() -> None:
    requests = RequestStatistics()
    requests.add(("POST", QUERY, 404), 0.5, 1.0, "unknown")
    requests.add(("POST", QUERY, 200), 0.5, 1.0, "c")
    requests.add(("POST", QUERY, 400), 0.5, 1.0, "c")
    assert set(requests.by_collection) == {"c"}
    text = render(
        version="1", collections=[], requests=Requests(requests), prefix="", per_collection=True
    ).decode()
    assert text.count('collection="c"') > 2
    assert text.count("rest_responses_total{") == text.count('rest_responses_total{collection="c"') == 2
    requests.add(("DELETE", "/collections/{collection_name}", 200), 0.5, 1.0, "c")
    assert not requests.by_collection
    text = render(
        version="1", collections=[], requests=Requests(requests), prefix="", per_collection=True
    ).decode()
    assert text.count("rest_responses_total{") == 3


def test_every_name_takes_the_prefix() -> None:
    assert all(name.startswith("q_") for name, _ in samples([entry("one")], prefix="q_"))


def test_grpc_requests_are_counted_per_method_and_timed_whatever_came_of_them() -> None:
    requests = RequestStatistics(GRPC)
    for code in (0, 0, 5):
        requests.add(("", "/qdrant.Points/Query", code), 0.25, 1.0, "c")
    requests.add(("", "/qdrant.Collections/Get", 0), 0.5, 1.0, "c")
    found = samples(grpc=requests)
    good = (("endpoint", "/qdrant.Points/Query"), ("status", "0"))
    missing = (("endpoint", "/qdrant.Points/Query"), ("status", "5"))
    assert found["grpc_responses_total", good] == 2
    assert found["grpc_responses_total", missing] == 1
    assert found["grpc_responses_avg_duration_seconds", missing] == 0.25
    assert not any("Collections" in str(labels) for _, labels in found)
    assert set(requests.by_collection) == {"c"}
    requests.add(("", "/qdrant.Collections/Delete", 0), 0.5, 1.0, "c")
    assert not requests.by_collection
