"""The methods of the peer port: their names, and their messages as bytes.

Stands in for generated service code, which would bring gRPC into the vocabulary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from node.peer.security import NO_SECURITY, Metadata, PeerSecurity
from protos.peer.peer_pb2 import (
    AddPeerRequest,
    AddPeerResponse,
    Frame,
    WhoIsThereRequest,
    WhoIsThereResponse,
)

RAFT = "vecraft.peer.Raft"
MAIL = "vecraft.peer.Mail"
CALLS = "vecraft.peer.Calls"
MEMBERSHIP = "vecraft.peer.Membership"
MESSAGE_BYTES_MAX = 64 << 20  # Raft sends entries of 4 MiB together, and one more; a write may have 32 MiB

# A channel is made for each try and thrown away when it has failed, so that names are resolved again and
# no other channel's waiting time is inherited.
CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.dns_min_time_between_resolutions_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
# Streams of messages have their own pulse; what waits for an answer has the transport's: a connection without
# a sign of life is given up after 5 s. Less would mistake a slow network with full buffers for a dead one.
_KEEPALIVE: list[tuple[str, Any]] = [
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 4000),
    ("grpc.http2.ping_timeout_ms", 4000),  # the keepalive's ping waits for this, too
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
CALL_OPTIONS: list[tuple[str, Any]] = [
    *CHANNEL_OPTIONS,
    *_KEEPALIVE,
    ("grpc.min_reconnect_backoff_ms", 1000),  # also the time that connecting may take
]
SERVER_OPTIONS: list[tuple[str, Any]] = [
    *_KEEPALIVE,
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),
]

Connect = Callable[[Any, Any], Awaitable[None]]
AddPeer = Callable[[AddPeerRequest, Any], Awaitable[AddPeerResponse]]
WhoIsThere = Callable[[WhoIsThereRequest, Any], Awaitable[WhoIsThereResponse]]
AnswerCall = Callable[[bytes, Any], Awaitable[bytes]]
AnswerStream = Callable[[bytes, Any], Awaitable[None]]


def links_handler(name: str, connect: Connect) -> Any:
    """Serve RAFT or MAIL. ``connect`` reads and writes frames through its context."""
    method = grpc.stream_stream_rpc_method_handler(connect, Frame.FromString, Frame.SerializeToString)
    return grpc.method_handlers_generic_handler(name, {"Connect": method})


def calls_handler(call: AnswerCall, stream: AnswerStream) -> Any:
    """Serve CALLS: bytes there, bytes back. ``stream`` writes through its context."""
    methods: dict[str, Any] = {
        "Call": grpc.unary_unary_rpc_method_handler(call),
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
    }
    return grpc.method_handlers_generic_handler(CALLS, methods)


def membership_handler(add_peer: AddPeer, who_is_there: WhoIsThere) -> Any:
    methods: dict[str, Any] = {
        "AddPeer": grpc.unary_unary_rpc_method_handler(
            add_peer, AddPeerRequest.FromString, AddPeerResponse.SerializeToString
        ),
        "WhoIsThere": grpc.unary_unary_rpc_method_handler(
            who_is_there, WhoIsThereRequest.FromString, WhoIsThereResponse.SerializeToString
        ),
    }
    return grpc.method_handlers_generic_handler(MEMBERSHIP, methods)


def channel(
    address: str,
    security: PeerSecurity = NO_SECURITY,
    *,
    options: Sequence[tuple[str, Any]] = CHANNEL_OPTIONS,
) -> Any:
    """``address``: host:port."""
    if security.channel_credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, security.channel_credentials(), options=options)


def open_stream(channel: Any, name: str = RAFT, metadata: Metadata = ()) -> Any:
    """A ``Connect`` call on ``channel`` of RAFT or MAIL; read and write frames on it."""
    return channel.stream_stream(
        f"/{name}/Connect", request_serializer=Frame.SerializeToString, response_deserializer=Frame.FromString
    )(metadata=metadata)


def call_methods(channel: Any) -> tuple[Any, Any]:
    """The unary method of CALLS and the streaming one, to be called with a request's bytes and metadata."""
    return channel.unary_unary(f"/{CALLS}/Call"), channel.unary_stream(f"/{CALLS}/Stream")


async def call_add_peer(
    channel: Any, request: AddPeerRequest, *, timeout_s: float, metadata: Metadata = ()
) -> AddPeerResponse:
    """Raises: grpc.aio.AioRpcError."""
    method = channel.unary_unary(
        f"/{MEMBERSHIP}/AddPeer",
        request_serializer=AddPeerRequest.SerializeToString,
        response_deserializer=AddPeerResponse.FromString,
    )
    answer: AddPeerResponse = await method(request, timeout=timeout_s, metadata=metadata)
    return answer


async def call_who_is_there(channel: Any, *, timeout_s: float, metadata: Metadata = ()) -> WhoIsThereResponse:
    """Raises: grpc.aio.AioRpcError."""
    method = channel.unary_unary(
        f"/{MEMBERSHIP}/WhoIsThere",
        request_serializer=WhoIsThereRequest.SerializeToString,
        response_deserializer=WhoIsThereResponse.FromString,
    )
    answer: WhoIsThereResponse = await method(WhoIsThereRequest(), timeout=timeout_s, metadata=metadata)
    return answer
