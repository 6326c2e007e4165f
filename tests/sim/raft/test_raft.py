"""The metadata log under faults: nothing acknowledged is lost, and the stock library is seen to lose."""

from __future__ import annotations

from collections import Counter

import pytest

from consensus.raft.hardened import HardenedSyncObj
from tests.sim.raft.churn import ChurnWorld
from tests.sim.raft.world import StockSyncObj, World, run_chaos

STEPS = 1500


def loses(seed: int, member_class: type) -> str | None:
    try:
        run_chaos(World(seed, member_class=member_class), steps=STEPS)
    except AssertionError as lost:
        return str(lost)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_nothing_acknowledged_is_lost_whatever_the_schedule(block: int) -> None:
    found = {seed: loses(seed, HardenedSyncObj) for seed in range(block * 10, block * 10 + 10)}
    assert not {seed: what for seed, what in found.items() if what}


@pytest.mark.slow
@pytest.mark.parametrize("block", range(2))
def test_nothing_is_lost_while_members_change_and_disks_are_lost(block: int) -> None:
    happened: Counter[str] = Counter()
    for seed in range(block * 10, block * 10 + 10):
        world = ChurnWorld(seed)
        run_chaos(world, steps=STEPS)
        happened.update(world.reports)
    assert {"disk lost", "joined", "voter add", "voter rem"} <= happened.keys()


@pytest.mark.slow
def test_the_stock_library_loses_in_one_of_ten_of_the_same_seeds() -> None:
    """The control: a simulation that the unmended library survived would prove nothing."""
    found = [loses(seed, StockSyncObj) for seed in range(40)]
    assert sum(what is not None for what in found) >= 4
