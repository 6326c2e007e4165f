"""Bases over the port between members."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from consensus.state import Transfer, TransferMethod
from node.peer.calls import Handler, StreamHandler
from node.replica.replica import ShardReplica
from node.transfer.between_peers import METHOD, fetch_base, serve_bases
from node.transfer.progress import Transfers, key_of
from node.transfer.wire import BaseRequest, Form
from protos.errors import BadRequest, ShardUnavailable
from tests.node.replica.conftest import Shards
from tests.node.replica.points import upsert, write
from tests.node.transfer.conftest import Copying, state_of


class Calls:
    """Implements ``PeerCalls`` for two members in one process; 1 is the one who calls."""

    def __init__(self) -> None:
        self.streams: dict[str, StreamHandler] = {}

    def handle(self, method: str, handler: Handler) -> None:
        raise NotImplementedError

    def handle_stream(self, method: str, handler: StreamHandler) -> None:
        self.streams[method] = handler

    async def call(self, peer_id: int, method: str, request: bytes, *, timeout_s: float) -> bytes:
        raise NotImplementedError

    def stream(self, peer_id: int, method: str, request: bytes) -> AsyncIterator[bytes]:
        assert peer_id == 2
        return self.streams[method](1, request)


TRANSFER = Transfer(0, 2, 1, 7, TransferMethod.SNAPSHOT)


async def test_a_target_copies_what_its_source_lets_it(shards: Shards, copying: Copying) -> None:
    source = await shards.open()
    await write(source, upsert(range(30)))
    calls, transfers = Calls(), Transfers(lambda: 0.0)
    asked: list[tuple[int, BaseRequest]] = []

    def find(peer_id: int, request: BaseRequest) -> ShardReplica:
        asked.append((peer_id, request))
        return source

    serve_bases(calls, copying.sender, transfers, find)
    received = await fetch_base(calls, "uuid", TRANSFER, copying.workshop)
    assert asked == [(1, BaseRequest("uuid", 0, 7, Form.FILES))]
    assert transfers.comment(key_of("uuid", TRANSFER)) == "recovering (0.0s)"
    assert await state_of(await copying.open(received)) == await state_of(source)


async def test_what_the_source_refuses_is_told_to_the_target(copying: Copying) -> None:
    calls = Calls()

    def find(peer_id: int, request: BaseRequest) -> ShardReplica:
        raise ShardUnavailable("no such transfer")

    serve_bases(calls, copying.sender, Transfers(lambda: 0.0), find)
    with pytest.raises(ShardUnavailable, match="no such transfer"):
        await fetch_base(calls, "uuid", TRANSFER, copying.workshop)
    with pytest.raises(BadRequest, match="request has format"):
        await anext(calls.stream(2, METHOD, b"\xffx"))
    assert copying.leftovers == []
