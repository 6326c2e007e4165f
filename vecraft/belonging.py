"""Whose a storage is: a node's that runs alone, a cluster's peer's, or nobody's; and where others are to be.

May not live here: what follows from it for a peer (``membership``); Raft, which a router starts without.
"""

from __future__ import annotations

from pathlib import Path

from consensus import identity as identities
from consensus.identity import Identity, IdentityDamaged
from node.peer.addresses import address_of
from protos.errors import BadInput
from vecraft.configuration import Membership
from vecraft.ending import CannotStart

LOCAL_LOG = "meta"  # of a node that runs alone
CLUSTER = "cluster"  # identity, Raft files, addresses


def identity_in(storage: Path) -> Identity | None:
    """Raises: CannotStart if there is one that makes no sense."""
    try:
        return identities.load(storage / CLUSTER)
    except IdentityDamaged as error:
        raise CannotStart(str(error)) from error


def refuse_storage_of_a_cluster(storage: Path) -> None:
    """Raises: CannotStart if the storage belongs to a cluster."""
    identity = identity_in(storage)
    if identity is not None and identity.cluster_id:
        raise CannotStart(
            f"storage directory {storage} belongs to peer {identity.peer_id} of cluster "
            f"{identity.cluster_id}, but cluster.enabled is not set. Set it: a cluster of one peer serves "
            "the same. To leave the others for good, start with cluster.enabled and --reinit"
        )


def refuse_storage_of_a_node(storage: Path) -> None:
    """Raises: CannotStart if there is anything that a router would leave unserved."""
    if identity_in(storage) is not None or (storage / LOCAL_LOG).is_dir():
        raise CannotStart(
            f"storage directory {storage} belongs to a node with shards, which a router would not serve. "
            "Start it without cluster.router, or give the router another storage.storage_path"
        )


def check_uris(membership: Membership) -> None:
    """Raises: CannotStart: one of them is none."""
    given = [("--bootstrap", uri) for uri in membership.bootstrap]
    if membership.uri is not None:
        given.insert(0, ("--uri", membership.uri))
    for flag, uri in given:
        try:
            address_of(uri)
        except BadInput as error:
            raise CannotStart(f"{flag}: {error}") from error
