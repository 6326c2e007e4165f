"""What a recall costs between measured efforts."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from vecraft.bench.curves import Curve, CurvePoint, ratio_at, rows_of
from vecraft.bench.plot import draw


def curve(*measured: tuple[float, float], name: str = "one") -> Curve:
    points = [
        CurvePoint(2**i, recall, p50, 2 * p50, {100: 1e6 / p50}) for i, (recall, p50) in enumerate(measured)
    ]
    return Curve(name, points)


def p50(point: CurvePoint) -> float:
    return point.p50_us


def test_a_recall_between_two_efforts_costs_something_between() -> None:
    assert curve((0.9, 100.0), (0.99, 400.0)).cost_at(1 - math.sqrt(0.1 * 0.01), p50) == pytest.approx(200)
    assert curve((0.9, 100.0), (0.99, 400.0)).cost_at(0.99, p50) == pytest.approx(400)


def test_the_least_effort_may_be_more_than_enough_and_the_most_too_little() -> None:
    assert curve((0.97, 100.0), (0.99, 400.0)).cost_at(0.95, p50) == 100
    assert curve((0.9, 100.0), (0.94, 400.0)).cost_at(0.95, p50) is None


def test_recall_that_falls_for_once_is_passed_over() -> None:
    found = curve((0.9, 100.0), (0.89, 150.0), (0.99, 400.0)).cost_at(0.95, p50)
    assert found is not None
    assert 100 < found < 400


def test_perfect_recall_can_be_interpolated_to() -> None:
    found = curve((0.9, 100.0), (1.0, 400.0)).cost_at(0.99, p50)
    assert found is not None
    assert 100 < found < 400


def test_ratios_say_who_does_not_reach_the_recall() -> None:
    good, poor = curve((0.9, 100.0), (0.99, 400.0)), curve((0.8, 50.0), (0.9, 200.0))
    assert ratio_at(good, curve((0.99, 800.0)), 0.99, p50) == pytest.approx(0.5)
    assert ratio_at(good, poor, 0.95, p50) is None
    assert math.isnan(ratio_at(poor, good, 0.95, p50) or 0)
    assert ratio_at(poor, poor, 0.95, p50) is None


def test_rows_for_people_name_effort_and_rates() -> None:
    (row,) = rows_of([curve((0.95, 250.0))])
    assert "ef 1 " in row
    assert "recall 0.9500" in row
    assert "4,000/s by 100" in row


def test_a_drawing_has_a_line_and_a_name_for_each_curve(tmp_path: Path) -> None:
    path = tmp_path / "plots" / "one.svg"
    curves = [curve((0.7, 50.0), (0.99, 400.0), name="a < b"), curve((0.95, 100.0), (1.0, 500.0), name="c")]
    draw(path, "Title", curves, lambda point: 1e6 / point.p50_us)
    root = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}polyline")) == 2
    assert {"Title", "a < b", "c"} <= {text.text for text in root.iter(f"{space}text")}
