"""``/quotas`` (reference 15.3)."""

from __future__ import annotations

import msgspec
from aiohttp import web
from msgspec import Struct

from protos.errors import InvalidField
from protos.quotas import RELEASE_MARGIN_PERCENT, QuotaConfig
from router.auth.needs import Need
from router.quotas import QuotaOperations, QuotaStatus
from router.rest.bodies.reading import read_json
from router.rest.envelope import enveloped_route
from router.rest.params import flag
from router.rest.routes import Route


class QuotaBody(Struct):
    enabled: bool = False
    max_resident_memory_percent: int | None = None
    max_disk_usage_percent: int | None = None
    release_margin_percent: int | None = None


_decoder = msgspec.json.Decoder(QuotaBody)


def quota_routes(quotas: QuotaOperations) -> list[Route]:
    async def show(_request: web.Request) -> QuotaStatus:
        return await quotas.status()

    async def replace(request: web.Request) -> bool:
        config = _config_of(await read_json(request, _decoder))
        return await quotas.set(config, wait=flag(request, "wait"))

    return [
        enveloped_route(
            "GET",
            "/quotas",
            show,
            Need.GLOBAL_READ,
            "Get the quotas, and what is used of them",
            result=QuotaStatus,
        ),
        enveloped_route(
            "PUT",
            "/quotas",
            replace,
            Need.GLOBAL_MANAGE,
            "Replace the quotas of all peers",
            query=("wait",),
            body=QuotaBody,
            result=bool,
        ),
    ]


def _config_of(body: QuotaBody) -> QuotaConfig:
    """Raises: InvalidField."""
    margin = body.release_margin_percent
    for name in ("max_resident_memory_percent", "max_disk_usage_percent"):
        _check(name, getattr(body, name), 1)
    _check("release_margin_percent", margin, 0)
    return QuotaConfig(
        body.enabled,
        body.max_resident_memory_percent,
        body.max_disk_usage_percent,
        RELEASE_MARGIN_PERCENT if margin is None else margin,
    )


def _check(name: str, value: int | None, least: int) -> None:
    if value is not None and not least <= value <= 100:
        raise InvalidField(name, f"value {value} invalid, must be from {least} to 100")
