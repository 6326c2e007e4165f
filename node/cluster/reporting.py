"""This node's reports to the leader, over and over; at once when something urgent has changed.

Lives here: their bytes, when and to whom they are sent.
May not live here: what they say (injected), what the leader makes of them (``controlling``).

Nothing is owed to a report that is lost: the next one says it again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec
from msgspec import Struct

from consensus.log import RaftStatus
from consensus.reports import PeerReport, ReplicaReport
from node.cluster.controlling import Controller, OwnReport
from node.peer.calls import PeerCalls
from protos.clock import Clock
from protos.errors import BadRequest, ShardUnavailable, VecraftError
from protos.logger import get_logger
from protos.tasks import end_all

log = get_logger()

METHOD = "report"
FORMAT = 1
REPORT_INTERVAL_S = 0.3
REPORT_GAP_S = 0.05  # between two reports at least
REPORT_TIMEOUT_S = 1.0


class Told(Struct, frozen=True, array_like=True):
    """A report on its way: (collection uuid, shard id, what is said of it) for each replica."""

    incarnation: int
    replicas: list[tuple[str, int, ReplicaReport]]


def encode_report(report: PeerReport) -> bytes:
    replicas = [(uuid, shard_id, replica) for (uuid, shard_id), replica in report.replicas.items()]
    told = Told(report.incarnation, replicas)
    return bytes([FORMAT]) + msgspec.msgpack.encode(told)


_decoder = msgspec.msgpack.Decoder(Told)


def decode_report(data: bytes, heard_ms: int) -> PeerReport:
    """Raises: BadRequest."""
    if data[:1] != bytes([FORMAT]):
        raise BadRequest(f"the report has format {data[:1]!r}, this program knows {FORMAT}")
    try:
        told = _decoder.decode(memoryview(data)[1:])
    except msgspec.DecodeError as error:
        raise BadRequest(f"not a report: {error}") from error
    replicas = {(uuid, shard_id): replica for uuid, shard_id, replica in told.replicas}
    return PeerReport(heard_ms, told.incarnation, replicas)


def receive_reports(calls: PeerCalls, controller: Controller, clock: Clock) -> None:
    """Give members' reports to the controller."""

    async def answer(peer_id: int, data: bytes) -> bytes:
        if not controller.hear(peer_id, decode_report(data, clock.monotonic_ms())):
            raise ShardUnavailable("this peer is not the leader: reports go to the leader")
        return bytes([FORMAT])

    calls.handle(METHOD, answer)


class Reporter:
    """One per node."""

    def __init__(
        self,
        calls: PeerCalls,
        controller: Controller,
        status: Callable[[], RaftStatus],
        own: OwnReport,
        *,
        peer_id: int,
        urgent: asyncio.Event | None = None,
    ) -> None:
        """``own``: as the controller's. ``status``: who leads. ``urgent``: set by whoever wants the leader to
        hear of this node at once, cleared here.
        """
        self._calls, self._controller, self._status, self._own = calls, controller, status, own
        self._peer_id = peer_id
        self._urgent = urgent or asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="reports")

    async def close(self) -> None:
        if self._loop is not None:
            await end_all([self._loop])

    def nudge(self) -> None:
        """Something changed that the leader should know at once: a replica failed, or became ready."""
        self._urgent.set()

    async def _run(self) -> None:
        while True:
            self._urgent.clear()
            try:
                await self._report()
            except VecraftError as error:
                log.debug("report_not_taken", reason=str(error))
            except Exception:
                log.exception("report_failed")
            await asyncio.sleep(REPORT_GAP_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_INTERVAL_S - REPORT_GAP_S):
                    await self._urgent.wait()

    async def _report(self) -> None:
        leader = self._status().leader
        if leader == self._peer_id:
            self._controller.poke()  # it looks for itself
        elif leader is not None:
            report = encode_report(self._own())
            await self._calls.call(leader, METHOD, report, timeout_s=REPORT_TIMEOUT_S)
