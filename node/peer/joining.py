"""How a peer comes to be of a cluster: founding one, joining one, starting a lost one anew.

Each ends with complete Raft files and then ``identity.json``, so a crash on the way leaves a peer that
begins again. What cannot be put right by trying again raises ``CannotJoin``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import grpc
import grpc.aio
import msgspec
from msgspec import Struct
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
from protos.logger import get_logger
from protos.peer.peer_pb2 import Accepted, AddPeerRequest

RETRY_S = 0.3
CALL_S = 12.0  # longer than agreeing on the registration may take

_log = get_logger(__name__)


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
    bootstrap: Sequence[str],
    founder: bool = False,
    timeout_s: float,
    security: PeerSecurity = NO_SECURITY,
) -> tuple[Identity, Accepted] | None:
    """Have a member at one of ``bootstrap`` register this peer, and make the files to begin with.

    Returns: None if there is no cluster yet, and ``founder`` is to begin one.
    Raises: BootstrapRefused, CannotJoin when nobody took the request in time.
    """
    accepted = await ask(
        request, bootstrap=bootstrap, founder=founder, timeout_s=timeout_s, security=security
    )
    if accepted is None:
        return None
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
    request: AddPeerRequest,
    *,
    bootstrap: Sequence[str],
    founder: bool = False,
    timeout_s: float,
    security: PeerSecurity = NO_SECURITY,
) -> Accepted | None:
    """Ask at each of ``bootstrap``, again and again, until a member takes the request.

    Returns: None if ``founder`` and each of them, in one round, said that it is of no cluster. Silence is no
    such answer: who is silent may hold the data of a cluster that this peer was of before it lost its disk.
    Raises: BootstrapRefused, CannotJoin when nobody took the request in time.
    """
    loop = asyncio.get_running_loop()
    deadline, said = loop.time() + timeout_s, dict.fromkeys(bootstrap, "nobody answered")
    told: dict[str, str] = {}
    while True:
        homeless = 0
        for uri in bootstrap:
            if (left := deadline - loop.time()) <= 0:
                break
            answer = await _ask_at(uri, request, timeout_s=min(left, CALL_S), security=security)
            if isinstance(answer, Accepted):
                return answer
            homeless += answer.homeless
            said[uri] = answer.text
        if founder and homeless == len(bootstrap):
            return None
        if loop.time() + RETRY_S >= deadline:
            break
        if told != said:
            told = dict(said)
            _log.info("waiting_to_join", said=told)
        await asyncio.sleep(RETRY_S)
    reasons = "; ".join(f"{uri} did not let this peer join: {text}" for uri, text in said.items())
    raise CannotJoin(f"no cluster to be of was found within {timeout_s} s. {reasons}")


class _NotYet(Struct, frozen=True):
    """``homeless``: who was asked is of no cluster itself."""

    text: str
    homeless: bool = False


async def _ask_at(
    uri: str, request: AddPeerRequest, *, timeout_s: float, security: PeerSecurity
) -> Accepted | _NotYet:
    """Raises: BootstrapRefused."""
    channel = service.channel(address_of(uri), security)
    try:
        answer = await service.call_add_peer(
            channel, request, timeout_s=timeout_s, metadata=security.metadata
        )
    except grpc.aio.AioRpcError as error:
        homeless = error.code() is grpc.StatusCode.FAILED_PRECONDITION
        return _NotYet(error.details() or str(error.code()), homeless)
    finally:
        await channel.close()
    if answer.WhichOneof("result") == "refused":
        raise BootstrapRefused(f"{uri} refused this peer: {answer.refused.text}")
    return answer.accepted


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
