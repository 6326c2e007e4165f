"""The controller under faults: it loses nothing, and when they end it brings everything in order."""

from __future__ import annotations

from collections import Counter

import pytest

from consensus.state import CollectionState, Transfer
from consensus.transitions import replicas, transfers
from protos.errors import NotFound
from tests.sim.controller.world import World

BLOCKS, SEEDS_PER_BLOCK = 10, 20
# Commands and refusals that must have had an effect somewhere, or the simulation has lost its teeth.
PROBES = (
    "RegisterPeer", "RemovePeer", "DrainPeer", "EvictReplica", "PromotePrimary", "ListenReplica",
    "DropReplica", "StartTransfer", "FinishTransfer", "AbortTransfer", "RestartTransfer", "CreateShardKey",
    "DropShardKey", "refused: Outdated", "refused: BadRequest", "refused: NotFound", "files lost",
    "data lost",
)  # fmt: skip


def run(seed: int) -> World:
    world = World(seed)
    world.run_faults()
    world.calm_down()
    world.check_moves()
    return world


def failure(seed: int) -> str | None:
    try:
        run(seed)
    except AssertionError as failed:
        return str(failed)
    return None


@pytest.mark.parametrize("block", range(BLOCKS))
def test_faults_break_no_invariant_and_are_mended_when_they_end(block: int) -> None:
    found = {seed: failure(seed) for seed in range(block * SEEDS_PER_BLOCK, (block + 1) * SEEDS_PER_BLOCK)}
    assert not {seed: what for seed, what in found.items() if what}


def test_the_simulation_reaches_every_command() -> None:
    probes: Counter[str] = Counter()
    for seed in range(40):
        probes += run(seed).probes
    assert [probe for probe in PROBES if not probes[probe]] == []


def test_without_epochs_the_same_schedules_lose_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a simulation that late reports could not harm would prove nothing."""

    def whatever_epoch(collection: CollectionState, wanted: Transfer) -> Transfer:
        ends = (wanted.shard_id, wanted.source, wanted.target)
        for transfer in collection.transfers:
            if (transfer.shard_id, transfer.source, transfer.target) == ends:
                return transfer
        raise NotFound("no such transfer")

    monkeypatch.setattr(transfers, "stored_transfer", whatever_epoch)
    monkeypatch.setattr(replicas, "check_epoch", lambda *_: None)
    assert any("lacks writes" in (failure(seed) or "") for seed in range(200))


@pytest.mark.slow
def test_faults_are_mended_under_many_more_schedules() -> None:
    found = {seed: failure(seed) for seed in range(10_000, 11_500)}
    assert not {seed: what for seed, what in found.items() if what}
