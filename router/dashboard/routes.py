"""``GET /dashboard`` and what its page asks for (reference 3). Public: keys are for the API behind it."""

from __future__ import annotations

import asyncio
import time

from aiohttp import hdrs, web

from protos.errors import NotFound
from router.auth.needs import Need
from router.dashboard.files import INDEX, StaticFile, StaticFiles
from router.rest.envelope import failure
from router.rest.routes import Route

BASE = "/dashboard"
# Asked for anew each time, answered with 304 unless a new version is installed.
_CACHING = "no-cache"


def dashboard_routes(files: StaticFiles) -> list[Route]:
    pages = _Pages(files)
    return [
        Route("GET", BASE, pages.index, Need.PUBLIC, "The dashboard", media_type="text/html"),
        Route(
            "GET", f"{BASE}/{{path*}}", pages.file, Need.PUBLIC, "A file of the dashboard", media_type="*/*"
        ),
    ]


class _Pages:
    def __init__(self, files: StaticFiles) -> None:
        self._files = files

    async def index(self, request: web.Request) -> web.Response:
        """Our page stands at ``/dashboard`` and nowhere else: its addresses are relative, so that it works
        behind a proxy that puts a prefix before them."""
        if self._files.ours and request.rel_url.raw_path.endswith("/"):
            return web.Response(status=307, headers={hdrs.LOCATION: "../dashboard"})
        return await self._answer(request, "")

    async def file(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if self._files.ours and path == INDEX:
            return web.Response(status=307, headers={hdrs.LOCATION: "../dashboard"})
        return await self._answer(request, path)

    async def _answer(self, request: web.Request, path: str) -> web.Response:
        started_s = time.perf_counter()
        found = await asyncio.to_thread(self._files.read, path)
        if found is None:
            refusal = failure(NotFound("the dashboard has no such file"), started_s)
            refusal.headers.update(self._files.headers)
            return refusal
        headers = {**self._files.headers, hdrs.ETAG: found.etag, hdrs.CACHE_CONTROL: _CACHING}
        if _is_known(request, found):
            return web.Response(status=304, headers=headers)
        headers[hdrs.CONTENT_TYPE] = found.media_type
        return web.Response(body=found.body, headers=headers)


def _is_known(request: web.Request, file: StaticFile) -> bool:
    """Does the client hold this version? Weak comparison (RFC 9110, 13.1.2)."""
    tags = {tag.strip() for tag in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")}
    return "*" in tags or file.etag in tags or file.etag.removeprefix("W/") in tags
