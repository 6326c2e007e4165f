"""A cluster in virtual time: the real controller and transitions, and nodes reduced to what they promise.

A node acts on the state as it last saw it, which may be old. Points are counted, not kept: a replica holds
the first ``seq`` writes of its shard. A primary writes to all replicas that it sees in sync and to those it
has called ready, or to none; a follower refuses a primary of another term than it knows. Commands may be
lost, repeated, late and out of order; peers die, restart, lose a replica's files, join, drain, are removed.

After every command the invariants of the state hold, and every sound replica in sync has every
acknowledged write.
"""

from __future__ import annotations

import random
from collections import Counter

from consensus.commands import (
    AbortTransfer,
    AddCollection,
    Command,
    DrainPeer,
    DropReplica,
    EvictReplica,
    FinishTransfer,
    RegisterPeer,
    ReplicaReady,
    RestartTransfer,
    StartTransfer,
    decode_command,
    encode_command,
    shard_ref,
)
from consensus.controller import Limits, plan
from consensus.events import DataLost
from consensus.invariants import check_invariants, check_step
from consensus.placement import eligible_peers, place_shards
from consensus.replica_sets import (
    FILLING,
    every_shard,
    in_sync,
    is_in_sync,
    transfer_to,
    wanted_replicas,
)
from consensus.reports import PeerReport, ReplicaKey, ReplicaReport, Reports
from consensus.state import (
    CollectionState,
    Peer,
    ReplicaState,
    ShardState,
    TransferMethod,
    decode_state,
    encode_state,
    founding_state,
)
from consensus.transitions import apply, rejection
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    Distance,
    VectorParams,
)
from tests.sim.controller.faults import disturb
from tests.sim.controller.nodes import Node, Store

ROUND_MS = 1000
LIMITS = Limits(lost_after_ms=3_000, evict_after_ms=5_000, replace_after_ms=12_000)
FAULTY_ROUNDS = 40
CALM_ROUNDS_MAX = 150
SETTLE_ROUNDS = 8  # until reports and commands of the time of faults are through


