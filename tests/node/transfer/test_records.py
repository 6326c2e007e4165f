"""Bases as records: what is special to them. What they hold is ``test_copies``'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from node.replica.checkpoint import FORMAT, DamagedFile, decode_meta, oldest_format
from node.replica.replica import ShardReplica
from node.transfer import records
from node.transfer.export import export_base
from node.transfer.records import RecordsTarget
from node.transfer.wire import (
    DATA,
    END,
    RECORDS,
    Form,
    Header,
    Packing,
    RecordBatch,
    Unpacking,
    VectorRows,
    decoded,
)
from protos.collections import Datatype
from protos.ids import id_key
from tests.node.optimizer.replicas import until_green
from tests.node.replica.conftest import Shards
from tests.node.replica.points import config_of, contents, nearest, upsert, write
from tests.node.transfer.conftest import Copying, state_of
from tests.node.transfer.test_damage import flipped, refused


def batches(parts: list[bytes]) -> list[RecordBatch]:
    unpacking, found = Unpacking(), []
    for part in parts:
        kind, body = unpacking.part(part)
        if kind == RECORDS:
            found.append(decoded(body, RecordBatch))
    return found


async def test_points_come_by_id_in_bounded_batches(source: ShardReplica, copying: Copying) -> None:
    await write(source, upsert(range(1000, 0, -1)))
    found = batches(await copying.parts(source, Form.RECORDS))
    keys = [key for batch in found for key in batch.keys]
    assert keys == [id_key(number) for number in range(1001)]
    assert max(len(batch.keys) for batch in found) == records.BATCH_POINTS


async def test_an_older_target_can_read_what_it_could_have_written(
    source: ShardReplica, copying: Copying
) -> None:
    """Which version may take a checkpoint is told by its format, and records are not its files."""
    header = Unpacking().header((await copying.parts(source, Form.RECORDS))[0])
    meta = decode_meta(header.meta)
    assert meta.format == 1
    half = (replace(meta.schemas[0], datatype=Datatype.FLOAT16),)
    assert oldest_format(replace(meta, schemas=half)) == FORMAT


async def test_batches_of_big_payloads_have_fewer_points(source: ShardReplica, copying: Copying) -> None:
    await write(source, upsert(range(10), [{"text": "x" * 400_000}] * 10))
    parts = await copying.parts(source, Form.RECORDS)
    assert [len(batch.keys) for batch in batches(parts)] == [3, 3, 3, 41]
    target = await copying.open(await copying.receive(parts))
    assert await state_of(target) == await state_of(source)


async def test_a_base_larger_than_memory_is_stored_as_it_comes(
    source: ShardReplica, copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "OVERLAY_BYTES", 0)
    monkeypatch.setattr(records, "BATCH_POINTS", 7)
    target = await copying.open(await copying.copy(source, Form.RECORDS))
    assert await state_of(target) == await state_of(source)


async def test_what_is_half_done_is_opened_by_no_one(
    source: ShardReplica, shards: Shards, copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if it came to lie in a replica's place."""
    monkeypatch.setattr(records, "OVERLAY_BYTES", 0)
    monkeypatch.setattr(records, "BATCH_POINTS", 7)
    parts = await copying.parts(source, Form.RECORDS)
    for end in range(2, len(parts)):
        abandoned, unpacking = copying.workshop.place(), Unpacking()
        abandoned.mkdir(parents=True)
        target = RecordsTarget(abandoned, unpacking.header(parts[0]))
        for part in parts[1:end]:
            target.take(*unpacking.part(part))
        target.close()
        with pytest.raises(DamagedFile, match="makes no sense"):
            await ShardReplica.open(abandoned, config_of(), shards.machinery)


async def test_graphs_are_built_anew_by_the_target(shards: Shards, copying: Copying) -> None:
    config = config_of(max_optimization_threads=1, indexing_threshold=1, default_segment_number=1)
    source = await shards.open(config)
    await write(source, upsert(range(300)))
    await until_green(source)
    received = await copying.copy(source, Form.RECORDS)
    target = await copying.open(received, config)
    target.touch()
    assert (await until_green(target)).indexed_vectors == 300
    assert await nearest(target, [17, 0, 0, 0], limit=1) == [17]


