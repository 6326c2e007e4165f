"""The shards of one process, as the cluster state says."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from consensus.state import ClusterState, CollectionState, ReplicaState, ShardGroup, ShardState
from node.local import LocalNode
from node.replica.replica import ShardReplica
from protos.collections import (
    CollectionConfig,
    Distance,
    OptimizersConfigDiff,
    PayloadSchema,
    PayloadSchemaType,
    VectorParams,
)
from protos.errors import ServiceError, ShardUnavailable
from protos.shard import (
    Hits,
    Position,
    Projection,
    ReadSession,
    SearchRequest,
    ShardStatus,
    UpdateRequest,
)
from tests.node.replica.points import config_of, upsert


def collection(
    name: str = "things", uuid: str = "u1", config: CollectionConfig | None = None, shards: int = 1
) -> CollectionState:
    states = {i: ShardState(i, {1: ReplicaState.ACTIVE}, primary=1) for i in range(shards)}
    return CollectionState(
        name=name,
        uuid=uuid,
        config=config or config_of(),
        shards=states,
        groups=(ShardGroup(tuple(states), b""),),
    )


def state(*collections: CollectionState) -> ClusterState:
    return ClusterState(collections={one.name: one for one in collections})


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LocalNode]:
    node = LocalNode(tmp_path, search_threads=1)
    yield node
    await node.close()


async def put(node: LocalNode, *ids: int, name: str = "things", shard_id: int = 0) -> None:
    await node.shard(name, shard_id).update(UpdateRequest(upsert(ids), wait=True))


async def found(node: LocalNode, *ids: int, name: str = "things") -> list[object]:
    return [record.id for record in await node.shard(name, 0).retrieve(list(ids), Projection())]


async def test_shards_appear_and_go_with_the_state(node: LocalNode, tmp_path: Path) -> None:
    with pytest.raises(ShardUnavailable):
        node.shard("things", 0)
    await node.reconcile(state(collection(shards=2)))
    await put(node, 1, shard_id=1)
    assert (await node.shard("things", 1).info()).points == 1
    await node.reconcile(state())
    with pytest.raises(ShardUnavailable):
        node.shard("things", 1)
    assert not (tmp_path / "collections" / "things").exists()


async def test_reconciling_twice_changes_nothing(node: LocalNode) -> None:
    await node.reconcile(state(collection()))
    shard = node.held("things", 0)
    await put(node, 1)
    await node.reconcile(state(collection()))
    assert node.held("things", 0) is shard
    assert await found(node, 1) == [1]


async def test_points_are_there_after_a_restart(tmp_path: Path) -> None:
    node = LocalNode(tmp_path, search_threads=1)
    await node.reconcile(state(collection()))
    await put(node, 1, 2)
    await node.close()
    again = LocalNode(tmp_path, search_threads=1)
    await again.reconcile(state(collection()))
    assert await found(again, 1, 2, 3) == [1, 2]
    await again.close()


async def test_a_new_collection_of_an_old_name_is_empty(node: LocalNode) -> None:
    await node.reconcile(state(collection()))
    await put(node, 1)
    await node.reconcile(state())
    await node.reconcile(state(collection(uuid="u2")))
    assert await found(node, 1) == []


async def test_a_collection_replaced_between_two_looks_is_empty(node: LocalNode) -> None:
    await node.reconcile(state(collection()))
    await put(node, 1)
    await node.reconcile(state(collection(uuid="u2")))
    assert await found(node, 1) == []


async def test_what_was_left_by_another_collection_of_the_name_is_never_opened(tmp_path: Path) -> None:
    node = LocalNode(tmp_path, search_threads=1)
    await node.reconcile(state(collection()))
    await put(node, 1)
    await node.close()
    again = LocalNode(tmp_path, search_threads=1)
    await again.reconcile(state(collection(uuid="u2")))
    assert await found(again, 1) == []
    await again.close()


@pytest.mark.parametrize("name", ["a b", "ünï", ".hidden", "..x", "x" * 255, "%2F"])
async def test_odd_names_are_fine(node: LocalNode, name: str) -> None:
    await node.reconcile(state(collection(name=name)))
    await put(node, 1, name=name)
    assert await found(node, 1, name=name) == [1]


async def test_a_changed_configuration_reaches_the_shard(node: LocalNode) -> None:
    await node.reconcile(state(collection(config=config_of({}))))
    wider = config_of({"v": VectorParams(2, Distance.DOT)})
    await node.reconcile(state(replace(collection(config=wider), config_version=2)))
    assert (await node.shard("things", 0).info()).vectors == {"v": 0}


async def test_what_the_node_says_of_optimizers_wins_over_every_collection(tmp_path: Path) -> None:
    node = LocalNode(tmp_path, search_threads=1, overrides=OptimizersConfigDiff(indexing_threshold=7))
    await node.reconcile(state(collection()))
    wider = config_of({"v": VectorParams(2, Distance.DOT)})
    for changed in (collection(), replace(collection(config=wider), config_version=2)):
        await node.reconcile(state(changed))
        replica = node.held("things", 0)
        assert isinstance(replica, ShardReplica)
        own = changed.config.optimizer_config
        assert replica.view.config.optimizer_config == replace(own, indexing_threshold=7)
    await node.close()


async def test_payload_indexes_are_made_and_dropped(node: LocalNode) -> None:
    await node.reconcile(state(collection()))
    await put(node, 1, 2)
    indexed = replace(
        collection(), payload_schema={"n": PayloadSchema(PayloadSchemaType.INTEGER)}, config_version=2
    )
    await node.reconcile(state(indexed))
    settled = [await node.replica(indexed, 0, 1).settle_schema(2) for _ in range(2)]
    assert [result.operation_id for result in settled] == [1, 1]
    assert (await node.shard("things", 0).info()).index_points == {"n": 2}
    without = replace(collection(), config_version=3)
    await node.reconcile(state(without))
    await node.replica(without, 0, 1).settle_schema(3)
    assert (await node.shard("things", 0).info()).index_points == {}


async def test_settling_twice_at_once_logs_each_change_once(node: LocalNode) -> None:
    await node.reconcile(state(collection()))
    await put(node, 1)
    schema = {field: PayloadSchema(PayloadSchemaType.INTEGER) for field in ("n", "m")}
    indexed = replace(collection(), payload_schema=schema, config_version=2)
    await node.reconcile(state(indexed))
    replica = node.replica(indexed, 0, 1)
    settled = await asyncio.gather(*(replica.settle_schema(2) for _ in range(3)))
    assert {result.operation_id for result in settled} == {2}


async def test_a_schema_change_that_a_crash_cut_short_is_finished_on_start(tmp_path: Path) -> None:
    node = LocalNode(tmp_path, search_threads=1)
    await node.reconcile(state(collection()))
    await put(node, 1)
    await node.close()
    wider = config_of({"": VectorParams(4, Distance.EUCLID), "v": VectorParams(2, Distance.DOT)})
    changed = replace(
        collection(config=wider), payload_schema={"n": PayloadSchema(PayloadSchemaType.INTEGER)}
    )
    again = LocalNode(tmp_path, search_threads=1)
    await again.reconcile(state(changed))
    info = await again.shard("things", 0).info()
    assert info.index_points == {"n": 1}
    assert info.vectors == {"": 1, "v": 0}
    await again.close()


async def test_a_damaged_shard_stays_listed_and_says_why(tmp_path: Path) -> None:
    node = LocalNode(tmp_path, search_threads=1)
    both = state(collection(), collection("other", "u9"))
    await node.reconcile(both)
    await put(node, 1)
    await put(node, 1, name="other")
    await node.close()
    for file in (tmp_path / "collections" / "things" / "0" / "wal").iterdir():
        file.unlink()
    again = LocalNode(tmp_path, search_threads=1)
    await again.reconcile(both)
    assert await found(again, 1, name="other") == [1]
    assert again.search_soon("things", 0, SearchRequest("", np.float32([1, 0]), 1)) is None
    shard = again.shard("things", 0)
    info = await shard.info()
    assert info.status is ShardStatus.RED
    assert "the log ends" in (info.optimizer_error or "")
    with pytest.raises(ServiceError, match="could not be opened"):
        await shard.count(None, exact=True)
    with pytest.raises(ServiceError, match="could not be opened"):
        await shard.update(UpdateRequest(upsert([1])))
    await again.reconcile(state(collection("other", "u9")))
    with pytest.raises(ShardUnavailable):
        again.shard("things", 0)
    await again.close()


async def test_a_search_is_begun_by_the_replica_or_left_to_who_can_wait_for_another(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = SearchRequest("", np.float32([1, 0]), 1)
    assert node.search_soon("things", 0, search) is None
    await node.reconcile(state(collection()))
    replica, hits = node.held("things", 0), Hits([], np.empty(0, np.float32))
    assert isinstance(replica, ShardReplica)
    monkeypatch.setattr(replica, "search_soon", lambda request: hits if request is search else None)
    assert node.search_soon("things", 0, search) is hits

    def closed(_: SearchRequest) -> Hits:
        raise ShardUnavailable("the shard is being closed")

    monkeypatch.setattr(replica, "search_soon", closed)
    assert node.search_soon("things", 0, search) is None


async def test_in_recovery_mode_no_shard_is_opened_and_all_can_be_dropped(tmp_path: Path) -> None:
    node = LocalNode(tmp_path, search_threads=1)
    both = state(collection(), collection("other", "u9"))
    await node.reconcile(both)
    await put(node, 1)
    await put(node, 1, name="other")
    await node.close()
    withheld = LocalNode(tmp_path, search_threads=1, recovery_mode="out of memory")
    await withheld.reconcile(both)
    shard = withheld.shard("things", 0)
    assert "out of memory" in ((await shard.info()).optimizer_error or "")
    for refused in (shard.count(None, exact=True), shard.update(UpdateRequest(upsert([1])))):
        with pytest.raises(ServiceError, match="recovery mode: out of memory"):
            await refused
    await withheld.reconcile(state(collection("other", "u9")))
    await withheld.close()
    assert not (tmp_path / "collections" / "things").exists()
    again = LocalNode(tmp_path, search_threads=1)
    await again.reconcile(state(collection("other", "u9")))
    assert await found(again, 1, name="other") == [1]
    await again.close()


async def test_a_directory_without_its_identity_is_not_opened(tmp_path: Path) -> None:
    node = LocalNode(tmp_path, search_threads=1)
    await node.reconcile(state(collection()))
    await node.close()
    (tmp_path / "collections" / "things" / "0" / "replica.json").unlink()
    again = LocalNode(tmp_path, search_threads=1)
    await again.reconcile(state(collection()))
    assert (await again.shard("things", 0).info()).status is ShardStatus.RED
    await again.close()


async def test_a_shard_whose_directory_is_lost_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    node = LocalNode(tmp_path, search_threads=1)
    await node.reconcile(state(collection()))
    await put(node, 1)
    await node.close()
    shutil.rmtree(tmp_path / "collections" / "things")
    again = LocalNode(tmp_path, search_threads=1)
    await again.reconcile(state(collection()))
    assert (await again.shard("things", 0).info()).status is ShardStatus.RED
    await again.reconcile(state())
    await again.reconcile(state(collection()))
    assert (await again.shard("things", 0).info()).status is ShardStatus.GREEN
    await again.close()


async def test_directories_of_unknown_collections_are_left_alone(tmp_path: Path) -> None:
    """If the metadata were lost, removing what it does not name would lose the points as well."""
    node = LocalNode(tmp_path, search_threads=1)
    await node.reconcile(state(collection()))
    await put(node, 1)
    await node.close()
    again = LocalNode(tmp_path, search_threads=1)
    await again.reconcile(state())
    await again.reconcile(state(collection()))
    assert await found(again, 1) == [1]
    await again.close()


async def test_a_session_is_told_where_a_write_stands_and_holds_reads_to_it(node: LocalNode) -> None:
    things = collection()
    await node.reconcile(state(things))
    replica, session = node.replica(things, 0, 1), ReadSession()
    await replica.open(session).update(UpdateRequest(upsert([1]), wait=True))
    position = session.position
    assert position is not None
    reading = replica.open(ReadSession(at_least=position))
    assert [record.id for record in await reading.retrieve([1], Projection())] == [1]
    with pytest.raises(ShardUnavailable, match="lacks a write"):
        replica.open(ReadSession(at_least=Position(position.term, position.seq + 1)))
