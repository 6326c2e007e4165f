"""The route table: which handler answers a method and a path.

A table of our own because Qdrant's paths need three things at once: any number of trailing slashes,
segments that hold an encoded slash, and a cost that does not grow with the number of routes.
The same table is the source of ``/openapi.json``.

Invariant: literal segments win over parameters at the same position, and those over the rest of a path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from msgspec import Struct

from router.auth.needs import Need
from router.rest.errors import BadPath

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


COLLECTION = "collection_name"  # the parameter that names the collection an operation is on
_FOUND_MAX = 1024  # paths remembered: the same few are asked again and again


class Route(Struct, frozen=True):
    """One operation. ``path`` holds parameters as ``{name}``; ``{name*}`` at its end is the rest of the path.
    ``needs``: what a caller must be allowed to.

    ``query``, ``body`` and ``result`` describe the operation in ``/openapi.json``: names of query
    parameters (see ``router.rest.openapi``), and the types a body and a result are decoded from and
    encoded to. ``enveloped`` is False for answers that are not wrapped in ``result``. ``media_type`` is
    that of an answer. ``accepts``: it may answer 202 before it is done.
    """

    method: str
    path: str
    handler: Handler
    needs: Need
    summary: str = ""
    tag: str = "Service"
    query: tuple[str, ...] = ()
    body: Any = None
    result: Any = None
    enveloped: bool = False
    media_type: str = "application/json"
    accepts: bool = False


class Match(Struct, frozen=True):
    route: Route
    params: dict[str, str]


class _Node:
    __slots__ = ("literals", "parameter", "rest", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: tuple[str, _Node] | None = None
        self.rest: tuple[str, _Node] | None = None
        self.routes: dict[str, Route] = {}


class RouteTable:
    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self.routes: list[Route] = []
        self._root = _Node()
        self._found: dict[tuple[str, str], Match] = {}
        for route in routes:
            self.add(route)

    def add(self, route: Route) -> None:
        """Raises: ValueError if the method and path are taken, a parameter has two names, or access to a
        collection is needed that the path does not name."""
        if route.needs.of_collection and f"{{{COLLECTION}}}" not in route.path:
            raise ValueError(f"{route.method} {route.path} needs access to a collection, but names none")
        node = self._root
        for segment in _segments(route.path):
            node = _child(node, segment)
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.path} is already routed")
        node.routes[route.method] = route
        self.routes.append(route)
        self._found.clear()

    def find(self, method: str, raw_path: str) -> Match | set[str] | None:
        """The match for a still percent-encoded path; else its allowed methods; else None.

        Raises: BadPath if a path parameter is not UTF-8.
        """
        asked = (method, raw_path)
        known = self._found.get(asked)
        if known is not None:
            return known
        found = self._walk(method, raw_path)
        if isinstance(found, Match):
            if len(self._found) >= _FOUND_MAX:
                self._found.clear()
            self._found[asked] = found
        return found

    def _walk(self, method: str, raw_path: str) -> Match | set[str] | None:
        allowed: set[str] = set()
        for node, values in _candidates(self._root, _segments(raw_path), 0):
            route = node.routes.get("GET" if method == "HEAD" else method)
            if route is not None:
                return Match(route, {name: _decoded(value) for name, value in values})
            allowed.update(node.routes)
        return allowed or None


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")


def _child(node: _Node, segment: str) -> _Node:
    if not segment.startswith("{"):
        return node.literals.setdefault(segment, _Node())
    name = segment[1:-1]
    if name.endswith("*"):
        if node.rest is None:
            node.rest = (name[:-1], _Node())
        return node.rest[1]
    if node.parameter is None:
        node.parameter = (name, _Node())
    if node.parameter[0] != name:
        raise ValueError(f"a path parameter is called both {node.parameter[0]} and {name}")
    return node.parameter[1]


def _candidates(node: _Node, segments: list[str], at: int) -> Iterator[tuple[_Node, list[tuple[str, str]]]]:
    """Nodes whose paths fit, literal ones first, with the values of their parameters."""
    if at == len(segments):
        yield node, []
        return
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _candidates(literal, segments, at + 1)
    if node.parameter is not None and segment:
        name, child = node.parameter
        for found, values in _candidates(child, segments, at + 1):
            values.append((name, segment))
            yield found, values
    if node.rest is not None:
        name, child = node.rest
        yield child, [(name, "/".join(segments[at:]))]


def _decoded(segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError as error:
        raise BadPath(f"invalid UTF-8 in path segment {segment!r}") from error
