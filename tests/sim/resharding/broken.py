"""Deliberately broken rules: controls that the simulation must catch.

Each leaves out one rule. A rule whose absence no seed notices would be a rule without a test.
"""

from __future__ import annotations

from typing import Any

import msgspec

from consensus.commands import Command, MoveWhole, ShardCleaned
from consensus.ownership import Ownership, ownership_of
from consensus.state import ClusterState, CollectionState, ReshardingStage
from consensus.transitions import apply
from node.moving.move import BucketMove
from node.replica import ownership
from node.replica.ownership import ShardBuckets
from protos.operations import PointChange
from protos.shard import Intake
from tests.sim.resharding.shard import Rules
from tests.sim.resharding.world import Variant, World


def _no_fence(collection: CollectionState, shard_id: int) -> Ownership | None:
    found = ownership_of(collection, shard_id)
    fenced = collection.resharding is not None and collection.resharding.stage is ReshardingStage.FENCED
    return msgspec.structs.replace(found, takes=found.answers) if found is not None and fenced else found


def _takes_at_once(collection: CollectionState, shard_id: int) -> Ownership | None:
    """Takes writes from when it answers on, though the former owner may answer, too."""
    found = ownership_of(collection, shard_id)
    switched = collection.resharding is not None and collection.resharding.stage is ReshardingStage.SWITCHED
    return msgspec.structs.replace(found, takes=found.answers) if found is not None and switched else found


def _any_session(buckets: ShardBuckets, intake: Intake) -> None:
    current = buckets.intakes.get(intake.source, (0, 0))
    begins = intake.change is None and not intake.known
    if not begins:
        ownership.check_intake(buckets, msgspec.structs.replace(intake, session=current))


def _filters_anyhow(buckets: ShardBuckets, change: PointChange, answers_since: int) -> PointChange:
    """By filter, whatever the router believes and the stage is."""
    del answers_since
    if buckets.owned is not None:
        settled = msgspec.structs.replace(buckets.owned, takes=buckets.owned.answers)
        buckets = ShardBuckets(settled, buckets.intakes)
        return ownership.admitted(buckets, change, buckets.answers_since)
    return change


def _claims_of_any_session(state: ClusterState, command: Command) -> tuple[ClusterState, Any]:
    if isinstance(command, MoveWhole):
        resharding = state.collections["c"].resharding
        for move in resharding.moves if resharding is not None else ():
            if (move.source, move.target) == (command.source, command.target):
                command = msgspec.structs.replace(command, session=move.session)
    return apply(state, command)


def _cleaned_at_any_step(state: ClusterState, command: Command) -> tuple[ClusterState, Any]:
    if isinstance(command, ShardCleaned):
        command = msgspec.structs.replace(command, step=1 << 60)
    return apply(state, command)


class _NewIdForEachAttempt(BucketMove):
    def _next_id(self) -> bytes:
        return b""


class _ClearsNothing(BucketMove):
    async def _clear(self) -> None:
        pass


class _CopiesOnce(BucketMove):
    """What changes while points are copied is not looked at again."""

    async def _follow(self, changes: Any) -> None:
        await self._tell_known(changes.operations)


class _FollowsToTheEnd(BucketMove):
    """Also when the source's points are only being cleaned up."""

    async def run(self) -> None:
        source = self._source
        inner = source.changes

        async def changes(after: int) -> Any:
            return msgspec.structs.replace(await inner(after), answers=True)

        source.changes = changes  # type: ignore[method-assign]
        await super().run()


VARIANTS: dict[str, Variant] = {
    "no fence": Variant(owned=_no_fence),
    "takes at once": Variant(owned=_takes_at_once),
    "any session comes in": Variant(rules=Rules(check_intake=_any_session)),
    "filters anyhow": Variant(rules=Rules(admitted=_filters_anyhow)),
    "reads anyhow": Variant(rules=Rules(check_read=lambda buckets, since: None)),
    "shows strangers": Variant(rules=Rules(own=lambda buckets: None)),
    "forgets operations": Variant(rules=Rules(remember=False)),
    "copies what is not committed": Variant(rules=Rules(copies_uncommitted=True)),
    "claims of any session": Variant(next_state=_claims_of_any_session),
    "cleaned at any step": Variant(next_state=_cleaned_at_any_step),
    "an attempt has no id": Variant(move=_NewIdForEachAttempt),
    "clears nothing": Variant(move=_ClearsNothing),
    "copies once": Variant(move=_CopiesOnce),
    "follows to the end": Variant(move=_FollowsToTheEnd),
    "what has moved is tried as new": Variant(retried_as_new=True),
}


def caught(name: str, seed: int) -> str | None:
    """How a broken variant was caught; None: it was not."""
    try:
        World(seed, VARIANTS[name]).run()
    except AssertionError as failure:
        return str(failure).splitlines()[0]
    return None