async def test_a_damaged_graph_of_the_source_is_in_nobodys_way(shards: Shards, copying: Copying) -> None:
    config = config_of(max_optimization_threads=1, indexing_threshold=1, default_segment_number=1)
    source = await shards.open(config)
    await write(source, upsert(range(300)))
    await until_green(source)
    await source.checkpoint()
    place = copying.workshop.place()
    base = await export_base(source, place, background=copying.workshop.background)
    (graph,) = place.glob("segments/*/graph.*.faiss")
    graph.unlink()
    graph.write_bytes(b"junk")
    parts = [part for part, _ in records.record_parts(base)]
    await copying.workshop.remove(place)
    assert sorted(await contents(await copying.open(await copying.receive(parts)))) == list(range(300))
    assert await source.verify() == []


async def test_a_changed_or_lost_part_is_noticed(
    source: ShardReplica, copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "BATCH_POINTS", 20)
    parts = await copying.parts(source, Form.RECORDS)
    assert len(parts) == 5
    for position in range(len(parts)):
        damaged = [*parts[:position], flipped(parts[position]), *parts[position + 1 :]]
        assert "damaged" in await refused(copying, damaged)
        if 0 < position < len(parts) - 1:
            assert "expected here" in await refused(copying, parts[:position] + parts[position + 1 :])
        assert await refused(copying, parts[:position])


async def test_records_that_make_no_sense_are_refused(source: ShardReplica, copying: Copying) -> None:
    parts = await copying.parts(source, Form.RECORDS)
    header = Unpacking().header(parts[0])
    (batch,) = batches(parts)

    async def reason(*found: RecordBatch, **changed: Any) -> str:
        packing = Packing()
        stream = [
            packing.header(replace(header, **changed)),
            *(packing.struct(RECORDS, one) for one in found),
        ]
        return await refused(copying, [*stream, packing.part(END)])

    assert "not 50" in await reason()
    assert "comes after" in await reason(batch, batch)
    assert "not as many" in await reason(replace(batch, payloads=batch.payloads[1:]))
    assert "not as many" in await reason(replace(batch, keys=[], payloads=[], versions=b""))
    assert "are no row" in await reason(replace(batch, versions=batch.versions[1:]))
    versions = np.full(50, header.seq + 1, dtype="<u8").tobytes()
    assert f"version {header.seq + 1}" in await reason(replace(batch, versions=versions))
    (vectors,) = batch.vectors
    for wrong in (
        VectorRows("unknown", vectors.data, vectors.present),
        replace(vectors, present=vectors.present[1:]),
        replace(vectors, data=vectors.data[4:]),
    ):
        assert "vectors" in await reason(replace(batch, vectors=[wrong]))
    assert "no RecordBatch" in await refused_part(copying, header, RECORDS, b"\xc1")
    assert "kind b'd'" in await refused_part(copying, header, DATA, b"x")


async def refused_part(copying: Copying, header: Header, kind: bytes, body: bytes) -> str:
    packing = Packing()
    return await refused(copying, [packing.header(header), packing.part(kind, body), packing.part(END)])


async def test_a_header_that_contradicts_itself_is_refused(source: ShardReplica, copying: Copying) -> None:
    header = Unpacking().header((await copying.parts(source, Form.RECORDS))[0])
    for wrong, reason in (
        (replace(header, seq=header.seq + 1), "not of seq"),
        (replace(header, meta=b""), "not of seq"),
        (replace(header, meta=b"junk"), "makes no sense"),
        (replace(header, seq=-1, meta=b""), "in this base"),
    ):
        packing = Packing()
        stream = [packing.header(wrong), packing.struct(RECORDS, RecordBatch([], b"", [], []))]
        assert reason in await refused(copying, [*stream, packing.part(END)])


async def test_the_error_of_a_target_without_room_is_its_own(
    source: ShardReplica, copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAP_BYTES_MIN", 1 << 17)
    monkeypatch.setattr(records, "MAP_GROWTH", 0)
    await write(source, upsert(range(2000)))
    with pytest.raises(OSError, match=r"MAP_FULL"):
        await copying.copy(source, Form.RECORDS)
    assert copying.leftovers == []
