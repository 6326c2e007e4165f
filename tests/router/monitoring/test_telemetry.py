"""Which keys ``/telemetry`` has at which level."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from protos.hardware import HardwareUsage
from protos.shard import Optimization, OptimizedSegment
from router.audit.files import AuditFigures
from router.monitoring import machine
from router.monitoring.inventory import CollectionEntry
from router.monitoring.metrics import Requests, RequestStatistics
from router.monitoring.telemetry import Process, telemetry
from tests.router.monitoring.test_metrics import entry, segment

PROCESS = Process(id="p", version="1.2.3", started=datetime(2026, 1, 2, tzinfo=UTC), search_threads=2)
BASE = {"id", "app", "collections", "cluster", "requests", "quota"}


def at(level: int, entries: list[CollectionEntry] | None = None, *, anonymize: bool = False) -> Any:
    return telemetry(
        process=PROCESS,
        collections=[entry("one")] if entries is None else entries,
        requests=Requests(),
        level=level,
        anonymize=anonymize,
    )


@pytest.mark.parametrize(
    ("level", "top", "collections"),
    [
        (0, BASE, {"number_of_collections"}),
        (
            1,
            BASE | {"memory", "hardware", "search_pool"},
            {"number_of_collections", "collections", "snapshots"},
        ),
        (
            4,
            BASE | {"memory", "hardware", "search_pool"},
            {"number_of_collections", "collections", "snapshots"},
        ),
    ],
)
def test_each_level_has_exactly_its_keys(level: int, top: set[str], collections: set[str]) -> None:
    found = at(level)
    assert set(found) == top
    assert set(found["collections"]) == collections


@pytest.mark.parametrize(
    ("level", "keys"),
    [
        (1, {"vectors", "optimizers_status", "params"}),
        (2, {"id", "init_time_ms", "config"}),
        (3, {"id", "init_time_ms", "config", "shards", "transfers", "resharding"}),
    ],
)
def test_a_collection_tells_more_with_each_level(level: int, keys: set[str]) -> None:
    (found,) = at(level)["collections"]["collections"]
    assert set(found) == keys


def test_a_local_shard_tells_about_segments_from_level_four_on() -> None:
    level_3 = {
        "variant_name", "status", "total_optimized_points", "vectors_size_bytes", "payloads_size_bytes",
        "num_points", "num_vectors", "num_vectors_by_name", "optimizations", "async_scorer", "update_queue",
    }  # fmt: skip
    for level, keys in ((3, level_3), (4, level_3 | {"segments", "indexed_only_excluded_vectors"})):
        (shard,) = at(level)["collections"]["collections"][0]["shards"]
        assert set(shard["local"]) == keys
        assert shard["replicate_states"] == {"1": "Active"}


def test_a_local_shard_tells_how_many_operations_it_has_applied() -> None:
    found = entry("one", update_queue_length=2, operations_applied=9)
    (shard,) = at(3, [found])["collections"]["collections"][0]["shards"]
    assert shard["local"]["update_queue"] == {"length": 2, "op_num": 9}


def test_the_hardware_that_requests_cost_is_told_by_collection() -> None:
    assert at(1)["hardware"] == {"collection_data": {}}
    used = structs.replace(entry("one"), hardware=HardwareUsage(cpu=3))
    (told,) = at(1, [used, entry("two")])["hardware"]["collection_data"].items()
    assert told == ("one", dict.fromkeys(HardwareUsage.__struct_fields__, 0) | {"cpu": 3})
    assert "one" not in at(1, [used], anonymize=True)["hardware"]["collection_data"]


def test_the_audit_log_is_told_of_if_there_is_one() -> None:
    assert "audit" not in at(1)["app"]
    figures = AuditFigures("logs", "daily", 7, False, True, 99)
    shown = telemetry(
        process=PROCESS, collections=[], requests=Requests(), level=0, anonymize=False, audit=figures
    )
    assert shown["app"]["audit"] == {
        "dir": "logs",
        "rotation": "daily",
        "max_log_files": 7,
        "trust_forwarded_headers": False,
        "log_api": True,
        "dir_size_bytes": 99,
    }


def test_a_local_shard_tells_what_its_optimizers_did_last() -> None:
    part = OptimizedSegment("0" * 20 + "f" * 12, 5)
    done = Optimization("1" * 32, "indexing", [part], started_ms=1000, ended_ms=1500)
    told = [
        Optimization("2" * 32, "merge", [part], started_ms=9000),
        done,
        structs.replace(done, ended_ms=1100),
        structs.replace(done, error="no room"),
        structs.replace(done, cancelled="closed"),
    ]
    (shard,) = at(3, [entry("one", optimizations=told)])["collections"]["collections"][0]["shards"]
    shown = shard["local"]["optimizations"]
    assert shown["optimizations"] == {
        "count": 2,
        "fail_count": 2,
        "avg_duration_micros": 300_000.0,
        "min_duration_micros": 100_000.0,
        "max_duration_micros": 500_000.0,
        "total_duration_micros": 600_000,
        "last_responded": "1970-01-01T00:00:01.500000+00:00",
    }
    running, first = shown["log"][:2]
    assert (running["status"], "end_at" in running) == ("optimizing", False)
    assert first == {
        "name": "indexing",
        "uuid": "11111111-1111-1111-1111-111111111111",
        "segment_ids": [2**48 - 1],
        "segment_uuids": ["00000000-0000-0000-0000-ffffffffffff"],
        "status": "done",
        "start_at": "1970-01-01T00:00:01+00:00",
        "end_at": "1970-01-01T00:00:01.500000+00:00",
    }
    assert [one["status"] for one in shown["log"][3:]] == [{"error": "no room"}, {"cancelled": "closed"}]


def test_segments_tell_which_vectors_are_indexed() -> None:
    segments = [segment(1, {"": 3}, {"": 3}), segment(2, {"": 2}, {})]
    local = at(4, [entry("one", segment_infos=segments)])["collections"]["collections"][0]["shards"][0][
        "local"
    ]
    assert [set(shown) for shown in local["segments"]] == [
        {"info", "config", "vector_index_searches", "payload_field_indices"}
    ] * 2
    first, second = (shown["info"] for shown in local["segments"])
    assert (first["segment_type"], first["num_indexed_vectors"], first["is_appendable"]) == (
        "indexed",
        3,
        False,
    )
    assert (second["segment_type"], second["num_indexed_vectors"], second["is_appendable"]) == (
        "plain",
        0,
        True,
    )
    assert second["vector_data"] == {
        "": {"num_vectors": 2, "num_indexed_vectors": 0, "num_deleted_vectors": 1}
    }
    assert local["indexed_only_excluded_vectors"] == {"": 2}
    assert local["vectors_size_bytes"] == 200


def test_anonymous_telemetry_names_no_collection_and_no_vector() -> None:
    infos = [segment(1, {"secret-vector": 3}, {"secret-vector": 3})]
    secret = entry("secret-project", vectors={"secret-vector": 3}, segment_infos=infos)
    shown = at(4, [secret], anonymize=True)
    assert "secret" not in str(shown)
    assert shown["app"]["version"] == "1.2.3"


def test_requests_are_grouped_by_route_and_status() -> None:
    requests = RequestStatistics()
    requests.add(("GET", "/collections", 200), 0.001, 1_700_000_000.0)
    requests.add(("GET", "/collections", 200), 0.003, 1_700_000_000.0)
    shown = telemetry(process=PROCESS, collections=[], requests=Requests(requests), level=0, anonymize=False)
    found = shown["requests"]["rest"]["responses"]["GET /collections"]["200"]
    assert found["count"] == 2
    assert found["avg_duration_micros"] == pytest.approx(2000)
    assert found["total_duration_micros"] == 4000
    assert found["last_responded"].startswith("2023-11-14T22:13:20")
    assert shown["app"]["startup"] == "2026-01-02T00:00:00.000000Z"


def test_a_machine_that_does_not_tell_its_distribution_is_described_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> dict[str, str]:
        raise OSError("no os-release")

    monkeypatch.setattr(platform, "freedesktop_os_release", missing)
    assert machine.system.__wrapped__()["distribution"] == platform.system()


def test_settings_of_tokens_are_told_where_they_are_made() -> None:
    assert PROCESS.jwt_rbac is None
    assert "jwt_rbac" not in at(0)["app"]
    shown = telemetry(
        process=structs.replace(PROCESS, jwt_rbac=True, hide_jwt_dashboard=False),
        collections=[],
        requests=Requests(),
        level=0,
        anonymize=False,
    )["app"]
    assert (shown["jwt_rbac"], shown["hide_jwt_dashboard"]) == (True, False)