class World:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.state = founding_state(Peer(1))
        self.now_ms = 0
        self.faults = True
        self.nodes: dict[int, Node] = {}
        self.heard: dict[int, PeerReport] = {}
        self.underway: list[Command] = []
        self.late: list[Command] = []
        self.acked: Counter[ReplicaKey] = Counter()
        self.counts: Counter[str] = Counter()
        self.moves: list[StartTransfer | DropReplica] | None = (
            None  # what the controller did, once it is calm
        )
        for peer_id in range(1, self.rng.randint(3, 5) + 1):
            self.join(peer_id)
        self.create_collections()

    # --- setting up -----------------------------------------------------------------------------------

    def join(self, peer_id: int) -> None:
        zone = self.rng.choice(["", "a", "b"])
        listens = peer_id > 3 and self.rng.random() < 0.3
        node = Node(peer_id, self.state, zone, "Listener" if listens else "Normal")
        self.nodes[peer_id] = node
        self.apply(self.registration(node))
        node.view = self.state

    def registration(self, node: Node) -> RegisterPeer:
        return RegisterPeer(
            id=node.id,
            uri=f"http://{node.id}",
            zone=node.zone,
            incarnation=node.incarnation,
            node_type=node.node_type,
        )

    def create_collections(self) -> None:
        for index in range(self.rng.randint(1, 2)):
            factor, shards = self.rng.randint(1, 4), self.rng.randint(1, 4)
            params = CollectionParams({"": VectorParams(4, Distance.DOT)}, shards, None, factor)
            placed = place_shards(self.state, count=shards, replication_factor=factor)
            self.apply(AddCollection(f"c{index}", f"u{index}", CollectionConfig(params), placed, 0))
        params = CollectionParams({"": VectorParams(4, Distance.DOT)}, 1, "custom", 2)
        self.apply(AddCollection("keys", "uk", CollectionConfig(params), (), 0))

    # --- commands -------------------------------------------------------------------------------------

    def apply(self, command: Command) -> None:
        before = self.state
        after, events = apply(before, command)
        lost = any(isinstance(event, DataLost) for event in events)
        self.counts["rejected" if rejection(events) else type(command).__name__] += after is not before
        refused = rejection(events)
        if refused is not None:
            self.counts[f"refused: {refused.kind}"] += 1
        check_step(before, after, data_lost=lost)
        if after is before:
            return
        check_invariants(after)
        self.state = after
        for event in events:
            if isinstance(event, DataLost):
                self.counts["data lost"] += 1
                self.take_loss(event)
        self.check_data()

    def take_loss(self, event: DataLost) -> None:
        collection = self.state.collections[event.collection]
        key, primary = (collection.uuid, event.shard_id), collection.shards[event.shard_id].primary
        store = self.nodes[primary].stores.setdefault(key, Store())
        store.sound, self.acked[key] = True, store.seq

    def check_data(self) -> None:
        for collection, shard in every_shard(self.state):
            key = (collection.uuid, shard.id)
            for peer in in_sync(shard):
                store = self.nodes[peer].stores.get(key, Store())
                assert store.seq >= self.acked[key] or not store.sound, f"{peer} lacks writes of {key}"

    def propose(self, command: Command) -> None:
        assert decode_command(encode_command(command)) == command
        self.underway.append(command)
        if self.faults and self.rng.random() < 0.25:
            self.late.append(command)

    def deliver(self) -> None:
        """Apply what gets through, in any order; keep some of it for later, lose some."""
        batch, self.underway = self.underway, []
        self.rng.shuffle(batch)
        if self.late and (not self.faults or self.rng.random() < 0.3):
            self.rng.shuffle(self.late)
            for _ in range(1 + len(self.late) // 3):
                batch.append(self.late.pop())
        for command in batch:
            fate = self.rng.random() if self.faults else 1.0
            if fate < 0.15:
                continue
            if fate < 0.3:
                self.underway.append(command)
                continue
            if self.moves is not None and isinstance(command, StartTransfer | DropReplica):
                self.moves.append(command)
            self.apply(command)

    # --- one round --------------------------------------------------------------------------------------

    def round(self) -> list[Command]:
        """Return what the controller proposed."""
        self.now_ms += ROUND_MS
        if self.faults:
            disturb(self)
        for node in self.nodes.values():
            if node.alive:
                self.act(node)
        for node in self.nodes.values():
            if node.alive and (not self.faults or self.rng.random() < 0.8):
                self.heard[node.id] = self.report(node)
        steps = plan(self.state, Reports(0, self.heard), self.now_ms, LIMITS)
        for step in steps:
            self.propose(step)
        self.deliver()
        return steps

    def report(self, node: Node) -> PeerReport:
        replicas = {}
        for collection, shard in every_shard(node.view):
            key = (collection.uuid, shard.id)
            if node.id in shard.replicas and key in node.stores:
                ready = node.ready.get(key, {}) if node.led.get(key) == shard.term else {}
                replicas[key] = ReplicaReport(
                    epoch=shard.epoch_of(node.id),
                    term=shard.term,
                    healthy=node.stores[key].sound,
                    ready=dict(ready),
                )
        return PeerReport(self.now_ms, node.incarnation, replicas)

    # --- what a node does ---------------------------------------------------------------------------------

    def act(self, node: Node) -> None:
        if not self.faults or self.rng.random() < 0.5:
            node.view = self.state
        if not node.registered:
            self.propose(self.registration(node))
        for collection, shard in every_shard(node.view):
            if node.id in shard.replicas:
                self.keep_store(node, collection, shard)
                if shard.primary == node.id and node.registered:
                    self.lead(node, collection, shard)
        held = {(collection.uuid, shard.id) for collection, shard in every_shard(node.view)
                if node.id in shard.replicas}  # fmt: skip
        node.stores = {key: store for key, store in node.stores.items() if key in held}

    def keep_store(self, node: Node, collection: CollectionState, shard: ShardState) -> None:
        """Fill the replica while a transfer does; a new one, of a new shard, starts empty and complete."""
        store = node.stores.setdefault((collection.uuid, shard.id), Store())
        epoch = shard.epoch_of(node.id)
        if store.epoch != epoch:
            store.epoch, store.progress = epoch, 0
        transfer = transfer_to(collection, shard.id, node.id)
        if transfer is None or not node.registered:
            return  # what a process did not begin it does not go on with: its registration ends it
        store.sound = True
        source = self.nodes.get(transfer.source)
        if source is None or not source.alive or store.progress >= 3:
            return
        chance = self.rng.random() if self.faults else 1.0
        if chance < 0.1:
            self.propose(AbortTransfer(collection.name, collection.uuid, transfer, "it failed"))
        elif chance < 0.2 and transfer.method is TransferMethod.WAL_DELTA:
            full = TransferMethod.STREAM_RECORDS
            self.propose(RestartTransfer(collection.name, collection.uuid, transfer, full))
        else:
            store.progress += 1

    def lead(self, node: Node, collection: CollectionState, shard: ShardState) -> None:
        key = (collection.uuid, shard.id)
        if not node.stores[key].sound:
            return
        promised = node.ready.get(key, {}) if node.led.get(key) == shard.term else {}
        node.led[key] = shard.term
        node.ready[key] = {
            peer: epoch
            for peer, epoch in promised.items()
            if shard.epoch_of(peer) == epoch and shard.replicas.get(peer) in FILLING
        }
        for peer in sorted(shard.replicas):
            if shard.replicas[peer] in FILLING and peer != node.id:
                self.catch_up(node, collection, shard, peer)
        for _ in range(self.rng.randint(0, 2)):
            self.write(node, collection, shard)

    def catch_up(self, node: Node, collection: CollectionState, shard: ShardState, peer: int) -> None:
        """Bring a filled replica up to the primary, wait for it from now on, and say so."""
        key = (collection.uuid, shard.id)
        if self.faults and self.rng.random() < 0.5:
            return
        store = self.follower(node, collection, shard, peer)
        transfer = transfer_to(collection, shard.id, peer)
        if store is None or transfer is None or store.progress < 3:
            return
        store.seq = node.stores[key].seq
        node.ready[key][peer] = store.epoch
        if self.rng.random() < 0.7:
            self.propose(FinishTransfer(collection.name, collection.uuid, transfer, shard.term))
        elif self.rng.random() < 0.1:
            self.propose(ReplicaReady(shard_ref(collection, shard), peer, store.epoch))

    def follower(self, node: Node, collection: CollectionState, shard: ShardState, peer: int) -> Store | None:
        """The store that takes this primary's messages now; it refuses another term or epoch."""
        other = self.nodes.get(peer)
        if other is None or not other.alive:
            return None
        seen = other.view.collections.get(collection.name)
        if seen is None or seen.uuid != collection.uuid or shard.id not in seen.shards:
            return None
        known = seen.shards[shard.id]
        store = other.stores.get((collection.uuid, shard.id))
        agrees = known.term == shard.term and known.epoch_of(peer) == shard.epoch_of(peer)
        return store if agrees and store is not None and store.sound else None

    def write(self, node: Node, collection: CollectionState, shard: ShardState) -> None:
        key = (collection.uuid, shard.id)
        waited = {*in_sync(shard), *node.ready[key]} - {node.id}
        stores = {peer: self.follower(node, collection, shard, peer) for peer in waited}
        failed = sorted(peer for peer, store in stores.items() if store is None)
        for peer in failed:
            if self.rng.random() < 0.5:
                self.propose(EvictReplica(shard_ref(collection, shard), peer, shard.epoch_of(peer)))
        if failed:
            return
        seq = node.stores[key].seq + 1
        node.stores[key].seq = self.acked[key] = seq
        for store in stores.values():
            assert store is not None
            store.seq = seq

    # --- the end ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """The whole of it. Raises: AssertionError."""
        self.run_faults()
        self.calm_down()
        self.check_moves()

    def run_faults(self) -> None:
        for _ in range(FAULTY_ROUNDS):
            self.round()
        assert decode_state(encode_state(self.state)) == self.state

    def calm_down(self) -> int:
        """End all faults; return how many rounds it took until nothing was left to do."""
        self.faults = False
        for peer_id in self.nodes.keys() - self.state.peers.keys():
            del self.nodes[peer_id]
        for node in self.nodes.values():
            if not node.alive:
                node.alive, node.incarnation, node.ready, node.led = True, node.incarnation + 1, {}, {}
        quiet = 0
        for number in range(CALM_ROUNDS_MAX):
            if number == SETTLE_ROUNDS:
                self.moves = []
                self.allow_a_leader()
            steps = self.round()
            removed = self.nodes.keys() - self.state.peers.keys()
            for peer_id in removed:
                del self.nodes[peer_id]
            settled = not steps and not self.late and not self.underway
            quiet = quiet + 1 if settled and not self.unfinished() else 0
            if quiet >= 3 and number > SETTLE_ROUNDS:
                return number
        raise AssertionError(f"not settled after {CALM_ROUNDS_MAX} rounds: {self.unfinished()}, {steps}")

    def allow_a_leader(self) -> None:
        """Nobody can take over where every peer that is no listener is to be drained."""
        if all(peer.draining or peer.node_type == "Listener" for peer in self.state.peers.values()):
            normal = [peer.id for peer in self.state.peers.values() if peer.node_type == "Normal"]
            self.apply(DrainPeer(min(normal), draining=False))

    def has(self, peer: int, key: ReplicaKey) -> bool:
        """Is the peer up, with the replica's files?"""
        node = self.nodes[peer]
        return node.alive and key in node.stores and node.stores[key].sound

    def unfinished(self) -> list[str]:
        """What is not as it should be."""
        found = []
        staying = eligible_peers(self.state)
        leaders = [peer for peer in staying if self.state.peers[peer].node_type == "Normal"]
        for collection, shard in every_shard(self.state):
            where = f"{collection.name}:{shard.id} {shard.replicas}"
            wanted = min(wanted_replicas(collection, shard), len(staying))
            if not any(self.has(peer, (collection.uuid, shard.id)) for peer in in_sync(shard)):
                self.counts["sound replicas dropped by users"] += 1
                continue  # what is left lost its files before: nothing can be copied from it
            if len(shard.replicas) != wanted:
                found.append(f"{where}: {wanted} wanted")
            for peer, state in shard.replicas.items():
                listens = self.state.peers[peer].node_type == "Listener"
                if not is_in_sync(shard, peer) and not (listens and state is ReplicaState.LISTENER):
                    found.append(f"{where}: {peer} is {state.value}")
                if peer not in staying and leaders:
                    found.append(f"{where}: {peer} is draining")
            if collection.transfers:
                found.append(f"{where}: a transfer goes on")
        return found

    def check_moves(self) -> None:
        """In the calm, what the controller made it does not drop, nor the other way round."""
        assert self.moves is not None
        made, dropped = set(), set()
        for move in self.moves:
            where = (move.shard.collection, move.shard.uuid, move.shard.shard_id)
            if isinstance(move, StartTransfer):
                made.add((*where, move.target))
            else:
                dropped.add((*where, move.peer_id))
        assert not made & dropped, f"made and dropped: {made & dropped}"
