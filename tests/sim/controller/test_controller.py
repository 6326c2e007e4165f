"""The controller under faults: it loses nothing, and when they end it brings everything in order."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.sim.controller.broken import VARIANTS, caught, failure
from tests.sim.controller.world import World

BLOCKS, SEEDS_PER_BLOCK = 10, 20
# Commands and refusals that must have had an effect somewhere, or the simulation has lost its teeth.
PROBES = (
    "RegisterPeer", "RemovePeer", "DrainPeer", "EvictReplica", "PromotePrimary", "ListenReplica",
    "DropReplica", "StartTransfer", "FinishTransfer", "AbortTransfer", "RestartTransfer", "CreateShardKey",
    "DropShardKey", "refused: Outdated", "refused: BadRequest", "refused: NotFound", "files lost",
    "data lost",
)  # fmt: skip


@pytest.mark.parametrize("block", range(BLOCKS))
def test_faults_break_no_invariant_and_are_mended_when_they_end(block: int) -> None:
    found = {seed: failure(seed) for seed in range(block * SEEDS_PER_BLOCK, (block + 1) * SEEDS_PER_BLOCK)}
    assert not {seed: what for seed, what in found.items() if what}


def test_the_simulation_reaches_every_command() -> None:
    counts: Counter[str] = Counter()
    for seed in range(40):
        world = World(seed)
        world.run()
        counts += world.counts
    assert [probe for probe in PROBES if not counts[probe]] == []


@pytest.mark.parametrize("name", VARIANTS)
def test_leaving_out_a_rule_is_noticed(name: str) -> None:
    """The control: a simulation that late reports could not harm would prove nothing."""
    assert any(caught(name, seed) for seed in range(200))


@pytest.mark.slow
def test_faults_are_mended_under_more_schedules() -> None:
    """`make sim` has as many as one likes."""
    found = {seed: failure(seed) for seed in range(10_000, 10_400)}
    assert not {seed: what for seed, what in found.items() if what}
