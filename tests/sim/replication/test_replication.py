"""Replicas under faults: every invariant holds after each step, and each rule left out is noticed."""

from __future__ import annotations

import pytest

from tests.sim.replication.broken import VARIANTS, caught
from tests.sim.replication.world import World

# The first seed that notices; ``python -m tests.sim.replication --controls`` finds them anew.
CATCHING = {
    "no lease wait": 0,
    "acknowledges before eviction": 1,
    "forgets leases of the evicted": 5,
    "forgets leases of older terms": 16,
    "releases whatever leases run": 148,
    "takes any release for true": 19,
    "takes leases when leaving": 12,
    "goes on in a spent term": 7,
    "sends before its noop is durable": 53,
    "admits uncounted": 0,
    "grants beyond its own lease": 44,
    "trusts its own lease": 7,
    "counts leases from receipt": 14,
    "replies before durable": 0,
    "reads what is committed only": 31,
    "no rebuilding": 2,
    "checkpoints do not wait": 0,
    "operation ids outlive a cut": 2,
    "files forget the term": 9,
    "files are dropped early": 0,
    "commands name no epoch": 4,
}


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_whatever_the_schedule_nothing_acknowledged_is_lost_and_no_read_is_stale(block: int) -> None:
    for seed in range(block * 8, block * 8 + 8):
        try:
            World(seed).check_all()
        except AssertionError as failure:
            pytest.fail(f"python -m tests.sim.replication --first {seed} --seeds 1 --trace: {failure}")


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_leaving_out_a_rule_is_noticed(name: str) -> None:
    assert caught(name, CATCHING[name]) is not None


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = World(5), World(5)
    first.run(400)
    second.run(400)
    assert first.counts == second.counts
    assert [node.log for node in first.nodes] == [node.log for node in second.nodes]
