"""Bases over the real peer port, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from consensus.state import Transfer, TransferMethod
from node.replica.replica import ShardReplica
from node.transfer.between_peers import METHOD, fetch_base, serve_bases
from node.transfer.progress import Transfers, key_of
from node.transfer.wire import BaseRequest, Form
from protos.errors import BadRequest, ServiceError, ShardUnavailable
from tests.node.peer.callers import Caller
from tests.node.replica.conftest import Shards
from tests.node.replica.points import upsert, write
from tests.node.transfer.conftest import Copying, state_of

RECORDS = Transfer(0, 2, 1, 7, TransferMethod.STREAM_RECORDS)
SNAPSHOT = Transfer(0, 2, 1, 7, TransferMethod.SNAPSHOT)


class Pair:
    """Peer 1 copies from peer 2."""

    def __init__(self) -> None:
        self.target, self.source = Caller(1), Caller(2)
        self.transfers = Transfers(lambda: 0.0)
        self.asked: list[tuple[int, BaseRequest]] = []
        self.replica: ShardReplica | None = None
        self.target_is_older = False

    def find(self, peer_id: int, request: BaseRequest) -> ShardReplica:
        self.asked.append((peer_id, request))
        if self.replica is None:
            raise ShardUnavailable("no such transfer")
        return self.replica


@pytest.fixture
async def pair(copying: Copying) -> AsyncIterator[Pair]:
    pair = Pair()
    for caller in (pair.target, pair.source):
        await caller.serve()
    pair.target.knows(pair.source)
    pair.source.knows(pair.target)
    serve_bases(
        pair.source.calls,
        copying.sender,
        pair.transfers,
        pair.find,
        reads_files=lambda peer_id: not (pair.target_is_older and peer_id == 1),
    )
    yield pair
    for caller in (pair.target, pair.source):
        await caller.close()


@pytest.mark.parametrize(
    ("transfer", "form", "comment"),
    [
        (SNAPSHOT, Form.FILES, "recovering (0.0s)"),
        (RECORDS, Form.RECORDS, "Transferring records (3000/3000), started 0s ago, ETA: 0.00s"),
    ],
)
async def test_a_target_copies_what_its_source_lets_it(
    pair: Pair, shards: Shards, copying: Copying, transfer: Transfer, form: Form, comment: str
) -> None:
    pair.replica = await shards.open()
    await write(pair.replica, upsert(range(3000), [{"n": 5, "text": "x" * 1000}] * 3000))
    received = await fetch_base(pair.target.calls, "uuid", transfer, copying.workshop)
    assert pair.asked == [(1, BaseRequest("uuid", 0, 7, form))]
    assert pair.transfers.comment(key_of("uuid", transfer)) == comment
    assert await state_of(await copying.open(received)) == await state_of(pair.replica)
    assert copying.leftovers == [received.directory.name]


async def test_a_target_that_does_not_know_our_files_is_sent_records(
    pair: Pair, shards: Shards, copying: Copying
) -> None:
    pair.replica, pair.target_is_older = await shards.open(), True
    await write(pair.replica, upsert(range(3)))
    received = await fetch_base(pair.target.calls, "uuid", SNAPSHOT, copying.workshop)
    assert "records (3/3)" in str(pair.transfers.comment(key_of("uuid", SNAPSHOT)))
    assert await state_of(await copying.open(received)) == await state_of(pair.replica)


async def test_what_the_source_refuses_is_told_to_the_target(pair: Pair, copying: Copying) -> None:
    with pytest.raises(ShardUnavailable, match="no such transfer"):
        await fetch_base(pair.target.calls, "uuid", RECORDS, copying.workshop)
    with pytest.raises(BadRequest, match="request has format"):
        await anext(pair.target.calls.stream(2, METHOD, b"\xffx"))
    assert copying.leftovers == []


async def test_damage_at_the_source_is_told_to_the_target(
    pair: Pair, shards: Shards, copying: Copying
) -> None:
    pair.replica = await shards.open()
    await write(pair.replica, upsert(range(10)))
    await pair.replica.checkpoint()
    (live,) = shards.directory.glob("live.*.bits")
    live.unlink()
    with pytest.raises(ServiceError, match=r"cannot be copied.*live"):
        await fetch_base(pair.target.calls, "uuid", SNAPSHOT, copying.workshop)
    assert copying.leftovers == []


async def test_a_target_that_gives_up_frees_the_source(pair: Pair, shards: Shards, copying: Copying) -> None:
    """Its stream is closed, so the export goes, and the next transfer may begin."""
    pair.replica = await shards.open()
    await write(pair.replica, upsert(range(3000), [{"text": "x" * 5000}] * 3000))
    for _ in range(3):
        fetching = asyncio.create_task(fetch_base(pair.target.calls, "uuid", SNAPSHOT, copying.workshop))
        while not copying.leftovers:  # noqa: ASYNC110 - nor does the target
            await asyncio.sleep(0)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        async with asyncio.timeout(20):
            while copying.leftovers:  # noqa: ASYNC110 - the source says nothing by itself
                await asyncio.sleep(0.01)
    assert (await fetch_base(pair.target.calls, "uuid", SNAPSHOT, copying.workshop)).points == 3000
