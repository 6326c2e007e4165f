"""What the floors above may ask of the cluster's machinery.

Lives here: the port, and the plain structs it answers with. Its form is ``node.peer``'s and
``node.cluster``'s; a single node has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from consensus.log import RaftStatus
from consensus.state import Transfer


class SendFailures(Struct):
    """Of streams to one peer (``message_send_failures`` of reference 14.2)."""

    count: int = 0
    latest_error: str = ""
    latest_unix_s: float = 0.0


class ClusterClient(Protocol):
    """``peer_id`` is this member's."""

    @property
    def peer_id(self) -> int: ...

    def status(self) -> RaftStatus: ...

    def send_failures(self) -> Mapping[str, SendFailures]:
        """By the URI of the peer."""
        ...

    async def commit_index(self, peer_id: int, *, timeout_s: float) -> int:
        """As another member knows it. Raises: ShardUnavailable, Timeout."""
        ...

    async def known_index(self, peer_id: int, *, timeout_s: float) -> int:
        """Up to where a member (be it this one), and all routers that follow it, know the log.

        Raises: ShardUnavailable, Timeout.
        """
        ...

    async def telemetry(self, peer_id: int, *, level: int, timeout_s: float) -> bytes:
        """Another member's telemetry, a JSON object. Raises: ShardUnavailable, Timeout."""
        ...

    async def audit_entries(self, peer_id: int, request: bytes, *, timeout_s: float) -> bytes:
        """What is in another member's audit log, JSON there and back. Raises: ShardUnavailable, Timeout."""
        ...

    async def catch_up(self) -> None:
        """Return when this member has applied all that was agreed on before the call (a Raft barrier).

        Raises: Timeout, ServiceError.
        """
        ...

    def transfer_comment(self, collection_uuid: str, transfer: Transfer) -> str | None:
        """How far a transfer that this node sends has come (reference 14.3, 19); None: it does not."""
        ...
