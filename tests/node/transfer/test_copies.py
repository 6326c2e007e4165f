"""From one replica to another: what comes out is what went in."""

from __future__ import annotations

import asyncio
import json

import pytest

from node.replica import segment_set
from node.transfer import records
from node.transfer.wire import Form
from protos.collections import (
    Distance,
    VectorParams,
    decode_index_params,
    encode_vector_params,
)
from protos.operations import (
    AddVectorName,
    CreateIndex,
    DeletePoints,
    DropIndex,
    RemoveVectorName,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from tests.node.optimizer.replicas import until_green
from tests.node.replica import kinds
from tests.node.replica.conftest import Shards
from tests.node.replica.points import batch, config_of, contents, nearest, upsert, write
from tests.node.transfer.conftest import Copying, state_of

FORMS = pytest.mark.parametrize("form", [Form.FILES, Form.RECORDS])


def integer_index(field: str = "n") -> CreateIndex:
    schema = b'{"type":"integer"}'
    decode_index_params(schema)
    return CreateIndex(field, schema)


@FORMS
async def test_a_copy_holds_the_same_points_vectors_versions_and_indexes(
    shards: Shards, copying: Copying, form: Form
) -> None:
    config = config_of({"a": VectorParams(3, Distance.COSINE), "b": VectorParams(2, Distance.DOT)})
    source = await shards.open(config)
    ids = [*range(40), "5f1ad2b1-54a3-4fd5-8c1d-0a8d8f0a5d11"]
    payloads = [json.dumps({"n": i % 7}).encode() for i in range(len(ids))]
    vectors = (
        batch([[i + 1, 2, 3] for i in range(len(ids))], "a"),
        batch([[i, 1] for i in range(10)], "b", rows=range(10)),
    )
    await write(source, Upsert(ids, vectors, payloads))
    await source.apply_config(integer_index())
    await write(source, DeletePoints(ids=[3, 4]))
    await write(source, UpdateVectors([7, 30], (batch([[9, 9], [8, 8]], "b"),)))
    await write(source, SetPayload(b'{"n":5,"more":[1.0,{"x":null}]}', ids=[1, 2]))
    expected = await state_of(source)

    received = await copying.copy(source, form)
    assert (received.seq, received.points) == (expected.seq, 39)
    target = await copying.open(received, config)
    assert await state_of(target) == expected
    assert expected.counted > 3


@FORMS
async def test_vectors_of_every_kind_are_copied(
    shards: Shards, copying: Copying, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of finished and growing segments, in parts that are smaller than what a few points hold."""
    monkeypatch.setattr(records, "CHUNK_BYTES", 100)
    source = await shards.open(kinds.CONFIG)
    points = kinds.examples(60)
    ids = list(range(len(points)))
    await write(source, Upsert(ids[:40], kinds.batches(points[:40]), [b"{}"] * 40))
    await source.on_writer(source.contents.applier.segments.seal_all)
    await write(source, Upsert(ids[40:], kinds.batches(points[40:]), [b"{}"] * 20))
    expected = await contents(source)
    assert expected == {i: ({}, kinds.plain_stored(point)) for i, point in zip(ids, points, strict=True)}

    target = await copying.open(await copying.copy(source, form), kinds.CONFIG)
    assert await contents(target) == expected
    await write(target, UpdateVectors(ids, kinds.batches(points[::-1])))
    again = await copying.open(await copying.copy(target, form), kinds.CONFIG)
    assert await contents(again) == await contents(target)


@FORMS
async def test_a_copy_goes_on_by_itself_and_can_be_copied_again(
    shards: Shards, copying: Copying, form: Form
) -> None:
    source = await shards.open()
    await write(source, upsert(range(10)))
    first = await copying.open(await copying.copy(source, form))
    assert (await write(first, upsert(range(10, 20)))).operation_id == source.view.seq + 1
    await write(source, DeletePoints(ids=[0]))
    again = await copying.open(await copying.copy(first, form))
    assert await state_of(again) == await state_of(first)
    assert sorted(await contents(again)) == list(range(20))
    assert sorted(await contents(source)) == list(range(1, 10))


@FORMS
async def test_a_repeat_of_an_operation_is_known_to_the_copy(
    shards: Shards, copying: Copying, form: Form
) -> None:
    source = await shards.open()
    done = await write(source, upsert([1]), operation_id=b"once")
    target = await copying.open(await copying.copy(source, form))
    assert (await write(target, upsert([1, 2]), operation_id=b"once")) == done
    assert list(await contents(target)) == [1]


@FORMS
async def test_a_shard_that_never_held_anything_is_copied(
    shards: Shards, copying: Copying, form: Form
) -> None:
    source = await shards.open()
    received = await copying.copy(source, form)
    assert (received.seq, received.term, received.points) == (-1, 0, 0)
    target = await copying.open(received)
    assert (await write(target, upsert([1]))).operation_id == 0


@FORMS
async def test_vector_names_that_came_and_went_are_right_in_the_copy(
    shards: Shards, copying: Copying, form: Form
) -> None:
    source = await shards.open()
    await write(source, upsert([1, 2]))
    params = encode_vector_params(VectorParams(2, Distance.EUCLID))
    await source.apply_config(AddVectorName("x", params))
    await write(source, UpdateVectors([1], (batch([[4, 4]], "x"),)))
    await source.apply_config(integer_index("k"))
    await source.apply_config(DropIndex("k"))
    await source.apply_config(integer_index())
    await source.apply_config(RemoveVectorName(""))
    await source.apply_config(RemoveVectorName("x"))
    await source.apply_config(AddVectorName("x", params))
    config = config_of({"x": VectorParams(2, Distance.EUCLID)})
    await source.update_config(config)
    await write(source, UpdateVectors([2], (batch([[5, 5]], "x"),)))
    expected = await state_of(source)
    assert {i: vectors for i, (_, _, vectors) in expected.points.items()} == {1: {}, 2: {"x": [5.0, 5.0]}}
    target = await copying.open(await copying.copy(source, form), config)
    assert await state_of(target) == expected


@FORMS
async def test_a_copy_made_while_everything_goes_on_is_the_state_as_of_its_seq(
    shards: Shards, copying: Copying, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes, deletes, segments sealed, merged and compacted, checkpoints that remove what they replace: a
    copy holds what the shard held as of its seq, and the log of writes tells what that was."""
    monkeypatch.setattr(segment_set, "GROWING_ROWS_MIN", 256)
    monkeypatch.setattr(segment_set, "GROWING_ROWS_MAX", 256)
    config = config_of(
        max_optimization_threads=2,
        default_segment_number=2,
        vacuum_min_vector_number=100,
        deleted_threshold=0.1,
        flush_interval_sec=1,
    )
    source = await shards.open(config)
    await source.apply_config(integer_index())
    expected: dict[int, dict[int, int]] = {source.view.seq: {}}  # by seq: id -> n
    stop = asyncio.Event()

    async def writing() -> None:
        held: dict[int, int] = {}
        step = 0
        while not stop.is_set():
            step += 1
            ids = [(step * 37 + i * 13) % 1500 for i in range(40)]
            done = await write(source, upsert(ids, [{"n": step}] * 40))
            held.update(dict.fromkeys(ids, step))
            assert done.operation_id is not None
            expected[done.operation_id] = dict(held)
            gone = ids[:10]
            done = await write(source, DeletePoints(ids=list(gone)))
            for one in gone:
                held.pop(one, None)
            assert done.operation_id is not None
            expected[done.operation_id] = dict(held)

    async def checkpointing() -> None:
        while not stop.is_set():
            await source.checkpoint()
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(writing()), asyncio.create_task(checkpointing())]
    try:
        for _ in range(5):
            received = await copying.copy(source, form)
            target = await copying.open(received, config_of())
            found = {i: payload["n"] for i, (payload, _) in (await contents(target)).items()}
            assert target.view.seq == received.seq
            assert found == expected[received.seq]
            assert all(vectors[""][0] == i for i, (_, vectors) in (await contents(target)).items())
            assert await target.verify() == []
            if found:
                some = next(iter(found))
                assert await nearest(target, [some, 0, 0, 0], limit=1) == [some]
    finally:
        stop.set()
        await asyncio.gather(*tasks)
    assert len(expected) > 10


async def test_graphs_come_along(shards: Shards, copying: Copying) -> None:
    config = config_of(max_optimization_threads=1, indexing_threshold=1, default_segment_number=1)
    source = await shards.open(config)
    await write(source, upsert(range(300)))
    await until_green(source)
    target = await copying.open(await copying.copy(source))
    info = await target.info()
    assert info.indexed_vectors == 300
    assert await nearest(target, [17, 0, 0, 0], limit=1) == [17]


async def test_nothing_is_left_of_an_export_and_the_source_is_as_it_was(
    shards: Shards, copying: Copying
) -> None:
    source = await shards.open()
    await write(source, upsert(range(100)))
    received = await copying.copy(source)
    assert copying.leftovers == [received.directory.name]
    target = await copying.open(received)
    await write(target, upsert(range(50, 300)))  # into what was a growing segment of the source
    await target.checkpoint()
    assert sorted(await contents(source)) == list(range(100))
    assert await source.verify() == []
    shards.crash()
    again = await shards.open()
    assert sorted(await contents(again)) == list(range(100))
