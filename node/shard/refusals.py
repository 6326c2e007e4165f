"""What clients hear when a replica does not take their write."""

from __future__ import annotations

from node.replication.effects import Refusal
from protos.errors import InsufficientStorage, NotPrimary, ShardUnavailable, TooFewReplicas, VecraftError

LOST = "the shard lost its primary while it wrote; the write may or may not have been applied"


def refused(refusal: Refusal, primary: int | None, failure: VecraftError | None) -> VecraftError:
    """Nothing was applied. ``primary``: who to ask instead; ``failure``: that of the replica's disk."""
    match refusal:
        case Refusal.NOT_PRIMARY:
            return NotPrimary(refusal.value, primary=primary)
        case Refusal.TOO_FEW_IN_SYNC:
            return TooFewReplicas(refusal.value)
        case Refusal.FAILED:
            if isinstance(failure, InsufficientStorage):
                return failure
            return ShardUnavailable(f"{refusal.value}: {failure}" if failure else refusal.value)
    return ShardUnavailable(refusal.value)
