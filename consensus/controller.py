"""The controller: the next small steps from the cluster as it is to the cluster as it should be. Pure.

Lives here: which primaries to replace, replicas to evict, recover, add and drop, one step per shard.
May not live here: clocks, sockets, the loop that runs on the leader and proposes what ``plan`` returns.

Nothing is remembered between rounds: where a step stands is in the state, so a round may be repeated,
skipped or run by two leaders at once, and every command names the term and epochs it rests on. A shard's
rules are tried in order of urgency; the first that finds something to do is the shard's step.

Two rules never undo each other: ``_add`` and ``_drop`` compare the same count of replicas with the same
number, and a replica is dropped from a draining or lost peer only when enough others are complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from consensus.commands import (
    Command,
    DropReplica,
    EvictReplica,
    FinishTransfer,
    ListenReplica,
    PromotePrimary,
    ReplicaReady,
    StartTransfer,
    shard_ref,
)
from consensus.placement import Load, eligible_peers
from consensus.replica_sets import (
    FILLING,
    IN_SYNC,
    LOGGING,
    every_shard,
    in_sync,
    is_in_sync,
    primary_counts,
    transfer_to,
    transfers_of,
    wanted_replicas,
)
from consensus.reports import ReplicaReport, Reports
from consensus.state import ClusterState, CollectionState, ReplicaState, ShardState, TransferMethod

_RECOVERABLE = frozenset(
    {
        ReplicaState.DEAD,
        ReplicaState.PARTIAL_SNAPSHOT,
        ReplicaState.PARTIAL,
        ReplicaState.RECOVERY,
        ReplicaState.INITIALIZING,
        ReplicaState.LISTENER,
    }
)
# These were complete once: what they lack may still be in a log.
_HAVE_DATA = frozenset({ReplicaState.DEAD, ReplicaState.RECOVERY, ReplicaState.LISTENER})


class Limits(Struct, frozen=True):
    """How eager the controller is.

    Attributes:
        lost_after_ms: silence after which a peer is no primary any more, and gets no new work.
        gone_after_ms: likewise, when nobody answers at its address at all.
        evict_after_ms: silence after which its replicas are declared dead if nobody else did: their primaries
            do as soon as somebody waits for them. Too short, and a restart of an idle node costs a recovery.
        replace_after_ms: silence after which its replicas are made anew elsewhere; None: never.
        incoming_transfers: at a time, per collection and node (reference 14.9); likewise ``outgoing_``.
        recovery_method: the first choice for a replica that had data.
        full_method: for new replicas, and where ``recovery_method`` failed.
        add_missing: bring every shard to the number of replicas wanted.
        drop_excess: and down to it.
        commands_max: at most so many steps per round.
    """

    lost_after_ms: int = 1_500
    gone_after_ms: int = 500
    evict_after_ms: int = 30_000
    replace_after_ms: int | None = 600_000
    incoming_transfers: int = 1
    outgoing_transfers: int = 1
    recovery_method: TransferMethod = TransferMethod.WAL_DELTA
    full_method: TransferMethod = TransferMethod.STREAM_RECORDS
    recover: bool = True
    add_missing: bool = True
    drop_excess: bool = True
    commands_max: int = 64


def plan(state: ClusterState, reports: Reports, now_ms: int, limits: Limits | None = None) -> list[Command]:
    """Return the next steps, at most one per shard, in the order of collections and shards."""
    planner = _Round(state, reports, now_ms, limits or Limits())
    commands: list[Command] = []
    for collection, shard in every_shard(state):
        command = planner.step(collection, shard)
        if command is not None:
            commands.append(command)
        if len(commands) >= planner.limits.commands_max:
            break
    return commands


class _Round:
    """One look at the state. What its own steps will change is counted along."""

    def __init__(self, state: ClusterState, reports: Reports, now_ms: int, limits: Limits) -> None:
        self.limits = limits
        self._state = state
        self._reports = reports
        self._silent = {peer: reports.silent_ms(peer, now_ms) for peer in state.peers}
        self._down = {peer: reports.down_ms(peer, now_ms) for peer in state.peers}
        self._eligible = eligible_peers(state)
        self._primaries = Counter(primary_counts(state))
        self._loads: dict[str, Load] = {}
        transfers = [(name, one) for name, held in state.collections.items() for one in held.transfers]
        self._incoming = Counter((name, transfer.target) for name, transfer in transfers)
        self._outgoing = Counter((name, transfer.source) for name, transfer in transfers)
        self._rules: tuple[Callable[[CollectionState, ShardState], Command | None], ...] = (
            self._evict,
            self._hand_over,
            self._listen,
            self._finish,
            self._drop,
            self._recover,
            self._add,
        )

    def step(self, collection: CollectionState, shard: ShardState) -> Command | None:
        if not in_sync(shard):
            return self._finish(collection, shard)  # it is being filled for the first time
        if not self._is_live(shard.primary) or not self._is_healthy(collection, shard, shard.primary):
            return self._replace_primary(collection, shard)
        steps = (rule(collection, shard) for rule in self._rules)
        return next((step for step in steps if step is not None), None)

    # --- primaries ----------------------------------------------------------------------------------

    def _replace_primary(self, collection: CollectionState, shard: ShardState) -> Command | None:
        """Without another replica in sync and well there is nothing to do but wait."""
        heirs = [peer for peer in in_sync(shard) if self._is_sound(collection, shard, peer)]
        return self._promote(collection, shard, heirs, lost=True)

    def _hand_over(self, collection: CollectionState, shard: ShardState) -> Command | None:
        """A draining or listening peer should be no primary."""
        if self._may_lead(shard.primary):
            return None
        heirs = [
            peer
            for peer in in_sync(shard)
            if self._may_lead(peer) and self._is_sound(collection, shard, peer)
        ]
        return self._promote(collection, shard, heirs, lost=False)

    def _promote(
        self, collection: CollectionState, shard: ShardState, heirs: list[int], *, lost: bool
    ) -> Command | None:
        heir = min(
            heirs, key=lambda peer: (not self._may_lead(peer), self._primaries[peer], peer), default=None
        )
        if heir is None:
            return None
        self._primaries[heir] += 1
        self._primaries[shard.primary] -= 1
        return PromotePrimary(shard_ref(collection, shard), heir, lost=lost)

    # --- replicas that failed or must not count -------------------------------------------------------

    def _evict(self, collection: CollectionState, shard: ShardState) -> Command | None:
        for peer, state in sorted(shard.replicas.items()):
            if peer == shard.primary or state not in LOGGING:
                continue
            lost = self._silent[peer] >= self.limits.evict_after_ms
            if lost or not self._is_healthy(collection, shard, peer):
                return EvictReplica(shard_ref(collection, shard), peer, shard.epoch_of(peer))
        return None

    def _listen(self, collection: CollectionState, shard: ShardState) -> Command | None:
        for peer in in_sync(shard):
            if peer != shard.primary and self._listens(peer):
                return ListenReplica(shard_ref(collection, shard), peer, shard.epoch_of(peer))
        return None

    # --- replicas that are to become complete ---------------------------------------------------------

    def _finish(self, collection: CollectionState, shard: ShardState) -> Command | None:
        """Carry out what the primary vouches for, in case it could not propose it itself."""
        report = self._report(collection, shard, shard.primary)
        if report is None or report.term != shard.term:
            return None
        for peer, epoch in sorted(report.ready.items()):
            if shard.replicas.get(peer) not in FILLING or epoch != shard.epoch_of(peer):
                continue
            transfer = transfer_to(collection, shard.id, peer)
            if transfer is None:
                return ReplicaReady(shard_ref(collection, shard), peer, epoch)
            return FinishTransfer(collection.name, collection.uuid, transfer, shard.term)
        return None

    def _recover(self, collection: CollectionState, shard: ShardState) -> Command | None:
        if not self.limits.recover or (self.limits.drop_excess and self._will_do(collection, shard)):
            return None
        for peer in self._useful(collection, shard):
            state = shard.replicas.get(peer)
            if state not in _RECOVERABLE or (state is ReplicaState.LISTENER and self._listens(peer)):
                continue
            if transfer_to(collection, shard.id, peer) is None and self._is_recoverable(
                collection, shard, peer
            ):
                step = self._fill(collection, shard, peer, self._recovery_method(collection, shard, peer))
                if step is not None:
                    return step
        return None

    def _will_do(self, collection: CollectionState, shard: ShardState) -> bool:
        """Are enough replicas complete or being filled? Then the rest is to be dropped, not recovered."""
        coming = [
            peer
            for peer in self._counted(collection, shard)
            if self._is_complete(shard, peer) or transfer_to(collection, shard.id, peer) is not None
        ]
        return len(coming) >= self._wanted(collection, shard) and not self._lacks_heir(shard, coming)

    def _recovery_method(self, collection: CollectionState, shard: ShardState, peer: int) -> TransferMethod:
        complete_once = shard.replicas[peer] in _HAVE_DATA and peer not in shard.failed
        if complete_once and self._is_healthy(collection, shard, peer):
            return self.limits.recovery_method
        return self.limits.full_method

    def _add(self, collection: CollectionState, shard: ShardState) -> Command | None:
        counted = self._counted(collection, shard)
        enough = len(counted) >= self._wanted(collection, shard)
        if not self.limits.add_missing or (enough and not self._lacks_heir(shard, counted)):
            return None
        spare = [
            peer
            for peer in self._useful(collection, shard)
            if peer not in shard.replicas and self._can_receive(collection, peer)
        ]
        if not spare or self._source(collection, shard) is None:
            return None
        load = self._loads.setdefault(collection.name, Load(self._state, collection))
        target = load.next_holder(spare, counted)
        assert target is not None
        return self._fill(collection, shard, target, self.limits.full_method)

    def _useful(self, collection: CollectionState, shard: ShardState) -> list[int]:
        """The peers that may hold replicas; while an heir is lacking, no listeners."""
        lacking = self._lacks_heir(shard, self._counted(collection, shard))
        return [peer for peer in self._eligible if not (lacking and self._listens(peer))]

    def _lacks_heir(self, shard: ShardState, peers: list[int]) -> bool:
        """A draining primary that only listeners could take over from needs one replica more."""
        drained = shard.primary not in self._eligible
        return drained and any(map(self._may_lead, self._eligible)) and not any(map(self._may_lead, peers))

    def _fill(
        self, collection: CollectionState, shard: ShardState, target: int, method: TransferMethod
    ) -> Command | None:
        source = self._source(collection, shard)
        if source is None or not self._can_receive(collection, target):
            return None
        self._incoming[collection.name, target] += 1
        self._outgoing[collection.name, source] += 1
        return StartTransfer(shard_ref(collection, shard), source, target, method)

    def _source(self, collection: CollectionState, shard: ShardState) -> int | None:
        """A replica in sync to copy from: rather not the primary, which has enough to do."""
        sources = [
            peer
            for peer in in_sync(shard)
            if self._is_sound(collection, shard, peer)
            and not transfers_of(collection, shard.id, peer)
            and self._outgoing[collection.name, peer] < self.limits.outgoing_transfers
        ]
        return min(sources, key=lambda peer: (peer == shard.primary, peer), default=None)

    def _can_receive(self, collection: CollectionState, peer: int) -> bool:
        free = self._incoming[collection.name, peer] < self.limits.incoming_transfers
        return free and self._is_live(peer)

    # --- replicas too many ----------------------------------------------------------------------------

    def _drop(self, collection: CollectionState, shard: ShardState) -> Command | None:
        counted = self._counted(collection, shard)
        complete = [peer for peer in counted if self._is_complete(shard, peer)]
        wanted = self._wanted(collection, shard)
        if len(complete) < wanted or self._lacks_heir(shard, complete):
            return None
        idle = [
            peer
            for peer in sorted(shard.replicas)
            if peer != shard.primary and not transfers_of(collection, shard.id, peer)
        ]
        victims = [peer for peer in idle if peer not in counted]
        if not victims and self.limits.drop_excess and len(counted) > wanted:
            incomplete = [peer for peer in idle if peer not in complete]
            victims = incomplete or (idle if len(complete) > wanted else [])
        if not victims:
            return None
        victim = Load(self._state, collection).one_too_many(shard, victims)
        return DropReplica(shard_ref(collection, shard), victim, shard.epoch_of(victim))

    def _wanted(self, collection: CollectionState, shard: ShardState) -> int:
        """There cannot be more replicas than peers."""
        return min(wanted_replicas(collection, shard), len(self._eligible))

    def _counted(self, collection: CollectionState, shard: ShardState) -> list[int]:
        """The replicas that are to stay: not on draining peers nor on peers given up, nor a move's copy."""
        limit = self.limits.replace_after_ms
        return [
            peer
            for peer in sorted(shard.replicas)
            if peer in self._eligible
            and (limit is None or self._silent[peer] < limit or is_in_sync(shard, peer))
            and not self._is_move_target(collection, shard, peer)
        ]

    # --- looking ----------------------------------------------------------------------------------------

    def _is_move_target(self, collection: CollectionState, shard: ShardState, peer: int) -> bool:
        transfer = transfer_to(collection, shard.id, peer)
        return transfer is not None and not transfer.sync

    def _is_complete(self, shard: ShardState, peer: int) -> bool:
        state = shard.replicas[peer]
        return state in IN_SYNC or (state is ReplicaState.LISTENER and self._listens(peer))

    def _may_lead(self, peer: int) -> bool:
        return peer in self._eligible and not self._listens(peer)

    def _listens(self, peer: int) -> bool:
        return self._state.peers[peer].node_type == "Listener"

    def _is_live(self, peer: int) -> bool:
        answers = self._down[peer] < self.limits.gone_after_ms
        return answers and self._silent[peer] < self.limits.lost_after_ms

    def _is_sound(self, collection: CollectionState, shard: ShardState, peer: int) -> bool:
        """Its running process has said so: one that has just restarted may have lost its files."""
        report = self._report(collection, shard, peer)
        return self._is_live(peer) and report is not None and report.healthy

    def _is_healthy(self, collection: CollectionState, shard: ShardState, peer: int) -> bool:
        """Nothing speaks against it."""
        report = self._report(collection, shard, peer)
        return report is None or report.healthy

    def _is_recoverable(self, collection: CollectionState, shard: ShardState, peer: int) -> bool:
        report = self._report(collection, shard, peer)
        return report is None or report.recoverable

    def _report(self, collection: CollectionState, shard: ShardState, peer: int) -> ReplicaReport | None:
        """What the running process of a peer says of its replica as it is now; None: nothing yet."""
        heard = self._reports.peers.get(peer)
        if heard is None or heard.incarnation != self._state.peers[peer].incarnation:
            return None
        report = heard.replicas.get((collection.uuid, shard.id))
        return report if report is not None and report.epoch == shard.epoch_of(peer) else None
