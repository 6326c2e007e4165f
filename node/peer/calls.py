"""Calls between members over the peer port: a method's name and bytes there, bytes back.

Lives here: the ports that features of the node register with and call through. What the bytes mean is each
feature's own; they begin with a format byte.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

Handler = Callable[[int, bytes], Awaitable[bytes]]  # the calling peer, the request; returns the answer
StreamHandler = Callable[[int, bytes], AsyncIterator[bytes]]
Letter = Callable[[int, str, int, bytes], None]  # the sending peer, collection uuid, shard id, message


class PeerCalls(Protocol):
    """Errors that a handler raises (``protos.errors``) are raised at the caller, class and fields kept."""

    def handle(self, method: str, handler: Handler) -> None:
        """Answer calls of ``method``; before a method has a handler they get ShardUnavailable."""
        ...

    def handle_stream(self, method: str, handler: StreamHandler) -> None: ...

    async def call(self, peer_id: int, method: str, request: bytes, *, timeout_s: float) -> bytes:
        """Raises: what the handler raises; ShardUnavailable if the peer certainly did not begin with it (it
        cannot be reached, is unknown, refuses this one); Timeout if it may have.
        """
        ...

    def stream(self, peer_id: int, method: str, request: bytes) -> AsyncIterator[bytes]:
        """The parts of an answer, in order, with back pressure. Raises: as ``call``."""
        ...


class Mail(Protocol):
    """Messages between replicas of a shard: may be lost, never doubled by the transport."""

    def send(self, peer_id: int, collection_uuid: str, shard_id: int, message: bytes) -> None:
        """On the event loop. Without a connection the message is dropped."""
        ...

    def backlog(self, peer_id: int) -> int:
        """Bytes that wait to be sent to a peer."""
        ...

    def receive(self, letter: Letter | None) -> None:
        """Give messages that come in to ``letter``, on the event loop; None: drop them."""
        ...
