"""Searching beside writes: what is charged to whom, and what misses the bar."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecraft.bench import mixed
from vecraft.bench.mixed import MixedPlan
from vecraft.bench.sets import SetPlan


class Stalling:
    """A server that stalls once."""

    def __init__(self, at: int, seconds: float) -> None:
        self._at, self._seconds, self.asked = at, seconds, 0

    def send(self, method: str, path: str, data: bytes) -> Any:
        self.asked += 1
        if self.asked == self._at:
            time.sleep(self._seconds)


def test_a_stall_is_charged_to_every_search_it_delays() -> None:
    server: Any = Stalling(at=3, seconds=0.2)
    found = mixed._search(server, [b"{}"], rate=100, seconds=0.3)
    assert len(found) == server.asked == 30
    assert found[:2].max() < 0.1
    assert (found[2:12] > 0.05).all()
    assert found[5] > found[10]


def test_the_bars_are_on_the_ratio_and_on_there_being_load(tmp_path: Path) -> None:
    plan = MixedPlan(SetPlan(), tmp_path, seconds=10)
    idle, loaded = np.full(100, 0.002), np.full(100, 0.008)
    by_name = {each.name: each for each in mixed._verdicts(plan, idle, loaded, 5000, 0)}
    assert by_name["p99 under load / idle"].value == pytest.approx(4)
    assert not by_name["p99 under load / idle"].met
    assert by_name["written meanwhile"].met
    assert not by_name["put into graphs meanwhile"].met


def test_a_set_too_small_for_the_load_is_refused(tmp_path: Path) -> None:
    plan = MixedPlan(SetPlan("lowrank8", rows=100, queries=5, cache=tmp_path), tmp_path / "server")
    with pytest.raises(ValueError, match="need more than"):
        mixed.measure(plan)
