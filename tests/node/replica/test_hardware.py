"""What reads and writes of a real replica cost, and to whom that is charged."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

import msgspec
import numpy as np
import pytest

from node.hardware import INDEX_ENTRY_BYTES, Hardware, Meter, counting
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    Distance,
    IntegerIndexParams,
    KeywordIndexParams,
    MultiVectorConfig,
    SparseVectorParams,
    VectorParams,
    encode_index_params,
)
from protos.facets import FacetRequest
from protos.hardware import HardwareUsage, billed, charge
from protos.operations import CreateIndex, DeletePoints, SetPayload, UpdateVectors, Upsert
from protos.rewriting import batch_of
from protos.shard import Direction, OrderBy, Projection, ScrollRequest, SearchRequest
from tests.node.replica.conftest import Shards
from tests.node.replica.kinds import words
from tests.node.replica.points import DIM, batch, having, upsert, write

ROW = DIM * 4
PAYLOADS = [{"n": i, "k": "ab"[i % 2]} for i in range(10)]
STORED = sum(len(json.dumps(payload).encode()) for payload in PAYLOADS)


def search(**more: Any) -> SearchRequest:
    return SearchRequest("", np.ones(DIM, dtype=np.float32), 2, **more)


async def used(call: Any) -> HardwareUsage:
    with billed() as bill:
        await call
    assert bill.usage is not None
    return bill.usage


@pytest.fixture
def measured(shards: Shards) -> Shards:
    shards.machinery = msgspec.structs.replace(shards.machinery, hardware=Hardware())
    return shards


async def test_a_write_is_charged_with_what_it_stores(measured: Shards) -> None:
    replica = await measured.open()
    usage = await used(_write(replica, upsert(range(10), PAYLOADS)))
    assert (usage.vector_io_write, usage.payload_io_write) == (10 * ROW, STORED)
    assert usage.cpu > 0
    assert (usage.vector_io_read, usage.payload_io_read, usage.payload_index_io_write) == (0, 0, 0)
    usage = await used(_write(replica, SetPayload(b'{"z":1}', ids=[1, 2])))
    assert usage.vector_io_write == 0
    assert usage.payload_io_write == sum(
        len(json.dumps({**PAYLOADS[i], "z": 1}).replace(" ", "")) for i in (1, 2)
    )
    usage = await used(_write(replica, UpdateVectors([3], (batch([[9, 9, 9, 9]]),))))
    assert usage.vector_io_write == ROW
    usage = await used(_write(replica, DeletePoints(ids=[3])))
    assert (usage.vector_io_write, usage.payload_io_write) == (0, 0)


async def test_entries_of_payload_indexes_are_charged_when_they_are_written_and_read(
    measured: Shards,
) -> None:
    replica = await measured.open()
    await replica.apply_config(CreateIndex("k", encode_index_params(KeywordIndexParams())))
    usage = await used(_write(replica, upsert(range(10), PAYLOADS)))
    assert usage.payload_index_io_write == 10 * INDEX_ENTRY_BYTES
    usage = await used(replica.search([search(filter=having("k", "a"))]))
    assert usage.payload_index_io_read > 0
    assert usage.vector_io_read == 5 * ROW  # only those that match are compared


async def test_searches_are_charged_with_the_vectors_they_compare_and_return(measured: Shards) -> None:
    replica = await measured.open()
    await write(replica, upsert(range(10), PAYLOADS))
    usage = await used(replica.search([search()]))
    assert usage.vector_io_read == 10 * ROW
    assert usage.cpu > 0
    assert 0 < usage.payload_io_read < STORED  # the records that tell the ids
    assert (usage.vector_io_write, usage.payload_io_write) == (0, 0)
    more = await used(replica.search([search(projection=Projection(vectors=True))]))
    assert more.vector_io_read == 12 * ROW
    batch_of = await used(replica.search([search()] * 40))
    assert batch_of.vector_io_read == 40 * 10 * ROW
    unindexed = await used(replica.search([search(filter=having("k", "a"))]))
    assert unindexed.payload_io_read >= STORED


async def test_reads_without_a_search_are_charged_with_payloads(measured: Shards) -> None:
    replica = await measured.open()
    await write(replica, upsert(range(10), PAYLOADS))
    usage = await used(replica.scroll(ScrollRequest(limit=10)))
    assert (usage.payload_io_read, usage.vector_io_read) == (STORED, 0)
    usage = await used(replica.retrieve([1], Projection(vectors=True)))
    assert (usage.payload_io_read, usage.vector_io_read) == (len(json.dumps(PAYLOADS[1])), ROW)


async def test_an_order_is_charged_with_the_entries_it_reads(measured: Shards) -> None:
    replica = await measured.open()
    await replica.apply_config(CreateIndex("n", encode_index_params(IntegerIndexParams())))
    await write(replica, upsert(range(10), PAYLOADS))
    usage = await used(replica.scroll(ScrollRequest(limit=10, order_by=OrderBy("n", Direction.DESC))))
    assert usage.payload_index_io_read >= 10 * INDEX_ENTRY_BYTES


async def test_a_facet_is_charged_with_the_entries_it_counts(measured: Shards) -> None:
    replica = await measured.open()
    await replica.apply_config(CreateIndex("k", encode_index_params(KeywordIndexParams())))
    await write(replica, upsert(range(10), PAYLOADS))
    usage = await used(replica.facet(FacetRequest("k", None)))
    assert usage.payload_index_io_read >= 10 * INDEX_ENTRY_BYTES
    assert (usage.payload_io_read, usage.vector_io_read) == (0, 0)


async def test_other_kinds_of_vectors_are_charged_with_what_their_rows_take(measured: Shards) -> None:
    params = {"m": VectorParams(2, Distance.DOT, multivector_config=MultiVectorConfig("max_sim"))}
    config = CollectionConfig(CollectionParams(params, sparse_vectors={"s": SparseVectorParams()}))
    replica = await measured.open(config)
    several = [np.array([[1, 2], [3, 4]], dtype=np.float32), np.array([[5, 6]], dtype=np.float32)]
    some_words = [words({1: 1.0, 5: 2.0}), words({5: 3.0})]
    vectors = (batch_of("m", several), batch_of("s", some_words))
    usage = await used(_write(replica, Upsert([1, 2], vectors, [b"{}", b"{}"])))
    assert usage.vector_io_write >= 3 * 8 + 3 * 8  # sub-vectors, and pairs of index and value
    query = SearchRequest("m", np.ones((1, 2), dtype=np.float32), 2)
    assert (await used(replica.search([query]))).vector_io_read >= 3 * 8
    query = SearchRequest("s", words({5: 1.0}), 2)
    assert (await used(replica.search([query]))).vector_io_read >= 3 * 8


async def test_requests_at_the_same_time_are_charged_each_for_its_own(measured: Shards) -> None:
    replica = await measured.open()
    await write(replica, upsert(range(10), PAYLOADS))
    bills = await asyncio.gather(*(used(replica.search([search()])) for _ in range(20)))
    assert [bill.vector_io_read for bill in bills] == [10 * ROW] * 20


async def test_a_collection_adds_up_what_all_its_requests_cost_billed_or_not(measured: Shards) -> None:
    hardware = measured.machinery.hardware
    assert hardware is not None
    replica = await measured.open()
    assert hardware.totals() == {}  # nothing was measured yet
    await write(replica, upsert(range(10), PAYLOADS), wait=False)
    await replica.search([search()])
    await replica.search([search()])
    await replica.info()
    (total,) = hardware.totals().values()
    assert (total.vector_io_write, total.vector_io_read) == (10 * ROW, 20 * ROW)
    hardware.forget("")
    assert hardware.totals() == {}


async def test_a_write_that_nobody_waits_for_is_charged_to_nobody(measured: Shards) -> None:
    replica = await measured.open()
    with billed() as bill:
        result = await write(replica, upsert([1]), wait=False)
    assert bill.usage is None
    assert result.operation_id == 0


async def test_nothing_is_measured_unless_it_is_asked_for(shards: Shards) -> None:
    replica = await shards.open()
    with billed() as bill:
        await _write(replica, upsert(range(10), PAYLOADS))
        await replica.search([search()])
    assert bill.usage is None


def test_a_read_that_fails_is_charged_too() -> None:
    total = HardwareUsage()
    meter = Meter(total)

    def fail() -> None:
        usage = counting()
        assert usage is not None
        usage.vector_io_read += 5
        raise KeyError

    with billed() as bill, pytest.raises(KeyError):
        meter.read(fail)
    assert bill.usage is not None
    assert (bill.usage.vector_io_read, total.vector_io_read) == (5, 5)
    assert counting() is None


def test_costs_of_writes_are_kept_for_a_while_and_charged_once() -> None:
    meter = Meter(HardwareUsage())
    for seq in range(5000):
        meter.wrote(seq, HardwareUsage(cpu=1))
    with billed() as bill:
        meter.charge_write(0)
        assert bill.usage is None  # too long ago
        meter.charge_write(4999)
        meter.charge_write(4999)
    assert bill.usage == HardwareUsage(cpu=1)
    charge(HardwareUsage(cpu=1))
    assert bill.usage == HardwareUsage(cpu=1)  # the block has ended


def test_costs_are_taken_while_others_are_noted() -> None:
    """The writer's thread must never stumble over the event loop's, or the replica could not go on."""
    meter, ended = Meter(HardwareUsage()), threading.Event()
    failures: list[BaseException] = []
    last = 0

    def note() -> None:
        nonlocal last
        try:
            for last in range(60_000):
                meter.wrote(last, HardwareUsage())
        except BaseException as error:
            failures.append(error)
        finally:
            ended.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        writer = threading.Thread(target=note)
        writer.start()
        while not ended.is_set():
            meter.charge_write(last)
        writer.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []


async def _write(replica: Any, change: Any) -> None:
    """As a session does it (``node.local_session``)."""
    result = await write(replica, change)
    replica.charge_write(result.operation_id)
