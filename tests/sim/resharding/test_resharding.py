"""Reshardings under faults: what was promised holds, and each rule left out is noticed."""

from __future__ import annotations

import pytest

from tests.sim.resharding.broken import caught
from tests.sim.resharding.world import World

# The first seed that notices; ``python -m tests.sim.resharding --controls`` finds them anew. The other
# variants no seed up to 60 has noticed: what they leave out is tested rule by rule, in
# ``tests/consensus/test_resharding.py`` and ``tests/node/replica/test_ownership.py``.
CATCHING = {
    "no fence": 0,
    "takes at once": 23,
    "any session comes in": 30,
    "filters anyhow": 0,
    "reads anyhow": 0,
    "shows strangers": 0,
    "copies once": 0,
    "follows to the end": 8,
    "an attempt has no id": 17,
    "clears nothing": 4,
    "what has moved is tried as new": 19,
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_schedule_no_point_is_lost_doubled_or_old(seed: int) -> None:
    try:
        World(seed).run()
    except AssertionError as failure:
        pytest.fail(f"python -m tests.sim.resharding --first {seed} --seeds 1 --trace: {failure}")


@pytest.mark.slow
@pytest.mark.parametrize("name", CATCHING)
def test_leaving_out_a_rule_is_noticed(name: str) -> None:
    assert caught(name, CATCHING[name]) is not None


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run() -> None:
    first, second = World(3), World(3)
    first.run()
    second.run()
    assert first.counts == second.counts
    assert first.clients.history == second.clients.history
