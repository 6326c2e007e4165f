"""How a peer comes to be of a cluster: founding one, joining one, starting a lost one anew.

Each ends with complete Raft files and then ``identity.json``, so a crash on the way leaves a peer that
begins again. What cannot be put right by trying again raises ``CannotJoin``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import msgspec
import structlog
from msgspec.structs import replace as with_fields

from consensus import identity as identities
from consensus import replicated
from consensus.commands import RemovePeer
from consensus.identity import Identity
from consensus.raft import founding
from consensus.raft.files import OsFiles
from consensus.raft_machine import recover
from consensus.state import FEATURE_LEVEL, ClusterState, Peer
from consensus.transitions import apply
from node.peer import service
from node.peer.addresses import AddressBook, address_of
from node.peer.security import NO_SECURITY, PeerSecurity
from protos.peer.peer_pb2 import Accepted, AddPeerRequest

RETRY_S = 0.3
CALL_S = 12.0  # longer than agreeing on the registration may take

_log = structlog.get_logger(__name__)


class CannotJoin(Exception):
    """No cluster to be of; the text tells the operator why."""


class BootstrapRefused(CannotJoin):
    """The cluster does not want this peer, for one because its URI belongs to another one.

    The program ends with status 101 (reference 18.5).
    """


def found(directory: Path, identity: Identity, own: Peer, state: ClusterState) -> Identity:
    """Begin a cluster with ``state``, whose only peer becomes ``own``. Returns: the identity in it."""
    state = with_fields(state, peers={own.id: own})
    identity = with_fields(
        identity, cluster_id=identities.new_cluster_id(), registered_index=founding.FOUNDING_INDEX
    )
    first = replicated.founding(state, founding.FOUNDING_INDEX)
    founding.found(OsFiles(identities.raft_directory(directory, identity)), [str(own.id)], first)
    identities.save(directory, identity)
    _log.info("cluster_founded", cluster_id=identity.cluster_id, peer_id=own.id, uri=own.uri)
    return identity


def start_anew(directory: Path, identity: Identity, own: Peer) -> Identity:
    """Found a cluster of this peer alone with what the lost one knew (``--reinit``).

    Its shards stay, the replicas of the other peers go. Raises: what reading the old files raises.
    """
    state = recover(OsFiles(identities.raft_directory(directory, identity))).cluster
    if own.id not in state.peers:
        state = with_fields(state, peers={**state.peers, own.id: own})
    for peer_id in sorted(state.peers.keys() - {own.id}):
        state, _ = apply(state, RemovePeer(peer_id, force=True))
    return found(directory, identity, own, state)


async def join(
    directory: Path,
    identity: Identity,
    request: AddPeerRequest,
    book: AddressBook,
    *,
    bootstrap: str,
    timeout_s: float,
    security: PeerSecurity = NO_SECURITY,
) -> tuple[Identity, Accepted]:
    """Have a member at ``bootstrap`` register this peer, and make the files to begin with.

    Raises: BootstrapRefused, CannotJoin when nobody took the request in time.
    """
    accepted = await ask(request, bootstrap=bootstrap, timeout_s=timeout_s, security=security)
    identity = with_fields(
        identity, cluster_id=accepted.cluster_id, registered_index=accepted.registered_index
    )
    identities.drop_left_over(directory, with_fields(identity, cluster_id=""))
    founding.prepare(OsFiles(identities.raft_directory(directory, identity)))
    book.learn(uris(accepted))
    identities.save(directory, identity)
    _log.info("cluster_joined", cluster_id=identity.cluster_id, peer_id=identity.peer_id, uri=accepted.uri)
    return identity, accepted


async def ask(
    request: AddPeerRequest, *, bootstrap: str, timeout_s: float, security: PeerSecurity = NO_SECURITY
) -> Accepted:
    """Raises: BootstrapRefused, CannotJoin when nobody took the request in time."""
    loop = asyncio.get_running_loop()
    deadline, latest = loop.time() + timeout_s, "nobody answered"
    while (left := deadline - loop.time()) > 0:
        channel = service.channel(address_of(bootstrap), security)
        try:
            answer = await service.call_add_peer(
                channel, request, timeout_s=min(left, CALL_S), metadata=security.metadata
            )
        except grpc.aio.AioRpcError as error:
            latest = error.details() or str(error.code())
            await asyncio.sleep(RETRY_S)
            continue
        finally:
            await channel.close()
        if answer.WhichOneof("result") == "refused":
            raise BootstrapRefused(f"{bootstrap} refused this peer: {answer.refused.text}")
        return answer.accepted
    raise CannotJoin(f"{bootstrap} did not let this peer join within {timeout_s} s: {latest}")


def uris(accepted: Accepted) -> dict[int, str]:
    return {peer.peer_id: peer.uri for peer in accepted.peers}


def registration(own: Peer, *, port: int, cluster_id: str) -> AddPeerRequest:
    """What this peer tells of itself; ``cluster_id`` is empty for one that has no log yet."""
    return AddPeerRequest(
        peer_id=own.id,
        uri=own.uri,
        port=port,
        incarnation=own.incarnation,
        version=own.version,
        cluster_id=cluster_id,
        zone=own.zone,
        node_type=own.node_type,
        feature_level=FEATURE_LEVEL,
    )


def same_peer(known: Peer | None, own: Peer) -> bool:
    """Whether the cluster has heard of this process, and where it is."""
    return known is not None and msgspec.structs.astuple(
        with_fields(known, draining=False)
    ) == msgspec.structs.astuple(with_fields(own, draining=False))
