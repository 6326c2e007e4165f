"""Keys that are no longer good: an extension of Qdrant's API (docs/SECURITY.md)."""

from __future__ import annotations

import msgspec
from aiohttp import web
from msgspec import Struct

from router.auth.needs import Need
from router.auth.revocation import Revocation
from router.rest.bodies.reading import read_json
from router.rest.envelope import enveloped
from router.rest.routes import Route

_PATH = "/keys/revoked"


class RevokedKeyBody(Struct, frozen=True):
    """``revoked_at``: in unix milliseconds."""

    id: str
    revoked_at: int
    note: str


class RevokedKeys(Struct, frozen=True):
    keys: list[RevokedKeyBody]


class RevokeBody(Struct, frozen=True):
    note: str = ""


_body = msgspec.json.Decoder(RevokeBody)


def key_routes(revocation: Revocation) -> list[Route]:
    async def listed(_request: web.Request) -> RevokedKeys:
        keys = revocation.revoked()
        return RevokedKeys([RevokedKeyBody(name, key.revoked_ms, key.note) for name, key in keys.items()])

    async def revoke(request: web.Request) -> bool:
        body = await read_json(request, _body) if request.can_read_body else RevokeBody()
        return await revocation.revoke(request.match_info["key_id"], body.note)

    async def restore(request: web.Request) -> bool:
        return await revocation.restore(request.match_info["key_id"])

    one, need, tag = f"{_PATH}/{{key_id}}", Need.GLOBAL_MANAGE, "Security"
    return [
        Route("GET", _PATH, enveloped(listed), need, "List revoked keys", tag, (), None, RevokedKeys, True),
        Route("PUT", one, enveloped(revoke), need, "Revoke a key", tag, (), RevokeBody, bool, True),
        Route("DELETE", one, enveloped(restore), need, "Restore a key", tag, (), None, bool, True),
    ]
