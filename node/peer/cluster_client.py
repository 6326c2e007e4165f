"""``node.client.cluster.ClusterClient`` of a member, and the calls it makes for that.

Requests and answers begin with a format byte: COMMIT_INDEX asks with nothing, or with a byte for how far the
routers that follow the member know, too (who does not know that byte has none); its answer is the index (8
bytes, big-endian); TELEMETRY asks with the level (1 byte), its answer is a JSON object; AUDIT has JSON both
ways.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from consensus.log import ClusterLog, RaftStatus
from consensus.state import Transfer
from node.client.cluster import SendFailures
from node.peer.calls import PeerCalls
from node.peer.framing import body_of, framed

COMMIT_INDEX = "cluster.commit_index"
TELEMETRY = "cluster.telemetry"
AUDIT = "cluster.audit"
FORMAT = 1
_ROUTERS_TOO = 1

TransferComment = Callable[[str, Transfer], str | None]
Telemetry = Callable[[int], Awaitable[bytes]]  # the level; returns a JSON object
AuditEntries = Callable[[bytes], Awaitable[bytes]]  # JSON there and back


class MemberCluster:
    """A ``ClusterClient``. ``failures``: as ``Member.send_failures``; ``comment``: of transfers sent."""

    def __init__(
        self,
        log: ClusterLog,
        calls: PeerCalls,
        *,
        failures: Callable[[], Mapping[str, SendFailures]],
        comment: TransferComment,
    ) -> None:
        self._log, self._calls = log, calls
        self._failures = failures
        self._comment = comment

    @property
    def peer_id(self) -> int:
        return self._log.peer_id

    def status(self) -> RaftStatus:
        return self._log.status()

    def send_failures(self) -> Mapping[str, SendFailures]:
        return self._failures()

    async def commit_index(self, peer_id: int, *, timeout_s: float) -> int:
        return await ask_commit_index(self._calls, peer_id, timeout_s=timeout_s)

    async def known_index(self, peer_id: int, *, timeout_s: float) -> int:
        return await ask_known_index(self._calls, peer_id, timeout_s=timeout_s)

    async def telemetry(self, peer_id: int, *, level: int, timeout_s: float) -> bytes:
        request = framed(FORMAT, bytes([level]))
        return body_of(FORMAT, await self._calls.call(peer_id, TELEMETRY, request, timeout_s=timeout_s))

    async def audit_entries(self, peer_id: int, request: bytes, *, timeout_s: float) -> bytes:
        asked = framed(FORMAT, request)
        return body_of(FORMAT, await self._calls.call(peer_id, AUDIT, asked, timeout_s=timeout_s))

    async def catch_up(self) -> None:
        await self._log.barrier()

    def transfer_comment(self, collection_uuid: str, transfer: Transfer) -> str | None:
        return self._comment(collection_uuid, transfer)


async def ask_commit_index(calls: PeerCalls, peer_id: int, *, timeout_s: float) -> int:
    """Raises: ShardUnavailable, TimeoutError."""
    answer = await calls.call(peer_id, COMMIT_INDEX, framed(FORMAT, b""), timeout_s=timeout_s)
    return int.from_bytes(body_of(FORMAT, answer), "big")


async def ask_known_index(calls: PeerCalls, peer_id: int, *, timeout_s: float) -> int:
    """Up to where the member, and all routers that follow it, know the log. Raises: as the former."""
    request = framed(FORMAT, bytes([_ROUTERS_TOO]))
    answer = await calls.call(peer_id, COMMIT_INDEX, request, timeout_s=timeout_s)
    return int.from_bytes(body_of(FORMAT, answer), "big")


def serve_commit_index(calls: PeerCalls, log: ClusterLog, known: Callable[[], int]) -> None:
    """``known``: as ``ask_known_index`` tells it."""

    async def answer(caller: int, request: bytes) -> bytes:
        del caller
        index = known() if body_of(FORMAT, request) else log.status().commit
        return framed(FORMAT, index.to_bytes(8, "big"))

    calls.handle(COMMIT_INDEX, answer)


def serve_telemetry(calls: PeerCalls, telemetry: Telemetry) -> None:
    async def answer(caller: int, request: bytes) -> bytes:
        del caller
        return framed(FORMAT, await telemetry(body_of(FORMAT, request)[0]))

    calls.handle(TELEMETRY, answer)


def serve_audit(calls: PeerCalls, entries: AuditEntries) -> None:
    async def answer(caller: int, request: bytes) -> bytes:
        del caller
        return framed(FORMAT, await entries(body_of(FORMAT, request)))

    calls.handle(AUDIT, answer)
