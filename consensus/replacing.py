"""Taking a peer out whose storage is gone for good: what to propose, and what forbids it. Pure.

Lives here: the commands, in order. May not live here: how it is known that the storage is gone
(``node.peer.registrar``).

Each command is checked again when it is applied: a replica goes only while another one is in sync. So
however old the state was that this was planned on, no shard loses its last complete replica.
"""

from __future__ import annotations

from msgspec import Struct

from consensus.commands import Command, DrainPeer, DropReplica, RemovePeer, shard_ref
from consensus.replica_sets import every_shard
from consensus.state import ClusterState
from consensus.transitions.edits import others_in_sync


class Replacement(Struct, frozen=True):
    """``commands``: to be proposed in groups, each when the one before has been applied. ``last``: the
    shards, by collection and id, of which no other peer has a complete replica; then there are no commands.
    """

    commands: tuple[tuple[Command, ...], ...] = ()
    last: tuple[tuple[str, int], ...] = ()


def replacement(state: ClusterState, peer_id: int) -> Replacement:
    """How to take out the peer ``peer_id``, whose replicas are lost."""
    held = [(collection, shard) for collection, shard in every_shard(state) if peer_id in shard.replicas]
    last = tuple(
        (collection.name, shard.id) for collection, shard in held if not others_in_sync(shard, peer_id)
    )
    if last:
        return Replacement(last=last)
    drops = tuple(
        DropReplica(shard_ref(collection, shard), peer_id, shard.epoch_of(peer_id))
        for collection, shard in held
    )
    # Drained first, so that no new replica is put on it in between.
    return Replacement(((DrainPeer(peer_id),), drops, (RemovePeer(peer_id),)))
