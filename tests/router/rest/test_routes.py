"""The route table."""

from __future__ import annotations

import pytest
from aiohttp import web

from router.auth.needs import Need
from router.rest.errors import BadPath
from router.rest.routes import Match, Route, RouteTable


async def _handler(_request: web.Request) -> web.StreamResponse:
    raise AssertionError


def _table(*routes: tuple[str, str]) -> RouteTable:
    return RouteTable(Route(method, path, _handler, Need.KNOWN) for method, path in routes)


def _path_of(found: Match | set[str] | None) -> str:
    assert isinstance(found, Match)
    return found.route.path


def test_a_literal_segment_wins_over_a_parameter() -> None:
    table = _table(("POST", "/c/{name}"), ("POST", "/c/aliases"))
    assert _path_of(table.find("POST", "/c/aliases")) == "/c/aliases"
    assert _path_of(table.find("POST", "/c/other")) == "/c/{name}"


def test_a_parameter_serves_the_methods_its_literal_sibling_lacks() -> None:
    table = _table(("GET", "/c/{name}"), ("POST", "/c/aliases"))
    found = table.find("GET", "/c/aliases")
    assert isinstance(found, Match)
    assert found.params == {"name": "aliases"}


def test_parameters_are_decoded_and_keep_encoded_slashes_in_one_segment() -> None:
    table = _table(("DELETE", "/c/{name}/index/{field}"))
    found = table.find("DELETE", "/c/a%20b/index/a.b%5B%5D%2Fc")
    assert isinstance(found, Match)
    assert found.params == {"name": "a b", "field": "a.b[]/c"}


def test_what_does_not_match_is_told_apart() -> None:
    table = _table(("GET", "/c/{name}"), ("PUT", "/c/{name}"))
    assert table.find("POST", "/c/x") == {"GET", "PUT"}
    assert table.find("GET", "/c/x/y") is None
    assert table.find("GET", "/c") is None
    assert table.find("GET", "/c//") is None


def test_the_root_is_a_path() -> None:
    assert _path_of(_table(("GET", "/")).find("GET", "/")) == "/"


def test_invalid_utf8_is_a_bad_path() -> None:
    with pytest.raises(BadPath):
        _table(("GET", "/c/{name}")).find("GET", "/c/%ff")


def test_a_route_cannot_be_taken_twice() -> None:
    with pytest.raises(ValueError, match="already routed"):
        _table(("GET", "/a"), ("GET", "/a"))


def test_a_parameter_has_one_name() -> None:
    with pytest.raises(ValueError, match="called both"):
        _table(("GET", "/c/{a}"), ("GET", "/c/{b}/x"))


def test_paths_that_were_found_before_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there were, and also when a route is added."""
    monkeypatch.setattr("router.rest.routes._FOUND_MAX", 3)
    table = _table(("GET", "/c/{name}"), ("PUT", "/c/{name}"))
    for _ in range(2):
        for name in "abcde":
            for method in ("GET", "PUT"):
                found = table.find(method, f"/c/{name}")
                assert isinstance(found, Match)
                assert (found.route.method, found.params) == (method, {"name": name})
    table.add(Route("GET", "/c/e", _handler, Need.KNOWN))
    assert _path_of(table.find("GET", "/c/e")) == "/c/e"


def test_what_is_needed_of_a_collection_asks_for_a_path_that_names_one() -> None:
    route = Route("GET", "/c/{name}", _handler, Need.READ_COLLECTION)
    with pytest.raises(ValueError, match="names none"):
        RouteTable([route])


def test_a_route_cannot_be_made_without_saying_what_it_needs() -> None:
    with pytest.raises(TypeError, match="needs"):
        Route("GET", "/c", _handler)  # type: ignore[call-arg]


def test_the_rest_of_a_path_is_one_parameter_and_gives_way_to_all_others() -> None:
    table = _table(("GET", "/d"), ("GET", "/d/{path*}"), ("GET", "/d/{name}/x"))
    found = table.find("GET", "/d/css/..%2Fa/b.css")
    assert isinstance(found, Match)
    assert found.params == {"path": "css/../a/b.css"}
    assert _path_of(table.find("GET", "/d/a/x")) == "/d/{name}/x"
    assert _path_of(table.find("GET", "/d/")) == "/d"
    assert table.find("POST", "/d/a/b") == {"GET"}
