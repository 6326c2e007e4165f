"""Who may call a route, before anything else is looked at (``router.auth``)."""

from __future__ import annotations

from aiohttp import web

from router.auth.access import Access
from router.auth.gate import Asked, Gate
from router.auth.needs import Need
from router.rest.routes import COLLECTION, Match

ACCESS = web.RequestKey("access", Access)


async def admit(gate: Gate, request: web.Request, found: Match | set[str] | None) -> None:
    """What the caller may do becomes the request's. Known ones are told that a path leads nowhere.

    Raises: NotAuthenticated, TokenRefused, Forbidden.
    """
    need = found.route.needs if isinstance(found, Match) else Need.KNOWN
    access = gate.unasked(need)
    request[ACCESS] = await gate.admit(need, _asked(request, found)) if access is None else access


def access_of(request: web.Request) -> Access:
    return request[ACCESS]


def _asked(request: web.Request, found: Match | set[str] | None) -> Asked:
    if not isinstance(found, Match):
        return Asked("unknown", request.path, None, request.headers, lambda: request.remote)
    route, collection = found.route, found.params.get(COLLECTION)
    api = f"{route.method} {route.path}"
    return Asked(route.summary, api, collection, request.headers, lambda: request.remote)
