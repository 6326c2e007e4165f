"""What goes wrong in a simulated cluster, and what its users ask for meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.commands import (
    AbortTransfer,
    ChangeCollection,
    Command,
    CreateShardKey,
    DrainPeer,
    DropReplica,
    DropShardKey,
    PromotePrimary,
    RemovePeer,
    StartTransfer,
    shard_ref,
)
from consensus.placement import place_shards
from consensus.replica_sets import every_shard, in_sync
from consensus.state import TransferMethod
from protos.collections import CollectionParamsDiff, UpdateCollection
from tests.sim.controller.nodes import Node, Store

if TYPE_CHECKING:
    from tests.sim.controller.world import World

PEERS_MAX = 7


def disturb(world: World) -> None:
    """One thing that happens to the cluster in a round, if any."""
    rng = world.rng
    node = rng.choice(list(world.nodes.values()))
    dice = rng.random()
    if dice < 0.1 and node.alive and sum(other.alive for other in world.nodes.values()) > 2:
        node.alive = False
    elif dice < 0.3 and not node.alive:
        restart(world, node)
    elif dice < 0.33 and len(world.nodes) < PEERS_MAX:
        world.join(max(*world.nodes, *world.state.removed_peers, 0) + 1)
    elif dice < 0.37:
        world.propose(DrainPeer(node.id, draining=rng.random() < 0.6))
    elif dice < 0.42 and not node.alive and len(world.nodes) > 3:
        world.propose(RemovePeer(node.id, force=True))
    elif dice < 0.55:
        world.propose(request(world))
    elif dice < 0.62 and node.alive:
        restart(world, node)
    for peer_id in world.nodes.keys() - world.state.peers.keys():
        del world.nodes[peer_id]  # it was removed, and stops


def restart(world: World, node: Node) -> None:
    """The process comes back; it may have lost the files of a replica that two others have."""
    node.alive, node.incarnation, node.ready, node.led = True, node.incarnation + 1, {}, {}
    if world.rng.random() < 0.4:
        node.node_type = "Normal" if node.node_type == "Listener" or node.id <= 3 else "Listener"
    for collection, shard in every_shard(world.state):
        key = (collection.uuid, shard.id)
        keepers = [peer for peer in in_sync(shard) if peer != node.id and world.has(peer, key)]
        if world.rng.random() < 0.1 and len(keepers) >= 2 and key in node.stores:
            node.stores[key] = Store(seq=0, sound=False, epoch=shard.epoch_of(node.id))
            world.counts["files lost"] += 1


def request(world: World) -> Command:
    """Something a user asks for, which may well be nonsense."""
    rng, state = world.rng, world.state
    peers = sorted(state.peers)
    shards = list(every_shard(state))
    collection, shard = rng.choice(shards)
    ref = shard_ref(collection, shard)
    kind = rng.randrange(8)
    if kind == 0:
        peer = rng.choice(sorted(shard.replicas))
        return DropReplica(ref, peer, shard.epoch_of(peer), by_user=True)
    if kind == 1:
        method = rng.choice([TransferMethod.SNAPSHOT, TransferMethod.STREAM_RECORDS])
        sync = rng.random() < 0.4
        return StartTransfer(ref, shard.primary, rng.choice(peers), method, sync=sync, by_user=True)
    if kind == 2:
        params = CollectionParamsDiff(replication_factor=rng.randint(1, 4))
        return ChangeCollection(collection.name, UpdateCollection(params=params))
    if kind == 3 and collection.transfers:
        return AbortTransfer(collection.name, collection.uuid, collection.transfers[0], "user request")
    if kind == 4:
        return DropShardKey("keys", rng.randint(1, 2))
    if kind >= 6:
        return PromotePrimary(ref, rng.choice(in_sync(shard) or peers))
    placed = place_shards(state, count=rng.randint(1, 2), replication_factor=2)
    return CreateShardKey("keys", rng.randint(1, 2), tuple(one.peers for one in placed))
