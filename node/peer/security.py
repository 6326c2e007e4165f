"""How members know each other: by certificates, by a key, or not at all (reference 5.1, 5.3).

With TLS both sides show a certificate of the cluster's own authority, so whatever comes over the peer port,
Raft's messages too, comes from a member. Without it, members can show an API key. Which of them it is they
say themselves (``node.peer.door``): who is let in at all is trusted with that.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from msgspec import Struct

API_KEY = "api-key"  # the metadata's
Metadata = tuple[tuple[str, str], ...]


class PeerSecurity(Struct, frozen=True):
    """``channel_credentials`` and ``server_credentials`` make gRPC's, anew for each channel and server, as
    certificates change; None: plain text. ``api_key``: shown with every call. ``accepted``: the keys of which
    callers have to show one; empty: none is asked for.
    """

    channel_credentials: Callable[[], Any] | None = None
    server_credentials: Callable[[], Any] | None = None
    api_key: str | None = None
    accepted: tuple[str, ...] = ()

    @property
    def metadata(self) -> Metadata:
        return ((API_KEY, self.api_key),) if self.api_key else ()

    @property
    def interceptors(self) -> list[grpc.aio.ServerInterceptor]:
        return [_KeyCheck(self.accepted)] if self.accepted else []

    def __repr__(self) -> str:
        return "PeerSecurity(...)"  # not into a log, nor a traceback


NO_SECURITY = PeerSecurity()


class _KeyCheck(grpc.aio.ServerInterceptor):
    def __init__(self, accepted: Sequence[str]) -> None:
        self._accepted = [key.encode() for key in accepted]

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or self._knows(details.invocation_metadata):
            return handler
        return _refusing(handler)

    def _knows(self, metadata: Sequence[tuple[str, str | bytes]]) -> bool:
        shown = next((value for name, value in metadata if name == API_KEY), None)
        if shown is None:
            return False
        data = shown if isinstance(shown, bytes) else shown.encode("utf-8", "surrogateescape")
        matches = [hmac.compare_digest(key, data) for key in self._accepted]  # all, whichever it is
        return True in matches


def _refusing(handler: Any) -> Any:
    """A handler of the same kind that lets nobody in."""

    async def refuse(_request: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "peers have to show this cluster's API key")

    if handler.request_streaming:
        return grpc.stream_stream_rpc_method_handler(refuse)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(refuse)
    return grpc.unary_unary_rpc_method_handler(refuse)
