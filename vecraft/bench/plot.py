"""Curves of recall against throughput as a drawing (SVG), written by hand: a frame, ticks, lines, names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from vecraft.bench.curves import Curve, CurvePoint

_WIDTH, _HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 40, 50
_RECALLS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
_COLOURS = ("#0b7285", "#d9480f", "#5f3dc4", "#2b8a3e", "#a61e4d", "#5c940d", "#1864ab", "#868e96")


def draw(path: Path, title: str, curves: Sequence[Curve], rate: Callable[[CurvePoint], float]) -> None:
    """One line per curve: recall to the right (its missing part on a logarithmic scale), ``rate`` upwards."""
    shown = [(curve.name, [(point.recall, rate(point)) for point in curve.points]) for curve in curves]
    rates = [value for _, points in shown for _, value in points]
    low, high = _round_down(min(rates)), max(rates) * 1.1
    parts = [_frame(title), *_recall_ticks(), *_rate_ticks(low, high)]
    for number, (name, points) in enumerate(shown):
        parts += _line(name, points, _COLOURS[number % len(_COLOURS)], number, low, high)
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "\n".join(parts)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n{body}\n</svg>\n'
    )


def _x(recall: float) -> float:
    ends = [math.log(1 - edge) for edge in (_RECALLS[0], _RECALLS[-1])]
    kept = min(max(recall, _RECALLS[0]), _RECALLS[-1])
    share = (math.log(1 - kept) - ends[0]) / (ends[1] - ends[0])
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(rate: float, low: float, high: float) -> float:
    share = math.log(rate / low) / math.log(high / low)
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _round_down(value: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(value))
    return max(step * power for step in (1, 2, 5) if step * power <= value)


def _frame(title: str) -> str:
    return (
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
        f'<text x="{_LEFT}" y="22" font-size="14">{escape(title)}</text>'
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">recall@10</text>'
        f'<text x="16" y="{_HEIGHT / 2}" text-anchor="middle" '
        f'transform="rotate(-90 16 {_HEIGHT / 2})">queries per second</text>'
    )


def _recall_ticks() -> list[str]:
    return [
        f'<line x1="{_x(recall):.1f}" y1="{_TOP}" x2="{_x(recall):.1f}" y2="{_HEIGHT - _BOTTOM}" '
        f'stroke="#e0e0e0"/><text x="{_x(recall):.1f}" y="{_HEIGHT - _BOTTOM + 16}" '
        f'text-anchor="middle">{recall:g}</text>'
        for recall in _RECALLS
    ]


def _rate_ticks(low: float, high: float) -> list[str]:
    steps = [step * 10.0**power for power in range(9) for step in (1, 2, 5)]
    ticks = []
    for step in (step for step in steps if low <= step <= high):
        y = _y(step, low, high)
        ticks.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#e0e0e0"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{step:,.0f}</text>'
        )
    return ticks


def _line(
    name: str, points: list[tuple[float, float]], colour: str, number: int, low: float, high: float
) -> list[str]:
    places = [(_x(recall), _y(rate, low, high)) for recall, rate in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
    y = _TOP + 12 + 20 * number
    x = _WIDTH - _RIGHT + 12
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}',
        f'<line x1="{x}" y1="{y - 4}" x2="{x + 18}" y2="{y - 4}" stroke="{colour}" stroke-width="3"/>'
        f'<text x="{x + 24}" y="{y}">{escape(name)}</text>',
    ]
