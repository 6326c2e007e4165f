"""The controller's simulation with a rule left out: a control that it must catch."""

from __future__ import annotations

from unittest.mock import patch

from consensus.state import CollectionState, Transfer
from consensus.transitions import replicas, transfers
from protos.errors import NotFound
from tests.sim.controller.world import World

VARIANTS = ("late reports count",)


def failure(seed: int) -> str | None:
    try:
        World(seed).run()
    except AssertionError as failed:
        return str(failed)
    return None


def caught(name: str, seed: int) -> str | None:
    """What is said of lost writes, if any are: of a simulation that late reports harm."""
    assert name in VARIANTS
    with (
        patch.object(transfers, "stored_transfer", _of_whatever_epoch),
        patch.object(replicas, "check_epoch", lambda *_: None),
    ):
        what = failure(seed)
    return what if what and "lacks writes" in what else None


def _of_whatever_epoch(collection: CollectionState, wanted: Transfer) -> Transfer:
    ends = (wanted.shard_id, wanted.source, wanted.target)
    for transfer in collection.transfers:
        if (transfer.shard_id, transfer.source, transfer.target) == ends:
            return transfer
    raise NotFound("no such transfer")
