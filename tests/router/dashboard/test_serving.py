"""The dashboard as a server sends it: addresses, headers, versions, configured folders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from router.dashboard import StaticFiles, bundled, configured, dashboard_routes
from router.rest.routes import Match, RouteTable

Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def _served(files: StaticFiles) -> AsyncIterator[Client]:
    """The routes alone, without what the application puts around each."""
    table = RouteTable(dashboard_routes(files))

    async def handle(request: web.Request) -> web.StreamResponse:
        found = table.find(request.method, request.rel_url.raw_path)
        assert isinstance(found, Match)
        request.match_info.update(found.params)
        return await found.route.handler(request)

    app = web.Application()
    app.router.add_route("*", "/{_rest:.*}", handle)
    async with TestClient(TestServer(app)) as client:
        yield client


def _ours() -> list[Path]:
    return [path for path in bundled().root.rglob("*") if path.is_file() and path.name != "index.html"]


async def test_the_page_is_at_one_address_and_may_not_be_framed() -> None:
    async with _served(bundled()) as client:
        page = await client.get("/dashboard")
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for other in ("/dashboard/", "/dashboard/index.html"):
            moved = await client.get(other, allow_redirects=False)
            assert (moved.status, moved.headers["Location"]) == (307, "../dashboard")
            assert (await client.get(other)).url.path == "/dashboard"


async def test_everything_the_page_names_is_there_with_its_type() -> None:
    async with _served(bundled()) as client:
        for path in _ours():
            answer = await client.get(f"/dashboard/{path.relative_to(bundled().root).as_posix()}")
            assert answer.status == 200
            assert await answer.read() == path.read_bytes()
            expected = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}[path.suffix]
            assert answer.content_type == expected


async def test_a_known_version_is_not_sent_again() -> None:
    async with _served(bundled()) as client:
        first = await client.get("/dashboard")
        tag = first.headers["ETag"]
        assert first.headers["Cache-Control"] == "no-cache"
        for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
            again = await client.get("/dashboard", headers={"If-None-Match": known})
            assert (again.status, await again.read()) == (304, b"")
            assert again.headers["ETag"] == tag
        assert (await client.get("/dashboard", headers={"If-None-Match": '"other"'})).status == 200


@pytest.mark.parametrize(
    "path",
    ["%2e%2e%2ffiles.py", "..%2ffiles.py", "js/..%2f..%2ffiles.py", "%2fetc%2fpasswd", "a%00b", "none.js"],
)
async def test_nothing_outside_its_folder_is_sent(path: str) -> None:
    async with _served(bundled()) as client:
        answer = await client.get(URL(f"/dashboard/{path}", encoded=True))
        assert answer.status == 404
        assert answer.headers["X-Frame-Options"] == "DENY"


async def test_links_do_not_lead_out_of_a_configured_folder(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "index.html").write_text("theirs")
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    files = configured(enabled=True, directory=str(folder))
    assert files is not None
    async with _served(files) as client:
        assert (await client.get("/dashboard/link")).status == 404


async def test_a_configured_folder_with_a_page_replaces_ours(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("theirs")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/app.js").write_text("1")
    files = configured(enabled=True, directory=str(tmp_path))
    assert files is not None
    async with _served(files) as client:
        for path in ("/dashboard", "/dashboard/", "/dashboard/index.html"):
            page = await client.get(path, allow_redirects=False)
            assert (page.status, await page.text()) == (200, "theirs")
            assert page.headers["X-Frame-Options"] == "DENY"
            assert "Content-Security-Policy" not in page.headers
        assert await (await client.get("/dashboard/assets/app.js")).text() == "1"


@pytest.mark.parametrize("make", [lambda path: path / "absent", lambda path: path])
def test_without_a_page_of_their_own_ours_is_served(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    assert configured(enabled=True, directory=str(make(tmp_path))) == bundled()
    assert configured(enabled=True, directory=None) == bundled()
    assert configured(enabled=False, directory=str(tmp_path)) is None
