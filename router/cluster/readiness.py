"""When a node may be sent requests (reference 3.1), as a pure state machine.

Lives here: the checks in their order, and what each needs to know. May not live here: clocks, tasks, asking
(``router.cluster.checking``).

    JOINING       until the node knows that it is a member, and, if it joins for the first time, another one
    ESTIMATING    how far is the cluster? The first member that answers will do
    CATCHING_UP   until this node has applied that much
    CONFIRMING    how far is the cluster according to a majority? Then CATCHING_UP again, or
    HEALING       until each replica of this node that was unhealthy then was seen healthy, or is gone; if it
                  joins for the first time, until each shard that was short of replicas then was seen whole:
                  it may have taken the place of a peer that lost them, and must not count before they are
                  made anew. For good in recovery mode
    READY         for good

Members that do not answer are done without: a node must be able to get ready when all others are down, since
an orchestrator may start the next one only then. Asking in vain for ``SILENCE_S`` is enough for that.

Invariants: stages are never gone back over but from CONFIRMING to CATCHING_UP; READY is never left.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from consensus.placement import eligible_peers
from consensus.replica_sets import every_shard, in_sync, wanted_replicas
from consensus.state import ClusterState, ReplicaState

SILENCE_S = 3.0  # links to other members may take that long to be made after a start

HEALTHY = frozenset(
    {
        ReplicaState.ACTIVE,
        ReplicaState.LISTENER,
        ReplicaState.RESHARDING,
        ReplicaState.RESHARDING_SCALE_DOWN,
        ReplicaState.MANUAL_RECOVERY,
    }
)


class Stage(enum.Enum):
    JOINING = "joining"
    ESTIMATING = "estimating"
    CATCHING_UP = "catching up"
    CONFIRMING = "confirming"
    HEALING = "healing"
    READY = "ready"


Replica = tuple[str, int]  # the collection's uuid, the shard's id


class Checks(Struct, frozen=True):
    """How far the checks have come. ``target``: the index to be applied; ``silent_since_s``: when members
    first gave no answer; ``sick``: this node's replicas that are still to be seen healthy; ``short``: shards
    that are still to be seen with all their replicas in sync."""

    stage: Stage = Stage.JOINING
    target: int = 0
    silent_since_s: float | None = None
    sick: frozenset[Replica] = frozenset()
    short: frozenset[Replica] = frozenset()


class Seen(Struct, frozen=True):
    """What is so at ``now_s`` (monotonic). ``commits``: other members' answers, if ``asks`` wanted any.

    ``withheld``: this node opens no shard (recovery mode), whatever its replicas are still called.
    """

    state: ClusterState
    peer_id: int
    applied: int
    now_s: float
    commits: tuple[int, ...] = ()
    withheld: bool = False


def asks(checks: Checks, state: ClusterState, peer_id: int) -> int:
    """How many other members should tell their commit index before the next ``advance``."""
    others = len(state.peers.keys() - {peer_id})
    if checks.stage is Stage.ESTIMATING:
        return min(1, others)
    if checks.stage is Stage.CONFIRMING:
        return min(len(state.peers) // 2, others)
    return 0


def advance(checks: Checks, seen: Seen, *, joins: bool) -> Checks:
    """Go as far as what was seen allows. ``joins``: this process was told to join a cluster.

    Answers are used up by the stage that asked for them, so each call passes at most one such stage.
    """
    commits: Sequence[int] = seen.commits
    while True:
        after = _step(checks, seen, commits, joins=joins)
        if after.stage is checks.stage:
            return after
        if checks.stage in (Stage.ESTIMATING, Stage.CONFIRMING):
            commits = ()
        checks = after
        if asks(checks, seen.state, seen.peer_id):
            return checks


def _step(checks: Checks, seen: Seen, commits: Sequence[int], *, joins: bool) -> Checks:
    if checks.stage is Stage.JOINING:
        waits = seen.peer_id not in seen.state.peers or (joins and len(seen.state.peers) == 1)
        return checks if waits else replace(checks, stage=Stage.ESTIMATING)
    if checks.stage is Stage.ESTIMATING:
        return _estimate(checks, seen, commits)
    if checks.stage is Stage.CATCHING_UP:
        reached = seen.applied >= checks.target
        return replace(checks, stage=Stage.CONFIRMING) if reached else checks
    if checks.stage is Stage.CONFIRMING:
        return _confirm(checks, seen, commits, joins=joins)
    if checks.stage is Stage.HEALING:
        left = checks.sick & unhealthy(seen.state, seen.peer_id)
        short = checks.short & short_of_replicas(seen.state)
        ends = not left and not short and not seen.withheld
        return replace(checks, sick=left, short=short, stage=Stage.READY if ends else Stage.HEALING)
    return checks


def _estimate(checks: Checks, seen: Seen, commits: Sequence[int]) -> Checks:
    if not seen.state.peers.keys() - {seen.peer_id}:
        return replace(checks, stage=Stage.HEALING if seen.withheld else Stage.READY)
    since_s = seen.now_s if checks.silent_since_s is None else checks.silent_since_s
    if not commits and seen.now_s - since_s < SILENCE_S:
        return replace(checks, silent_since_s=since_s)
    return replace(checks, stage=Stage.CATCHING_UP, target=max(commits, default=0))


def _confirm(checks: Checks, seen: Seen, commits: Sequence[int], *, joins: bool) -> Checks:
    target = max(commits, default=checks.target)
    if seen.applied < target:
        return replace(checks, stage=Stage.CATCHING_UP, target=target)
    short = short_of_replicas(seen.state) if joins else frozenset()
    return replace(checks, stage=Stage.HEALING, sick=unhealthy(seen.state, seen.peer_id), short=short)


def unhealthy(state: ClusterState, peer_id: int) -> frozenset[Replica]:
    """The replicas of a peer that cannot do all that is asked of them yet."""
    return frozenset(
        (collection.uuid, shard.id)
        for collection, shard in every_shard(state)
        if shard.replicas.get(peer_id, ReplicaState.ACTIVE) not in HEALTHY
    )


def short_of_replicas(state: ClusterState) -> frozenset[Replica]:
    """The shards that have fewer replicas in sync than are wanted, and could be had; listeners count."""
    peers = len(eligible_peers(state))
    return frozenset(
        (collection.uuid, shard.id)
        for collection, shard in every_shard(state)
        if len(in_sync(shard)) + sum(found is ReplicaState.LISTENER for found in shard.replicas.values())
        < min(wanted_replicas(collection, shard), peers)
    )
