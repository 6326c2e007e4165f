"""Writes and reads of one real replica."""

from __future__ import annotations

import asyncio
import errno
import json
from typing import Any

import msgspec
import numpy as np
import pytest

from protos.collections import (
    Distance,
    KeywordIndexParams,
    VectorParams,
    encode_index_params,
    encode_vector_params,
)
from protos.errors import BadInput, InsufficientStorage, MalformedBody, NotFound, VecraftError
from protos.operations import (
    AddVectorName,
    ClearPayload,
    CreateIndex,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    DropIndex,
    OverwritePayload,
    RemoveVectorName,
    SetPayload,
    UpdateStatus,
    UpdateVectors,
    Upsert,
)
from protos.shard import Projection, UpdateRequest
from tests.node.replica.conftest import Shards
from tests.node.replica.points import batch, config_of, contents, having, nearest, only, upsert, write


async def test_what_was_written_can_be_read(shards: Shards) -> None:
    replica = await shards.open()
    result = await write(replica, upsert([2, 1, "00000000-0000-0000-0000-000000000001"]))
    assert (result.status, result.operation_id) == (UpdateStatus.COMPLETED, 0)
    found = await contents(replica)
    assert list(found) == [1, 2, "00000000-0000-0000-0000-000000000001"]
    assert found[2] == ({"n": 2}, {"": [2.0, 0.0, 0.0, 0.0]})
    assert await nearest(replica, [2, 0, 0, 0], limit=2) == [2, 1]


async def test_a_second_version_replaces_the_first(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, upsert([1, 2]))
    await write(replica, Upsert([1], (batch([[9, 0, 0, 0]]),), [b"{}"]))
    assert (await contents(replica))[1] == ({}, {"": [9.0, 0.0, 0.0, 0.0]})
    assert await nearest(replica, [1, 0, 0, 0]) == [2, 1]
    assert (await replica.info()).points == 2


async def test_a_point_without_vectors_is_stored(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, Upsert([1, 2], (batch([[5, 0, 0, 0]], rows=[1]),), [b"{}", b"{}"]))
    assert await contents(replica) == {1: ({}, {}), 2: ({}, {"": [5.0, 0.0, 0.0, 0.0]})}
    assert await nearest(replica, [0, 0, 0, 0]) == [2]


async def test_a_collection_without_vectors_stores_payloads(shards: Shards) -> None:
    replica = await shards.open(config_of({}))
    await write(replica, Upsert([1, 2], (), [b'{"a":1}', b"{}"]))
    await write(replica, SetPayload(b'{"b":2}', ids=[2]))
    assert await contents(replica) == {1: ({"a": 1}, {}), 2: ({"b": 2}, {})}


async def test_deleted_points_are_gone(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, upsert([1, 2, 3]))
    await write(replica, DeletePoints(ids=[1, 7]))
    await write(replica, DeletePoints(filter=having("n", 3)))
    assert list(await contents(replica)) == [2]
    assert await nearest(replica, [1, 0, 0, 0]) == [2]


async def test_writes_may_be_bound_to_versions(shards: Shards) -> None:
    replica = await shards.open()
    first = (await write(replica, upsert([1, 2, 3]))).operation_id
    payload = asyncio.create_task(write(replica, SetPayload(b'{"by":1}', ids=[2])))
    bound = upsert([1, 2, 9], [{"at": 1}, {"at": 1}, {"at": 1}])
    versions = [first, first, None]
    # Both may be ordered in one group: the second must see what the first has made of point 2.
    copied = asyncio.create_task(write(replica, msgspec.structs.replace(bound, at_versions=versions)))
    await asyncio.gather(payload, copied)
    await write(replica, DeletePoints(ids=[2, 3], at_versions=[first, first]))
    found = {i: payload for i, (payload, _) in (await contents(replica)).items()}
    assert found == {1: {"at": 1}, 2: {"n": 2, "by": 1}, 9: {"at": 1}}


