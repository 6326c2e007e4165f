"""What commands print: JSON for scripts, tables for people. Colours on a terminal only, not with NO_COLOR."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

_PIPE_COLUMNS = 10_000  # nothing is cut where no terminal sets a width

Cell = str | int | float | Text | None


def console(file: IO[str] | None = None) -> Console:
    """On standard output, or ``file``."""
    stream = file or sys.stdout
    width = None if stream.isatty() else _PIPE_COLUMNS
    return Console(file=stream, width=width, highlight=False, markup=False, soft_wrap=False)


def print_json(value: Any) -> None:
    """One line; a struct as an object."""
    print(msgspec.json.encode(value).decode())


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str | None = None) -> Group:
    """Columns of numbers stand to the right; the title is not wrapped to the width of the columns."""
    cells = [list(row) for row in rows]
    made = Table(box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        values = [row[index] for row in cells if row[index] is not None]
        numbers = bool(values) and all(isinstance(value, int | float) for value in values)
        made.add_column(column, justify="right" if numbers else "left", no_wrap=True)
    for row in cells:
        made.add_row(*map(_cell, row))
    return Group(made) if title is None else Group(Text(title, style="bold"), made)


def show(*parts: RenderableType) -> None:
    out = console()
    for part in parts:
        out.print(part)


def note(text: str) -> None:
    """For people, on standard error, so that output stays what was asked for."""
    print(text, file=sys.stderr)


def bytes_text(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _cell(value: Cell) -> str | Text:
    if isinstance(value, str | Text):
        return value
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
