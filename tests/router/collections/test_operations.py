"""Collection operations on a real local log and an in-memory node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest
from qdrant_client.http import models

from consensus.local_log import LocalLog
from consensus.state import ClusterState
from protos.collections import (
    AliasAction,
    CollectionDefaults,
    CreateAlias,
    DeleteAlias,
    Distance,
    VectorParams,
    decode_create,
    decode_field_index,
    decode_update,
)
from protos.errors import (
    AlreadyExists,
    BadInput,
    BadRequest,
    InvalidField,
    NotFound,
    ShardUnavailable,
    Timeout,
)
from protos.memory import ShardMemory
from protos.operations import (
    UpdateResult,
    UpdateStatus,
    Upsert,
    VectorBatch,
)
from protos.shard import (
    Optimization,
    OptimizedSegment,
    Projection,
    ShardInfo,
    ShardStatus,
    UpdateRequest,
    unreachable_shard,
)
from router.collections import CollectionOperations, SchemaOptions
from router.collections.info import collection_info
from router.collections.optimizations import optimizations_info
from tests.router.fakes import FakeNode
from tests.router.monitoring.test_metrics import segment

DENSE: dict[str, Any] = {"vectors": {"size": 2, "distance": "Dot"}}
WAIT = SchemaOptions(wait=True)


class Node(FakeNode):
    """Remembers what it was told; ``gate`` closed holds reconciliation up."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: list[str] = []
        self.reconciled: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def reconcile(self, state: ClusterState) -> None:
        self.entered.set()
        await self.gate.wait()
        self.reconciled.append(state.version)
        await super().reconcile(state)

    async def settle_schema(self, collection: str, shard_id: int, config_version: int) -> UpdateResult:
        await super().settle_schema(collection, shard_id, config_version)
        return UpdateResult(UpdateStatus.COMPLETED, 10 + shard_id)

    def touch(self, collection: str) -> None:
        self.touched.append(collection)


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    opened = LocalLog.open(tmp_path, peer_id=7)
    yield opened
    await opened.close()


@pytest.fixture
async def operations(log: LocalLog, node: Node) -> AsyncIterator[CollectionOperations]:
    made = CollectionOperations(log, node, CollectionDefaults(max_collections=3))
    yield made
    node.gate.set()  # a test that failed may have left it closed
    await made.close()


async def put(node: Node, collection: str, shard: int, ids: list[int]) -> None:
    vectors = np.array([[float(point), 1.0] for point in ids], dtype="<f4")
    payloads = [b'{"n":%d}' % point for point in ids]
    change = Upsert(list(ids), (VectorBatch("", 2, vectors.tobytes()),), payloads)
    await node.shard(collection, shard).update(UpdateRequest(change, wait=True))


async def test_a_created_collection_is_usable_when_the_call_returns(
    operations: CollectionOperations, node: Node
) -> None:
    assert await operations.create("c", decode_create({**DENSE, "shard_number": 3})) is True
    assert operations.names() == ["c"]
    assert operations.exists("c")
    assert sorted(node.shards) == [("c", 0), ("c", 1), ("c", 2)]
    assert operations.resolve("c").config.params.shard_number == 3


async def test_creation_right_after_deletion_makes_an_empty_collection(
    operations: CollectionOperations, node: Node
) -> None:
    await operations.create("c", decode_create(DENSE))
    await put(node, "c", 0, [1])
    first = operations.resolve("c").uuid
    assert await operations.delete("c") is True
    assert node.shards == {}
    await operations.create("c", decode_create(DENSE))
    assert operations.resolve("c").uuid != first
    assert await node.shard("c", 0).count(None, exact=True) == 0


async def test_names_are_checked_when_they_are_new(operations: CollectionOperations) -> None:
    with pytest.raises(InvalidField, match='collection name cannot contain ":" char'):
        await operations.create("a:b", decode_create(DENSE))
    await operations.create("c", decode_create(DENSE))
    with pytest.raises(AlreadyExists, match="Wrong input: Collection `c` already exists!"):
        await operations.create("c", decode_create(DENSE))


