"""The engines that are compared answer the same questions alike, in their process too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vecraft.bench.comparison import Built, Contender, Figures, verdicts
from vecraft.bench.curves import Curve, CurvePoint
from vecraft.bench.engines.port import Effort, Settings, Spent, disk_bytes, padded
from vecraft.bench.engines.process import ENGINES, EngineFailed, EngineProcess
from vecraft.bench.sets import SetPlan, VectorSet, make, recall


@pytest.fixture
def vectors(tmp_path: Path) -> VectorSet:
    return make(SetPlan("lowrank16", rows=1500, queries=30, cache=tmp_path / "cache"))


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_finds_the_neighbours_one_by_one_and_in_batches(
    name: str, vectors: VectorSet, tmp_path: Path
) -> None:
    with EngineProcess(name, tmp_path / name, Settings(), vectors) as engine:
        engine.ingest()
        spent = engine.index()
        engine.serve(1)
        singles, batches = engine.singles(Effort(64)), engine.batches(Effort(64), 20)
        assert recall(singles.ids, vectors.truth()) > 0.95
        assert recall(batches.ids, vectors.truth()) > 0.95
        assert (len(singles.seconds), len(batches.seconds)) == (30, 2)
        assert engine.facts()["segments"] >= 1
        assert engine.private_bytes() > 1e6
        assert engine.disk_bytes() > vectors.base().nbytes
        assert spent.seconds >= 0


def test_what_fails_in_the_process_is_told(vectors: VectorSet, tmp_path: Path) -> None:
    with (
        EngineProcess("faiss", tmp_path / "none", Settings(), vectors) as engine,
        pytest.raises(EngineFailed, match=r"index\.faiss"),
    ):
        engine.serve(1)


def test_linked_files_are_counted_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(8192))
    before = disk_bytes(tmp_path)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert disk_bytes(tmp_path) == before >= 8192


def test_short_answers_are_padded() -> None:
    np.testing.assert_array_equal(padded([[1, 2], [], [3]], 2), [[1, 2], [-1, -1], [3, -1]])


def figures(name: str, p50_us: float, seconds: float = 10.0, mib: int = 100) -> Figures:
    built = Built(Spent(seconds, seconds), Spent(0, 0), {}, mib << 20, mib << 20, mib << 20)
    rates = {100: 1e6 / p50_us, 1000: 1e6 / p50_us}
    points = [CurvePoint(16, 0.9, p50_us, p50_us, rates), CurvePoint(64, 0.995, p50_us, p50_us, rates)]
    return Figures(built, Curve(name, points))


def test_bars_are_laid_on_ratios_at_equal_recall() -> None:
    found = verdicts(
        {
            Contender("vecraft", "none"): figures("vecraft", 100.0, seconds=5.0),
            Contender("edge", "none"): figures("edge", 200.0),
            Contender("faiss", "none"): figures("faiss", 80.0),
            Contender("vecraft", "scalar"): figures("vecraft scalar", 50.0, mib=120),
            Contender("edge", "scalar"): figures("edge scalar", 200.0),
        }
    )
    by_name = {each.name: each for each in found}
    assert by_name["p50 / edge at 0.98"].value == pytest.approx(0.5)
    assert by_name["p50 / edge at 0.98"].met
    assert by_name["build / edge"].value == pytest.approx(0.5)
    assert by_name["batches of 100 / edge at 0.95"].value == pytest.approx(2)
    assert not by_name["batches of 100 / edge at 0.95"].met
    assert not by_name["p50 / faiss at 0.99"].met
    assert by_name["scalar: throughput / faiss float32 graph at 0.99"].value == pytest.approx(1.6)
    assert not by_name["scalar: disk / edge"].met
