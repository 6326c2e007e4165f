"""Spans: what tracing is told of requests, if the process traces them (``vecraft.otel``).

Lives here: the port, and the one place where a tracer stands. Without one a request pays a look at it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

Header = Callable[[str], object]


class Span(Protocol):
    """One request on one node."""

    def answered(self, name: str, *, status: int, failed: bool, collection: str | None = None) -> None:
        """``name``: the route or method; ``failed``: by this node's fault."""
        ...


class Tracer(Protocol):
    def serving(self, name: str, header: Header) -> AbstractContextManager[Span]:
        """A request begins; ``header`` tells whose part it is. Ends with the block."""
        ...

    def outgoing(self) -> tuple[tuple[str, str], ...]:
        """What a call to another node carries along, so that its spans belong to this request."""
        ...


class _Installed:
    tracer: Tracer | None = None


def tracer() -> Tracer | None:
    return _Installed.tracer


def install(tracer: Tracer | None) -> None:
    _Installed.tracer = tracer
