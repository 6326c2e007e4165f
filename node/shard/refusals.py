"""What clients hear when a replica does not take their write."""

from __future__ import annotations

from node.replication.effects import Refusal
from protos.errors import NotPrimary, ShardUnavailable, TooFewReplicas, VecraftError

LOST = "the shard lost its primary while it wrote; the write may or may not have been applied"


def refused(refusal: Refusal, primary: int | None, detail: str | None) -> VecraftError:
    """Nothing was applied. ``primary``: who to ask instead; ``detail``: of a failed disk."""
    match refusal:
        case Refusal.NOT_PRIMARY:
            return NotPrimary(refusal.value, primary=primary)
        case Refusal.TOO_FEW_IN_SYNC:
            return TooFewReplicas(refusal.value)
        case Refusal.FAILED:
            return ShardUnavailable(f"{refusal.value}: {detail}" if detail else refusal.value)
    return ShardUnavailable(refusal.value)