async def test_whoever_hears_that_a_collection_exists_can_use_it(
    operations: CollectionOperations, node: Node
) -> None:
    node.gate.clear()
    first = asyncio.create_task(operations.create("c", decode_create(DENSE)))
    await node.entered.wait()
    second = asyncio.create_task(operations.create("c", decode_create(DENSE)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(second), 0.05)
    node.gate.set()
    with pytest.raises(AlreadyExists):
        await second
    assert ("c", 0) in node.shards
    assert await first


async def test_the_limit_of_collections_is_kept_under_concurrency(operations: CollectionOperations) -> None:
    creations = (operations.create(f"c{index}", decode_create(DENSE)) for index in range(5))
    outcomes = await asyncio.gather(*creations, return_exceptions=True)
    assert outcomes.count(True) == 3
    assert sum(isinstance(outcome, BadRequest) for outcome in outcomes) == 2
    assert len(operations.names()) == 3


async def test_what_does_not_exist_is_not_found_but_deletes_quietly(operations: CollectionOperations) -> None:
    assert await operations.delete("x") is False
    assert operations.exists("x") is False
    for call in (
        operations.info("x"),
        operations.cluster_info("x"),
        operations.update("x", decode_update({})),
        operations.delete_index("x", "f"),
    ):
        with pytest.raises(NotFound, match="Not found: Collection `x` doesn't exist!"):
            await call


async def test_an_alias_serves_everything_but_deletion(operations: CollectionOperations, node: Node) -> None:
    await operations.create("c", decode_create(DENSE))
    await operations.change_aliases([CreateAlias("c", "a")])
    assert operations.exists("a")
    assert (await operations.info("a")).status is ShardStatus.GREEN
    await operations.update("a", decode_update({"hnsw_config": {"m": 4}}))
    assert operations.resolve("c").config.hnsw_config.m == 4
    assert node.touched == ["c"]
    assert await operations.delete("a") is False
    assert [(alias.alias_name, alias.collection_name) for alias in operations.aliases_of("a")] == [("a", "c")]
    with pytest.raises(BadInput, match="Alias with the same name already exists"):
        await operations.create("a", decode_create(DENSE))
    await operations.delete("c")
    assert operations.aliases() == []


async def test_readers_see_all_actions_of_a_change_of_aliases_or_none(
    operations: CollectionOperations,
) -> None:
    await operations.create("old", decode_create(DENSE))
    await operations.create("new", decode_create(DENSE))
    await operations.change_aliases([CreateAlias("old", "live")])
    swap: list[AliasAction] = [DeleteAlias("live"), CreateAlias("new", "live")]
    change = asyncio.create_task(operations.change_aliases(swap))
    while not change.done():
        assert operations.resolve("live").name in ("old", "new")
        await asyncio.sleep(0)
    assert operations.resolve("live").name == "new"


async def test_an_empty_update_wakes_the_optimizers(operations: CollectionOperations, node: Node) -> None:
    await operations.create("c", decode_create(DENSE))
    assert await operations.update("c", decode_update({})) is True
    assert node.touched == ["c"]


async def test_an_update_of_an_unknown_vector_is_refused(operations: CollectionOperations) -> None:
    await operations.create("c", decode_create(DENSE))
    with pytest.raises(BadInput, match="Not existing vector name error: v"):
        await operations.update("c", decode_update({"vectors": {"v": {"on_disk": True}}}))


async def test_an_index_enters_the_state_and_every_shards_log(
    operations: CollectionOperations, node: Node
) -> None:
    await operations.create("c", decode_create({**DENSE, "shard_number": 2}))
    request = decode_field_index({"field_name": "city", "field_schema": "keyword"})
    assert await operations.create_index("c", request, WAIT) == UpdateResult(UpdateStatus.COMPLETED, 11)
    assert set(operations.resolve("c").payload_schema) == {"city"}
    assert node.settled == [("c", 0, 2), ("c", 1, 2)]
    assert (await operations.info("c")).payload_schema == {"city": {"data_type": "keyword", "points": 0}}
    node.settled.clear()
    result = await operations.delete_index("c", "city")
    assert result == UpdateResult(UpdateStatus.ACKNOWLEDGED, 11)
    assert node.settled == [("c", 0, 3), ("c", 1, 3)]
    assert operations.resolve("c").payload_schema == {}


async def test_an_index_that_is_there_already_is_settled_all_the_same(
    operations: CollectionOperations, node: Node
) -> None:
    """A crash may have come between the state and the shards' logs."""
    await operations.create("c", decode_create(DENSE))
    request = decode_field_index({"field_name": "city", "field_schema": "keyword"})
    for _ in range(2):
        await operations.create_index("c", request, WAIT)
    assert node.settled == [("c", 0, 2)] * 2


async def test_vector_names_enter_the_state_before_the_logs(
    operations: CollectionOperations, node: Node
) -> None:
    await operations.create("c", decode_create(DENSE))
    params = VectorParams(3, Distance.COSINE)
    await operations.create_vector_name("c", "v", params, WAIT)
    assert node.settled == [("c", 0, 2)]
    assert node.shards["c", 0].config.vectors["v"] == params
    with pytest.raises(BadInput, match="already exists with a different configuration"):
        await operations.create_vector_name("c", "v", VectorParams(4, Distance.COSINE), WAIT)
    with pytest.raises(BadInput, match="cannot contain"):
        await operations.create_vector_name("c", "a/b", params, WAIT)
    await operations.delete_vector_name("c", "v", WAIT)
    assert node.settled == [("c", 0, 2), ("c", 0, 3)]
    assert set(operations.resolve("c").config.vectors) == {""}


async def test_a_collection_without_shards_acknowledges_schema_changes(
    operations: CollectionOperations,
) -> None:
    await operations.create("c", decode_create({**DENSE, "sharding_method": "custom"}))
    assert operations.resolve("c").shards == {}
    assert operations.shard_keys("c") == []
    request = decode_field_index({"field_name": "city", "field_schema": "keyword"})
    assert await operations.create_index("c", request, WAIT) == UpdateResult(UpdateStatus.ACKNOWLEDGED)
    assert (await operations.info("c")).status is ShardStatus.GREEN


async def test_a_change_outlives_the_patience_of_its_caller(
    operations: CollectionOperations, node: Node
) -> None:
    node.gate.clear()
    with pytest.raises(Timeout, match=r"Operation 'Create collection' timed out after 0\.001s"):
        await operations.create("c", decode_create(DENSE), timeout_ms=1)
    node.gate.set()
    await operations.close()
    assert ("c", 0) in node.shards


async def test_an_impatient_schema_change_tells_that_it_goes_on(
    operations: CollectionOperations, node: Node
) -> None:
    await operations.create("c", decode_create(DENSE))
    node.gate.clear()
    request = decode_field_index({"field_name": "city", "field_schema": "keyword"})
    result = await operations.create_index("c", request, SchemaOptions(wait=True, timeout_ms=1))
    assert result == UpdateResult(UpdateStatus.WAIT_TIMEOUT)
    node.gate.set()
    await operations.close()
    assert node.settled == [("c", 0, 2)]


async def test_shards_are_never_reconciled_with_an_older_state(
    operations: CollectionOperations, node: Node, log: LocalLog
) -> None:
    both_named = asyncio.Event()
    log.subscribe(lambda state, _events: both_named.set() if len(state.collections) == 2 else None)
    node.gate.clear()
    creations = asyncio.gather(*(operations.create(name, decode_create(DENSE)) for name in "ab"))
    await both_named.wait()
    node.gate.set()
    await creations
    assert node.reconciled == sorted(node.reconciled)
    assert set(node.shards) == {("a", 0), ("b", 0)}


async def test_init_from_copies_every_point(operations: CollectionOperations, node: Node) -> None:
    await operations.create("old", decode_create({**DENSE, "shard_number": 2}))
    await put(node, "old", 0, list(range(1500)))
    await put(node, "old", 1, list(range(2000, 2010)))
    body = {**DENSE, "shard_number": 3, "init_from": {"collection": "old"}}
    await operations.create("new", decode_create(body))
    counts = [await node.shard("new", shard).count(None, exact=True) for shard in range(3)]
    assert sum(counts) == 1510
    assert all(counts)
    found = []
    for shard in range(3):
        found += await node.shard("new", shard).retrieve([7], Projection(payload=True, vectors=True))
    (record,) = found
    assert record.payload == b'{"n":7}'
    assert record.vectors is not None
    assert record.vectors[""].tolist() == [7.0, 1.0]


async def test_init_from_needs_a_source_with_the_same_vectors(operations: CollectionOperations) -> None:
    with pytest.raises(NotFound, match="`old` doesn't exist"):
        await operations.create("new", decode_create({**DENSE, "init_from": {"collection": "old"}}))
    await operations.create("old", decode_create(DENSE))
    other = {"vectors": {"size": 3, "distance": "Dot"}, "init_from": {"collection": "old"}}
    with pytest.raises(BadInput, match="Cannot init from"):
        await operations.create("new", decode_create(other))
    assert operations.names() == ["old"]


async def test_a_collection_that_could_not_be_filled_is_dropped(
    operations: CollectionOperations, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await operations.create("old", decode_create(DENSE))

    async def fail(_request: object) -> None:
        raise ShardUnavailable("gone")

    monkeypatch.setattr(node.shards["old", 0], "scroll", fail)
    with pytest.raises(ShardUnavailable):
        await operations.create("new", decode_create({**DENSE, "init_from": {"collection": "old"}}))
    assert operations.names() == ["old"]
    assert set(node.shards) == {("old", 0)}


async def test_info_parses_as_the_clients_model(operations: CollectionOperations, node: Node) -> None:
    await operations.create("c", decode_create({**DENSE, "shard_number": 2}))
    await put(node, "c", 0, [1, 2])
    await put(node, "c", 1, [3])
    shown = msgspec.json.decode(msgspec.json.encode(await operations.info("c")))
    parsed = models.CollectionInfo.model_validate(shown)
    assert (parsed.points_count, parsed.segments_count, parsed.status) == (
        3,
        2,
        models.CollectionStatus.GREEN,
    )
    assert parsed.optimizer_status == models.OptimizersStatusOneOf.OK
    assert set(shown) == {
        *("status", "optimizer_status", "vectors_count", "indexed_vectors_count", "points_count"),
        *("segments_count", "config", "payload_schema", "update_queue"),
    }


async def test_a_shard_that_does_not_report_makes_the_collection_red(
    operations: CollectionOperations, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await operations.create("c", decode_create({**DENSE, "shard_number": 2}))

    async def fail() -> ShardInfo:
        raise ShardUnavailable("its log is damaged")

    monkeypatch.setattr(node.shards["c", 1], "info", fail)
    info = await operations.info("c")
    assert info.status is ShardStatus.RED
    assert info.optimizer_status == {"error": "Shard temporarily unavailable: its log is damaged"}


async def test_a_collections_status_is_that_of_its_worst_shard(operations: CollectionOperations) -> None:
    await operations.create("c", decode_create(DENSE))
    collection = operations.resolve("c")
    shards = [
        ShardInfo(status, 2, {"": 2, "v": 1}, 4, 3, {"f": 2}, 0, update_queue_length=5)
        for status in (ShardStatus.GREEN, ShardStatus.GREY, ShardStatus.YELLOW)
    ]
    info = collection_info(collection, shards)
    assert info.status is ShardStatus.GREY
    assert (info.points_count, info.indexed_vectors_count) == (6, 12)
    assert (info.segments_count, info.update_queue.length) == (9, 15)
    assert collection_info(collection, [*shards, unreachable_shard("x")]).status is ShardStatus.RED


async def test_where_points_may_be_deferred_it_is_told_that_none_are(
    operations: CollectionOperations,
) -> None:
    await operations.create("c", decode_create({**DENSE, "optimizers_config": {"prevent_unoptimized": True}}))
    await operations.create("d", decode_create(DENSE))
    shown = msgspec.to_builtins(await operations.info("c"))
    assert shown["update_queue"] == {"length": 0, "deferred_points": 0}
    assert [warning["message"].split(":")[0] for warning in shown["warnings"]] == [
        "prevent_unoptimized defers no points"
    ]
    shown = msgspec.to_builtins(await operations.info("d"))
    assert shown["update_queue"] == {"length": 0}
    assert "warnings" not in shown


def test_what_waits_to_be_optimized_is_estimated_from_segments_without_a_graph() -> None:
    segments = [segment(1, {"": 3}, {"": 3}), segment(2, {"": 2}, {})]
    shards = [
        ShardInfo(status, 5, {"": 5}, 3, 2, {}, 5, segment_infos=segments)
        for status in (ShardStatus.GREEN, ShardStatus.YELLOW)
    ]
    shown = optimizations_info(shards, " queued , idle_segments,completed")
    assert shown["summary"] == {
        "queued_optimizations": 1,
        "queued_segments": 1,
        "queued_points": 2,
        "idle_segments": 3,
    }
    assert [len(task["segments"]) for task in shown["queued"]] == [1]
    assert [info["points_count"] for info in shown["idle_segments"]] == [3, 2, 3]
    assert shown["completed"] == shown["running"] == []
    models.OptimizationsResponse.model_validate(shown)


def test_optimizations_are_shown_while_they_run_and_when_they_have_ended() -> None:
    segments = [segment(1, {"": 3}, {"": 3}), segment(2, {"": 2}, {})]
    parts = [OptimizedSegment(segments[1].id, 2)]
    told = [
        Optimization("a" * 32, "indexing", parts, 1_000),
        Optimization("b" * 32, "merge", parts, 2_000, 4_500),
        Optimization("c" * 32, "vacuum", parts, 3_000, 3_500, error="no space left"),
        Optimization("d" * 32, "indexing", parts, 3_000, 9_000, cancelled="too large"),
    ]
    shard = ShardInfo(ShardStatus.YELLOW, 5, {"": 5}, 3, 2, {}, 5, segment_infos=segments, optimizations=told)
    shown = optimizations_info([shard], "queued,completed,idle_segments", 2)
    models.OptimizationsResponse.model_validate(shown)
    (running,) = shown["running"]
    assert (running["optimizer"], running["status"]) == ("indexing", "optimizing")
    assert running["segments"] == [{"uuid": str(UUID(segments[1].id)), "points_count": 2}]
    assert shown["queued"] == []  # what is worked on does not wait
    assert [one["status"] for one in shown["completed"]] == [{"cancelled": "too large"}, "done"]
    assert shown["completed"][1]["progress"]["duration_sec"] == 2.5
    assert [info["points_count"] for info in shown["idle_segments"]] == [3]
    assert len(optimizations_info([shard], "completed")["completed"]) == 3


async def test_inline_storage_of_multivectors_is_warned_of(operations: CollectionOperations) -> None:
    several = {**DENSE["vectors"], "multivector_config": {"comparator": "max_sim"}}
    quantized = {"quantization_config": {"scalar": {"type": "int8"}}, "hnsw_config": {"inline_storage": True}}
    await operations.create("c", decode_create({"vectors": several, **quantized}))
    (warning,) = (await operations.info("c")).warnings
    assert "multivectors" in warning.message


async def test_inline_storage_without_quantization_is_warned_of(operations: CollectionOperations) -> None:
    await operations.create("c", decode_create({**DENSE, "hnsw_config": {"inline_storage": True}}))
    (warning,) = (await operations.info("c")).warnings
    assert "inline storage" in warning.message


async def test_cluster_info_shows_local_shards(operations: CollectionOperations, node: Node) -> None:
    await operations.create("c", decode_create({**DENSE, "shard_number": 2, "replication_factor": 2}))
    await put(node, "c", 1, [1, 2])
    shown = msgspec.to_builtins(await operations.cluster_info("c"))
    assert shown == {
        "peer_id": 7,
        "shard_count": 2,
        "local_shards": [
            {"shard_id": 0, "points_count": 0, "state": "Active"},
            {"shard_id": 1, "points_count": 2, "state": "Active"},
        ],
        "remote_shards": [],
        "shard_transfers": [],
    }
    assert models.CollectionClusterInfo.model_validate(shown).shard_count == 2
    assert operations.shard_keys("c") is None


async def test_optimizations_show_the_parts_that_were_asked_for(operations: CollectionOperations) -> None:
    await operations.create("c", decode_create(DENSE))
    plain = await operations.optimizations("c")
    assert set(plain) == {"summary", "running"}
    assert models.OptimizationsResponse.model_validate(plain).running == []
    assert set(await operations.optimizations("c", "queued, idle_segments")) == {
        *plain,
        "queued",
        "idle_segments",
    }
    with pytest.raises(BadInput, match="Unknown field in 'with' parameter: x"):
        await operations.optimizations("c", "queued,x")


async def test_init_from_copies_points_that_lack_some_vectors(
    operations: CollectionOperations, node: Node
) -> None:
    named = {name: {"size": 2, "distance": "Dot"} for name in ("a", "b")}
    await operations.create("old", decode_create({"vectors": named}))
    rows = np.array([1], dtype="<u4").tobytes()
    batches = (
        VectorBatch(
            "a", 2, np.array([[1, 2], [3, 4]], dtype="<f4").tobytes(), np.array([0, 2], "<u4").tobytes()
        ),
        VectorBatch("b", 2, np.array([[5, 6]], dtype="<f4").tobytes(), rows),
    )
    change = Upsert([1, 2, 3], batches, [b"{}"] * 3)
    await node.shard("old", 0).update(UpdateRequest(change, wait=True))
    await operations.create("new", decode_create({"vectors": named, "init_from": {"collection": "old"}}))
    records = await node.shard("new", 0).retrieve([1, 2, 3], Projection(vectors=True))
    vectors = [{name: row.tolist() for name, row in (record.vectors or {}).items()} for record in records]
    assert vectors == [{"a": [1, 2]}, {"b": [5, 6]}, {"a": [3, 4]}]


async def test_memory_is_not_told_without_every_shard(
    operations: CollectionOperations, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await operations.create("c", decode_create({**DENSE, "shard_number": 2}))
    assert (await operations.memory("c")).total.disk_bytes == 6

    async def fail() -> ShardMemory:
        raise ShardUnavailable("it is being opened")

    monkeypatch.setattr(node.shards["c", 1], "memory", fail)
    with pytest.raises(ShardUnavailable, match=r"^Shard temporarily unavailable: it is being opened$"):
        await operations.memory("c")
