"""What import and export share: their options, a bar with the rate on a terminal, one line at the end."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from vecraft.commands.options import positive_number
from vecraft.commands.output import console, note, print_json
from vecraft.exchange.formats import FORMATS

TRIES = 10  # of a request, over about a minute
DEFAULT_BATCH = 500


def add_job_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=FORMATS, help="if the name does not tell")
    parser.add_argument(
        "--batch-size",
        type=positive_number,
        default=DEFAULT_BATCH,
        metavar="N",
        help=f"points per request ({DEFAULT_BATCH})",
    )
    parser.add_argument("--resume", type=Path, metavar="FILE", help="the journal (beside the file)")
    parser.add_argument(
        "--restart", action="store_true", help="from the beginning, whatever the journal says"
    )


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        points, rate = task.fields["points"], task.fields["rate"]
        return Text(f"{points:,} points, {rate:,.0f}/s")


class PointsBar:
    """As a context manager. ``end``: the position behind the last point; None: not known."""

    def __init__(self, what: str, end: int | None, *, begun_at: int = 0) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), _Rate(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console(sys.stderr), disable=not sys.stderr.isatty())
        self._task: TaskID = self._bar.add_task(what, total=end, points=begun_at, rate=0.0)
        self._begun_at = begun_at
        self._begun_s = time.monotonic()

    def __enter__(self) -> PointsBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, position: int, points: int) -> None:
        rate = self._rate(points)
        self._bar.update(self._task, completed=position, points=points, rate=rate)

    def conclude(self, options: argparse.Namespace, verb: str, points: int) -> None:
        """Say what was done, in points of this run per second."""
        seconds = time.monotonic() - self._begun_s
        if options.json:
            run = {"points": points, "points_this_run": points - self._begun_at, "seconds": round(seconds, 3)}
            print_json({**run, "points_per_second": round(self._rate(points), 1)})
        else:
            note(f"{verb} {points:,} points in {seconds:,.1f} s ({self._rate(points):,.0f}/s)")

    def _rate(self, points: int) -> float:
        return (points - self._begun_at) / max(time.monotonic() - self._begun_s, 1e-9)
