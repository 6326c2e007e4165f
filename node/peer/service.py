"""The methods of the peer port: their names, and their messages as bytes.

Stands in for generated service code, which would bring gRPC into the vocabulary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from protos.peer.peer_pb2 import AddPeerRequest, AddPeerResponse, RaftFrame

RAFT = "vecraft.peer.Raft"
MEMBERSHIP = "vecraft.peer.Membership"
MESSAGE_BYTES_MAX = 64 << 20  # Raft sends entries of 4 MiB together, and one more

# A channel is made for each try and thrown away, so that names are resolved again and no other
# channel's waiting time is inherited.
CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.dns_min_time_between_resolutions_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
SERVER_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),
]

Connect = Callable[[Any, Any], Awaitable[None]]
AddPeer = Callable[[AddPeerRequest, Any], Awaitable[AddPeerResponse]]


def handlers(*, connect: Connect, add_peer: AddPeer) -> tuple[Any, ...]:
    """What a server serves. ``connect`` reads and writes frames through its context."""
    raft = grpc.stream_stream_rpc_method_handler(connect, RaftFrame.FromString, RaftFrame.SerializeToString)
    membership = grpc.unary_unary_rpc_method_handler(
        add_peer, AddPeerRequest.FromString, AddPeerResponse.SerializeToString
    )
    return (
        grpc.method_handlers_generic_handler(RAFT, {"Connect": raft}),
        grpc.method_handlers_generic_handler(MEMBERSHIP, {"AddPeer": membership}),
    )


def channel(address: str, credentials: Any = None) -> Any:
    """``address``: host:port. ``credentials``: gRPC's, None for plain text."""
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(address, credentials, options=CHANNEL_OPTIONS)


def open_stream(channel: Any) -> Any:
    """A ``Connect`` call on ``channel``; read and write frames on it."""
    return channel.stream_stream(
        f"/{RAFT}/Connect",
        request_serializer=RaftFrame.SerializeToString,
        response_deserializer=RaftFrame.FromString,
    )()


async def call_add_peer(channel: Any, request: AddPeerRequest, *, timeout_s: float) -> AddPeerResponse:
    """Raises: grpc.aio.AioRpcError."""
    method = channel.unary_unary(
        f"/{MEMBERSHIP}/AddPeer",
        request_serializer=AddPeerRequest.SerializeToString,
        response_deserializer=AddPeerResponse.FromString,
    )
    answer: AddPeerResponse = await method(request, timeout=timeout_s)
    return answer
