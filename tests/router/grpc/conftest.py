"""A gRPC server on fakes, and callers of its methods by their names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.message_factory import GetMessageClass

from protos.qdrant.pool import PUBLIC_POOL
from router.auth.gate import OPEN
from router.cluster import ClusterOperations
from router.collections import CollectionOperations
from router.departure import Departure
from router.grpc.server import create_server
from router.grpc.service import grpc_metrics_hook
from router.grpc.transport.server import GrpcServer
from router.monitoring.metrics import GRPC, RequestStatistics
from router.points import PointOperations
from router.queries.operations import SearchOperations
from tests.router.cluster.fakes import FakeShardKeys
from tests.router.fakes import FakeLog, FakeNode, FakeShard
from tests.router.snapshots.fakes import fake_snapshots


class Grpc:
    """The server under test: requests in, answers out, and the fakes behind it."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        running: GrpcServer,
        departure: Departure,
        node: FakeNode,
        statistics: RequestStatistics,
    ) -> None:
        self.channel, self.running, self.departure = channel, running, departure
        self.node, self.statistics = node, statistics

    @property
    def shard(self) -> FakeShard:
        (found,) = self.node.shards.values()
        return found

    async def call(self, method: str, request: Any = None, **options: Any) -> Any:
        """``method`` as "Points.Query"; without a request an empty one."""
        service, name = method.split(".")
        found = PUBLIC_POOL.FindServiceByName(f"qdrant.{service}").methods_by_name[name]
        caller = self.channel.unary_unary(
            f"/qdrant.{service}/{name}", response_deserializer=GetMessageClass(found.output_type).FromString
        )
        sent = GetMessageClass(found.input_type)() if request is None else request
        return await caller(sent if isinstance(sent, bytes) else sent.SerializeToString(), **options)

    async def raw(self, method: str, request: Any) -> bytes:
        """The answer's bytes."""
        service, name = method.split(".")
        found: bytes = await self.channel.unary_unary(f"/qdrant.{service}/{name}")(
            request.SerializeToString()
        )
        return found

    def request_class(self, method: str) -> Any:
        service, name = method.split(".")
        return GetMessageClass(
            PUBLIC_POOL.FindServiceByName(f"qdrant.{service}").methods_by_name[name].input_type
        )

    async def outcome(self, method: str, request: Any = None) -> tuple[grpc.StatusCode, str]:
        """The code, and the text of an error."""
        try:
            await self.call(method, request)
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or ""
        return grpc.StatusCode.OK, ""

    async def refused(self, method: str, request: Any = None) -> tuple[grpc.StatusCode, str]:
        code, text = await self.outcome(method, request)
        assert code is not grpc.StatusCode.OK
        return code, text


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Grpc]:
    log, node, statistics, departure = FakeLog(), FakeNode(), RequestStatistics(GRPC), Departure()
    collections = CollectionOperations(log, node)
    snapshots = fake_snapshots(log, collections, tmp_path)
    running = create_server(
        collections,
        PointOperations(collections, node),
        SearchOperations(collections, node),
        ClusterOperations(log, None, FakeShardKeys()),
        snapshots.operations,
        snapshots.whole,
        gate=OPEN,
        version="1.19.0",
        commit="c0ffee",
        metrics_hook=grpc_metrics_hook(statistics, lambda: 5.0),
        departure=departure,
    )
    port = await running.listen("127.0.0.1", 0)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Grpc(channel, running, departure, node, statistics)
    finally:
        await running.stop(0)
        await collections.close()
