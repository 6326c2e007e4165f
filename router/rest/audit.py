"""What is on record of who asked for what (reference 5.4)."""

from __future__ import annotations

import msgspec
from aiohttp import web

from router.audit.entries import Wanted
from router.audit.searching import AuditSearch, Entries
from router.auth.needs import Need
from router.rest.bodies.reading import read_json
from router.rest.envelope import enveloped_route
from router.rest.params import operation_timeout_ms
from router.rest.routes import Route

_body = msgspec.json.Decoder(Wanted)


def audit_route(search: AuditSearch) -> Route:
    async def entries(request: web.Request) -> Entries:
        timeout_ms = operation_timeout_ms(request)
        wanted = await read_json(request, _body)
        return await search.everywhere(wanted, timeout_ms=timeout_ms)

    return enveloped_route(
        "POST",
        "/audit/logs",
        entries,
        Need.GLOBAL_MANAGE,
        "Search the audit log of all peers",
        ("timeout",),
        body=Wanted,
        result=Entries,
    )
