"""Answering what other members ask of this node's replicas."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from node.client import ReplicaClient
from node.peer import shard_wire as wire
from node.peer.calls import Handler, PeerCalls
from node.peer.shard_wire import Method
from protos.errors import ShardUnavailable
from protos.hardware import billed
from protos.operations import UpdateResult
from protos.shard import Intake, ReadSession

Q = TypeVar("Q")
A = TypeVar("A")


class HostedReplica(ReplicaClient, Protocol):
    async def take(self, intake: Intake) -> UpdateResult:
        """Copies of points from another shard (``node.moving``). Raises: as ``update``; IntakeOver."""
        ...


Ask = Callable[[HostedReplica, ReadSession, Q], Awaitable[A]]


class ShardHost(Protocol):
    def hosted(self, collection_uuid: str, shard_id: int) -> HostedReplica:
        """This node's replica. Raises: ShardUnavailable if it holds none (yet)."""
        ...


def serve_shards(calls: PeerCalls, host: ShardHost, *, measured: bool = False) -> None:
    """Answer the methods of ``node.peer.shard_wire``. ``measured``: with what each has cost this node."""

    def serve(method: Method[Q, A], ask: Ask[Q, A]) -> None:
        calls.handle(method.name, _handler(host, method, ask, measured=measured))

    serve(wire.UPDATE, lambda replica, session, request: replica.open(session).update(request))
    serve(wire.SEARCH, lambda replica, session, requests: replica.open(session).search(requests))
    serve(wire.QUERY_STAGED, lambda replica, session, requests: replica.open(session).query_staged(requests))
    serve(wire.SCROLL, lambda replica, session, request: replica.open(session).scroll(request))
    serve(
        wire.RETRIEVE,
        lambda replica, session, asked: replica.open(session).retrieve(asked.ids, asked.projection),
    )
    serve(
        wire.COUNT,
        lambda replica, session, asked: replica.open(session).count(asked.filter, exact=asked.exact),
    )
    serve(wire.FACET, lambda replica, session, request: replica.open(session).facet(request))
    serve(wire.FREQUENCIES, lambda replica, session, requests: replica.open(session).frequencies(requests))
    serve(wire.INFO, lambda replica, session, _: replica.open(session).info())
    serve(wire.MEMORY, lambda replica, session, _: replica.open(session).memory())
    serve(wire.TAKE, lambda replica, _, intake: replica.take(intake))
    serve(wire.SETTLE_SCHEMA, lambda replica, _, config_version: replica.settle_schema(config_version))


def _handler(host: ShardHost, method: Method[Q, A], ask: Ask[Q, A], *, measured: bool) -> Handler:
    async def handle(caller: int, data: bytes) -> bytes:
        del caller
        try:
            asked = method.decode_request(data)
        except ValueError as error:
            raise ShardUnavailable(f"{method.name} was not understood: {error}") from error
        session = ReadSession(
            strong=asked.strong,
            at_least=asked.at_least,
            answers_since=asked.answers_since,
            everything=asked.everything,
        )
        replica = host.hosted(asked.collection_uuid, asked.shard_id)
        if not measured:
            result = await ask(replica, session, asked.request)
            return method.encode_answer(session.position, result)
        with billed() as bill:
            result = await ask(replica, session, asked.request)
        return method.encode_answer(session.position, result, bill.usage)

    return handle
