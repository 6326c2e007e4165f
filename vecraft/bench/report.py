"""Results: a table for people, a JSON file for machines, and whether the bars were met."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TextIO

import orjson
from msgspec import Struct, to_builtins

from vecraft.bench.curves import Curve, rows_of


class Bar(Struct, frozen=True):
    """The value a measurement must reach (``least``) or stay within (``most``)."""

    kind: Literal["least", "most"]
    value: float

    def met(self, measured: float) -> bool:
        return measured >= self.value if self.kind == "least" else measured <= self.value


class Measurement(Struct, frozen=True):
    name: str
    value: float
    unit: str = ""
    bar: Bar | None = None

    @property
    def met(self) -> bool:
        return self.bar is None or self.bar.met(self.value)


class Report(Struct, frozen=True):
    """One benchmark's outcome; ``facts`` say on what it was measured."""

    title: str
    facts: Mapping[str, str | int | float]
    measurements: list[Measurement]
    curves: list[Curve] = []

    @property
    def met(self) -> bool:
        return all(measurement.met for measurement in self.measurements)


def show(report: Report, out: TextIO = sys.stdout) -> None:
    print(report.title, file=out)
    for name, fact in report.facts.items():
        print(f"  {name}: {fact}", file=out)
    for row in rows_of(report.curves):
        print(f"  {row}", file=out)
    width = max((len(measurement.name) for measurement in report.measurements), default=0)
    for measurement in report.measurements:
        value = f"{measurement.value:,.4g}" if abs(measurement.value) < 1000 else f"{measurement.value:,.0f}"
        line = f"  {measurement.name:<{width}}  {value:>10} {measurement.unit:<9}{_verdict(measurement)}"
        print(line.rstrip(), file=out)


def _verdict(measurement: Measurement) -> str:
    if measurement.bar is None:
        return ""
    word = "at least" if measurement.bar.kind == "least" else "at most"
    return f"{'ok' if measurement.met else 'MISSED'}, {word} {measurement.bar.value:g}"


def save(reports: Sequence[Report], path: Path) -> None:
    content = [to_builtins(report, str_keys=True) | {"met": report.met} for report in reports]
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