async def test_cosine_vectors_are_stored_normalised(shards: Shards) -> None:
    replica = await shards.open(config_of({"": VectorParams(2, Distance.COSINE)}))
    await write(replica, Upsert([1], (batch([[3, 4]]),), [b"{}"]))
    (record,) = await replica.retrieve([1], Projection(vectors=True))
    assert record.vectors is not None
    assert record.vectors[""].tolist() == pytest.approx([0.6, 0.8])


async def test_updating_a_vector_keeps_the_others_and_the_payload(shards: Shards) -> None:
    params = {name: VectorParams(2, Distance.DOT) for name in "ab"}
    replica = await shards.open(config_of(params))
    await write(replica, Upsert([1], (batch([[1, 1]], "a"), batch([[2, 2]], "b")), [b'{"k":1}']))
    await write(replica, UpdateVectors([1], (batch([[3, 3]], "b"),)))
    assert await contents(replica) == {1: ({"k": 1}, {"a": [1.0, 1.0], "b": [3.0, 3.0]})}
    await write(replica, DeleteVectors(("a",), ids=[1]))
    assert await contents(replica) == {1: ({"k": 1}, {"b": [3.0, 3.0]})}


async def test_payload_changes_follow_each_other(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, upsert([1, 2]))
    await write(replica, SetPayload(b'{"a":{"b":1}}', ids=[1, 2]))
    await write(replica, SetPayload(b'{"c":2}', path="a", filter=having("n", 2)))
    await write(replica, DeletePayload(("a.b",), ids=[1]))
    assert {i: payload for i, (payload, _) in (await contents(replica)).items()} == {
        1: {"n": 1, "a": {}},
        2: {"n": 2, "a": {"b": 1, "c": 2}},
    }
    await write(replica, OverwritePayload(b'{"z":null}', ids=[1]))
    await write(replica, ClearPayload(ids=[2]))
    assert {i: payload for i, (payload, _) in (await contents(replica)).items()} == {1: {"z": None}, 2: {}}


async def test_a_version_is_the_seq_of_the_last_change(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, upsert([1, 2]))
    await write(replica, SetPayload(b'{"a":1}', ids=[2]))
    versions = [record.version for record in await replica.retrieve([1, 2], Projection())]
    assert versions == [0, 1]


async def test_a_missing_point_is_reported_and_what_came_before_stays_changed(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, upsert([1, 3]))
    with pytest.raises(NotFound, match="No point with id 2 found"):
        await write(replica, SetPayload(b'{"a":1}', ids=[1, 2, 3]))
    payloads = {i: payload for i, (payload, _) in (await contents(replica)).items()}
    assert payloads == {1: {"n": 1, "a": 1}, 3: {"n": 3}}


async def test_a_missing_point_is_no_error_without_waiting(shards: Shards) -> None:
    replica = await shards.open()
    result = await write(replica, SetPayload(b'{"a":1}', ids=[2]), wait=False)
    assert result.status is UpdateStatus.ACKNOWLEDGED


@pytest.mark.parametrize("wait", [True, False])
async def test_wrong_vectors_are_refused_and_change_nothing(shards: Shards, wait: bool) -> None:
    replica = await shards.open()
    with pytest.raises(BadInput, match="expected dim: 4, got 2"):
        await write(replica, Upsert([1], (batch([[1, 2]]),), [b"{}"]), wait=wait)
    with pytest.raises(BadInput, match="Not existing vector name error: x"):
        await write(replica, Upsert([1], (batch([[1, 2]], "x"),), [b"{}"]), wait=wait)
    with pytest.raises(MalformedBody, match="Invalid json path"):
        await write(replica, DeletePayload(("a[",), ids=[]), wait=wait)
    assert (await replica.info()).operations_applied == 0


async def test_a_repeated_operation_id_changes_nothing_and_gets_the_first_result(shards: Shards) -> None:
    replica = await shards.open()
    first = await write(replica, upsert([1]), operation_id=b"once")
    await write(replica, upsert([1], [{"n": "newer"}]))
    again = await write(replica, upsert([1]), operation_id=b"once")
    assert again.operation_id == first.operation_id == 0
    assert (await contents(replica))[1][0] == {"n": "newer"}
    assert (await replica.info()).operations_applied == 2


