"""The membership service: any member registers a peer that asks to be of the cluster.

The registration goes through the metadata log, so it need not be taken to the leader: a proposal does
that by itself. The vote follows when the peer has caught up (``consensus.membership``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import grpc

from consensus.commands import RegisterPeer
from consensus.raft_log import RaftLog
from node.peer.addresses import normal_uri
from protos.errors import ServiceError, Timeout, VecraftError
from protos.peer.peer_pb2 import Accepted, AddPeerRequest, AddPeerResponse, PeerAddress, Refused


class Registrar:
    """``log`` gives None until this member's is open."""

    def __init__(self, log: Callable[[], RaftLog | None], cluster_id: Callable[[], str]) -> None:
        self._log, self._cluster_id = log, cluster_id

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
            index = (await log.submit(_command(request, uri))).index
        except (Timeout, ServiceError) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except VecraftError as error:
            return AddPeerResponse(refused=Refused(text=str(error)))
        peers = [PeerAddress(peer_id=peer.id, uri=peer.uri) for peer in log.state.peers.values()]
        accepted = Accepted(cluster_id=self._cluster_id(), registered_index=index, uri=uri, peers=peers)
        return AddPeerResponse(accepted=accepted)

    def _why_refuse(self, log: RaftLog, request: AddPeerRequest) -> str | None:
        if request.cluster_id:
            same = request.cluster_id == self._cluster_id()
            return None if same else f"This is a member of cluster {self._cluster_id()}"
        if request.peer_id in log.status().voters:
            # Without its log it has forgotten whom it voted for, and what it acknowledged.
            return f"Peer {request.peer_id} has a vote, but lost its log. Remove it from the cluster first"
        return None


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
