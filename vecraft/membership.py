"""Which cluster a storage is of: from settings, flags and what lies in the storage to ``MemberOptions``.

A storage that ran alone founds a cluster with all its collections: the founding state is the local log's,
and the founder keeps the local peer id, since the shards' replicas are this peer's. From then on the
local log is history. There is no way back: whoever leaves a cluster by a switch of its configuration would
go on with shards that others hold too, and a cluster of one peer serves all that a node alone serves.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from consensus.local_log import LocalLog
from consensus.log_format import MetadataCorrupted
from consensus.state import ClusterState
from node.peer.addresses import normal_uri
from node.peer.member import MemberOptions
from vecraft import __version__
from vecraft.belonging import CLUSTER, LOCAL_LOG, check_uris, identity_in
from vecraft.configuration import Membership
from vecraft.ending import CannotStart
from vecraft.settings import Settings
from vecraft.tls import peer_security


class _Alone(Struct, frozen=True):
    """What a node knew when it ran alone."""

    peer_id: int
    state: ClusterState


async def member_options(settings: Settings, membership: Membership) -> MemberOptions:
    """Raises: CannotStart if the flags make no sense, or not with this storage."""
    check_uris(membership)
    _check_reinit(membership)
    storage, cluster = Path(settings.storage.storage_path), settings.cluster
    identity = identity_in(storage)
    alone = None if identity is not None and identity.cluster_id else await _ran_alone(storage)
    brings = alone is not None and bool(alone.state.collections)
    if brings and not _may_found(membership):
        raise CannotStart(
            f"storage directory {storage} holds collections of a node that ran alone, which cannot be taken "
            "into another cluster. Found a cluster with it (no --bootstrap), or join with an empty storage"
        )
    return MemberOptions(
        directory=storage / CLUSTER,
        host=settings.service.host,
        port=cluster.p2p.port,
        uri=membership.uri,
        bootstrap=() if brings else membership.bootstrap,  # who brings collections founds, and asks nobody
        bootstrap_timeout_s=float(cluster.consensus.bootstrap_timeout_sec),
        reinit=membership.reinit,
        rejoin=membership.rejoin,
        peer_id=cluster.peer_id if alone is None else alone.peer_id,
        version=__version__,
        zone=cluster.zone,
        node_type=settings.storage.node_type,
        founding=None if alone is None else alone.state,
        connect_s=cluster.connection_timeout_ms / 1000,
        security=peer_security(settings),
    )


async def _ran_alone(storage: Path) -> _Alone | None:
    directory = storage / LOCAL_LOG
    if not directory.is_dir():
        return None
    try:
        log = LocalLog.open(directory)
    except MetadataCorrupted as error:
        raise CannotStart(str(error)) from error
    await log.close()
    return _Alone(log.peer_id, log.state)


def _check_reinit(membership: Membership) -> None:
    """Peers that are all given the same list would all forget their cluster, and found an empty one."""
    uris = [normal_uri(uri) for uri in membership.bootstrap]
    own = normal_uri(membership.uri) if membership.uri is not None else None
    if membership.reinit and len(uris) > 1 and own in uris:
        raise CannotStart(
            "--reinit with a list of peers that names this one is refused. Give no other peer, to go on "
            "without them, or those of the cluster to join"
        )


def _may_found(membership: Membership) -> bool:
    """Who is to join nobody, or is itself the first to join (reference 6.2)."""
    uri, bootstrap = membership.uri, membership.bootstrap
    return not bootstrap or (uri is not None and normal_uri(uri) == normal_uri(bootstrap[0]))