async def test_an_operation_id_used_twice_at_once_is_done_once(shards: Shards) -> None:
    replica = await shards.open()
    results = await asyncio.gather(*(write(replica, upsert([1]), operation_id=b"once") for _ in range(5)))
    assert {result.operation_id for result in results} == {0}


async def test_concurrent_writes_share_syncs(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = await shards.open()
    wal = replica._committer.wal
    syncs = []
    sync = wal.sync
    monkeypatch.setattr(wal, "sync", lambda: (syncs.append(1), sync()))
    results = await asyncio.gather(*(write(replica, upsert([i])) for i in range(200)))
    assert [result.operation_id for result in results] == list(range(200))
    assert len(syncs) < 50
    assert len(await contents(replica)) == 200


async def test_changes_of_one_group_see_each_other(shards: Shards) -> None:
    """All of these wait in the queue together, so most are resolved before earlier ones are applied."""
    replica = await shards.open()
    changes: list[Any] = [
        upsert([1, 2]),
        SetPayload(b'{"a":1}', ids=[1]),
        UpdateVectors([1], (batch([[7, 0, 0, 0]]),)),
        DeletePoints(filter=having("n", 2)),
        SetPayload(b'{"b":1}', filter=having("a", 1)),
        UpdateVectors([1], (batch([[8, 0, 0, 0]]),)),
        DeletePoints(ids=[1]),
        upsert([1, 2], [{"last": 1}, {"last": 2}]),
        UpdateVectors([2], (batch([[5, 5, 5, 5]]),)),
        DeletePoints(filter=only(1)),
    ]
    await asyncio.gather(*(write(replica, change) for change in changes))
    assert await contents(replica) == {2: ({"last": 2}, {"": [5.0, 5.0, 5.0, 5.0]})}


async def test_a_write_that_takes_too_long_goes_on(shards: Shards) -> None:
    replica = await shards.open()
    release = asyncio.Event()
    loop = asyncio.get_running_loop()
    blocked = asyncio.ensure_future(
        replica.on_writer(lambda: asyncio.run_coroutine_threadsafe(release.wait(), loop).result())
    )
    result = await write(replica, upsert([1]), timeout_ms=1)
    assert result.status is UpdateStatus.WAIT_TIMEOUT
    release.set()
    await blocked
    await write(replica, upsert([2]))
    assert list(await contents(replica)) == [1, 2]


async def test_more_points_than_one_segment_holds(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.replica.segment_set.GROWING_ROWS_MAX", 64)
    replica = await shards.open()
    ids = list(range(300))
    await write(replica, upsert(ids))
    assert [segment.rows for segment in replica.view.segments] == [64, 64, 64, 64, 44]
    assert list(await contents(replica)) == ids
    assert await nearest(replica, [150, 0, 0, 0], limit=1) == [150]


async def test_an_index_covers_points_of_before_and_after(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, upsert([1, 2], [{"k": "x"}, {"k": "y"}]))
    await replica.apply_config(CreateIndex("k", encode_index_params(KeywordIndexParams())))
    await write(replica, upsert([3], [{"k": "x"}]))
    await write(replica, SetPayload(b'{"k":"x"}', ids=[2]))
    await write(replica, DeletePoints(ids=[1]))
    assert (await replica.info()).index_points == {"k": 2}
    assert await replica.count(having("k", "x"), exact=True) == 2
    await replica.apply_config(DropIndex("k"))
    assert (await replica.info()).index_points == {}
    assert await replica.count(having("k", "x"), exact=True) == 2


async def test_vector_names_come_and_go(shards: Shards) -> None:
    params = VectorParams(2, Distance.DOT)
    old, new = config_of(), config_of({"": VectorParams(4, Distance.EUCLID), "v": params})
    replica = await shards.open(old)
    await write(replica, upsert([1]))
    await replica.update_config(new)
    await replica.apply_config(AddVectorName("v", encode_vector_params(params)))
    await write(replica, UpdateVectors([1], (batch([[1, 2]], "v"),)))
    assert (await contents(replica))[1][1] == {"": [1.0, 0.0, 0.0, 0.0], "v": [1.0, 2.0]}
    await replica.update_config(old)
    await replica.apply_config(RemoveVectorName("v"))
    with pytest.raises(BadInput, match="Not existing vector name"):
        await write(replica, UpdateVectors([1], (batch([[1, 2]], "v"),)))
    await replica.update_config(new)
    await replica.apply_config(AddVectorName("v", encode_vector_params(params)))
    assert (await contents(replica))[1][1] == {"": [1.0, 0.0, 0.0, 0.0]}


async def test_info_counts_what_is_there(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, Upsert([1, 2], (batch([[1, 0, 0, 0]], rows=[0]),), [b"{}", b"{}"]))
    info = await replica.info()
    assert (info.points, info.vectors, info.indexed_vectors, info.operations_applied) == (2, {"": 1}, 0, 1)


async def test_a_view_stays_as_it_is_while_writes_go_on(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, upsert([1, 2]))
    view = replica.view
    await write(replica, DeletePoints(ids=[1]))
    await write(replica, upsert([3]))
    assert view.points.count == 2
    assert int(np.bitwise_count(view.live).sum()) == 2
    assert view.seq == 0


async def test_closing_waits_for_what_was_accepted(shards: Shards) -> None:
    replica = await shards.open()
    writing = asyncio.gather(*(write(replica, upsert([i])) for i in range(20)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await replica.close()
    await writing
    shards._open.clear()
    again = await shards.open()
    assert list(await contents(again)) == list(range(20))
    assert json.loads((await again.retrieve([3], Projection(payload=True)))[0].payload or b"") == {"n": 3}


async def test_updates_are_accepted_without_waiting(shards: Shards) -> None:
    replica = await shards.open()
    result = await replica.update(UpdateRequest(upsert([1])))
    assert (result.status, result.operation_id) == (UpdateStatus.ACKNOWLEDGED, 0)


DEEP = b'{"a":' * 200 + b"1" + b"}" * 200


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        Upsert([2], (), [b"[]"]),
        Upsert([2], (), [b'{"a":']),
        Upsert([2], (), [b'{"k":1e999}']),
        Upsert([2], (), [b'{"k":"\xff"}']),
        Upsert([2], (), [DEEP]),
        Upsert([2, 3], (), [b"{}"]),
        Upsert([-2], (), [b"{}"]),
        SetPayload(DEEP, ids=[1]),
        SetPayload(b"7", ids=[1]),
        SetPayload(b"{}", "a[", ids=[1]),
        OverwritePayload(b"", ids=[1]),
        DeletePayload(("a..b",), ids=[1]),
        CreateIndex("k", b'{"type":"unheard of"}'),
        CreateIndex("k[", encode_index_params(KeywordIndexParams())),
        AddVectorName("v", b"{}"),
    ],
)
async def test_what_cannot_be_applied_is_refused_before_it_is_logged(
    shards: Shards, change: Any, indexed: bool
) -> None:
    """Edges let none of it through; but one that slipped through must not cost the shard."""
    replica = await shards.open()
    await write(replica, upsert([1], [{"k": "x"}]))
    if indexed:
        await replica.apply_config(CreateIndex("k", encode_index_params(KeywordIndexParams())))
    logged = replica._committer.wal.last_seq
    with pytest.raises(VecraftError):
        await (
            replica.apply_config(change)
            if isinstance(change, CreateIndex | AddVectorName)
            else write(replica, change)
        )
    assert replica._committer.wal.last_seq == logged
    assert replica.contents.parted is None
    assert (await write(replica, upsert([4]))).operation_id == logged + 1
    shards.crash()
    assert list(await contents(await shards.open())) == [1, 4]


async def test_an_index_that_could_not_be_logged_is_not_there(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await shards.open()
    await write(replica, upsert([1], [{"k": "x"}]))

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(replica._committer.wal, "sync", full)
    with pytest.raises(InsufficientStorage):
        await replica.apply_config(CreateIndex("k", encode_index_params(KeywordIndexParams())))
    monkeypatch.undo()
    assert (await replica.info()).index_points == {}
    await write(replica, upsert([2], [{"k": "y"}]))
    await replica.apply_config(CreateIndex("k", encode_index_params(KeywordIndexParams())))
    assert (await replica.info()).index_points == {"k": 2}
