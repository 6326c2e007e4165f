"""The membership service: any member registers a peer that asks to be of the cluster.

The registration goes through the metadata log, so it need not be taken to the leader: a proposal does
that by itself. The vote follows when the peer has caught up (``consensus.membership``).

A peer that comes with empty storage to the URI of another one takes its place, if that one is gone for good:
whoever is at that URI is the newcomer, and the other one has not been heard for ``GONE_MS``. Both must hold:
the URI may have been given by mistake, while the machine that it belongs to is down; and the process that had
it may still run where its name no longer leads. A shard's last complete replica is not given up here: that is
for an operator to do.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import grpc
import grpc.aio

from consensus.commands import RegisterPeer
from consensus.identity import Identity
from consensus.raft_log import RaftLog
from consensus.replacing import replacement
from consensus.state import ClusterState
from node.peer import service
from node.peer.addresses import address_of, normal_uri
from node.peer.security import NO_SECURITY, PeerSecurity
from protos.errors import ServiceError, Timeout, VecraftError
from protos.logger import get_logger
from protos.peer.peer_pb2 import (
    Accepted,
    AddPeerRequest,
    AddPeerResponse,
    PeerAddress,
    Refused,
    WhoIsThereRequest,
    WhoIsThereResponse,
)

GONE_MS = 3_000  # as long as a silent link may go on
WHO_S = 2.0
SHOWN_MAX = 5  # shards that an error names

_log = get_logger(__name__)


class _InTheWay(Exception):
    """The peer whose place is asked for; it may go later."""


class Registrar:
    """``log`` gives None until this member's is open. ``down_since_ms``: peers that this member has no link
    with, and since when, by the monotonic clock."""

    def __init__(
        self,
        log: Callable[[], RaftLog | None],
        identity: Callable[[], Identity],
        *,
        down_since_ms: Callable[[], Mapping[int, int]] = dict,
        security: PeerSecurity = NO_SECURITY,
    ) -> None:
        self._log, self._identity = log, identity
        self._down_since_ms, self._security = down_since_ms, security

    def _cluster_id(self) -> str:
        return self._identity().cluster_id

    async def who_is_there(self, _: WhoIsThereRequest, _context: Any) -> WhoIsThereResponse:
        identity = self._identity()
        return WhoIsThereResponse(
            peer_id=identity.peer_id, incarnation=identity.incarnation, cluster_id=identity.cluster_id
        )

    async def add_peer(self, request: AddPeerRequest, context: Any) -> AddPeerResponse:
        log = self._log()
        if not self._cluster_id():  # of this and nothing else who asks may infer that there is no cluster
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it is of no cluster itself")
        if log is None or log.status().stopped:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "this member is not of a running cluster")
        assert log is not None
        refused = self._why_refuse(log, request)
        if refused is not None:
            return AddPeerResponse(refused=Refused(text=refused))
        try:
            uri = normal_uri(request.uri or guessed_uri(context.peer(), request.port))
            await self._make_way(log, request, uri)
            index = (await log.submit(_command(request, uri))).index
        except (Timeout, ServiceError, _InTheWay) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except VecraftError as error:
            return AddPeerResponse(refused=Refused(text=str(error)))
        peers = [PeerAddress(peer_id=peer.id, uri=peer.uri) for peer in log.state.peers.values()]
        accepted = Accepted(cluster_id=self._cluster_id(), registered_index=index, uri=uri, peers=peers)
        return AddPeerResponse(accepted=accepted)

    async def _make_way(self, log: RaftLog, request: AddPeerRequest, uri: str) -> None:
        """Take out the peer in whose place who asks is; one that is there itself stays, and keeps its URI.

        Raises: _InTheWay; what proposing raises.
        """
        holder = _peer_at(log.state, uri)
        if holder is None or holder == request.peer_id or request.cluster_id:
            return
        if await self._who_is_at(uri) != request.peer_id:
            return
        down_since_ms = self._down_since_ms().get(holder)
        if down_since_ms is None or time.monotonic_ns() // 1_000_000 - down_since_ms < GONE_MS:
            raise _InTheWay(f"peer {holder}, whose URI {uri} is, was heard of a moment ago")
        planned = replacement(log.state, holder)
        if planned.last:
            named = ", ".join(f"{shard} of `{name}`" for name, shard in planned.last[:SHOWN_MAX])
            raise _InTheWay(
                f"peer {holder}, whose URI {uri} is, has the only complete replica of {len(planned.last)}"
                f" shards (of shard {named}). Bring its storage back, or give them up: vecraft cluster remove"
                f" {holder} --force"
            )
        _log.warning("peer_replaced", peer=holder, uri=uri, by=request.peer_id)
        for commands in planned.commands:
            await asyncio.gather(*map(log.propose, commands))

    async def _who_is_at(self, uri: str) -> int | None:
        channel = service.channel(address_of(uri), self._security)
        try:
            answer = await service.call_who_is_there(
                channel, timeout_s=WHO_S, metadata=self._security.metadata
            )
        except grpc.aio.AioRpcError:
            return None
        finally:
            await channel.close()
        return int(answer.peer_id)

    def _why_refuse(self, log: RaftLog, request: AddPeerRequest) -> str | None:
        if request.cluster_id:
            same = request.cluster_id == self._cluster_id()
            return None if same else f"This is a member of cluster {self._cluster_id()}"
        if request.peer_id in log.status().voters:
            # Without its log it has forgotten whom it voted for, and what it acknowledged.
            return f"Peer {request.peer_id} has a vote, but lost its log. Remove it from the cluster first"
        return None


def _peer_at(state: ClusterState, uri: str) -> int | None:
    return next((peer.id for peer in state.peers.values() if peer.uri == uri), None)


def guessed_uri(source: str, port: int) -> str:
    """The URI of who called from ``source``, as gRPC writes it (ipv4:127.0.0.1:5678)."""
    _, _, address = unquote(source).partition(":")
    host = address.rpartition(":")[0].strip("[]")
    literal = ipaddress.ip_address(host.partition("%")[0])
    return f"http://[{literal}]:{port}" if literal.version == 6 else f"http://{literal}:{port}"


def _command(request: AddPeerRequest, uri: str) -> RegisterPeer:
    return RegisterPeer(
        request.peer_id,
        uri=uri,
        zone=request.zone,
        version=request.version,
        incarnation=request.incarnation,
        node_type="Listener" if request.node_type == "Listener" else "Normal",
        feature_level=request.feature_level,
    )
