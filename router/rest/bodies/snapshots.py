"""Bodies and parameters of snapshot routes (reference 13.2)."""

from __future__ import annotations

import msgspec
from aiohttp import web
from msgspec import Struct

from protos.errors import InvalidField
from router.rest.bodies.reading import decode
from router.rest.errors import BadQuery
from router.snapshots.requests import Priority, RecoverOptions, check_checksum


class RecoverBody(Struct, kw_only=True):
    """``location``: where the file lies; ``api_key``: sent along when it is fetched."""

    location: str
    priority: Priority | None = None
    checksum: str | None = None
    api_key: str | None = None


class RecoverFromBody(Struct, kw_only=True):
    """``peer_url``: of the node that is followed; ``api_key``: sent to it."""

    peer_url: str
    api_key: str | None = None


_recover_from = msgspec.json.Decoder(RecoverFromBody)
_recover = msgspec.json.Decoder(RecoverBody)


def decode_recover(body: bytes) -> tuple[str, str | None, RecoverOptions]:
    """The location, the key, the rest. Raises: MalformedBody, InvalidField."""
    asked = decode(body, _recover)
    check_checksum(asked.checksum, "JSON body")
    if not asked.location:
        raise InvalidField("location", "value invalid, must not be empty")
    options = RecoverOptions(asked.priority or Priority.SNAPSHOT, asked.checksum)
    return asked.location, asked.api_key, options


def decode_recover_from(body: bytes) -> tuple[str, str | None]:
    """The URL and the key. Raises: MalformedBody, InvalidField."""
    asked = decode(body, _recover_from)
    if not asked.peer_url:
        raise InvalidField("peer_url", "value invalid, must not be empty")
    return asked.peer_url, asked.api_key


def upload_options(request: web.Request) -> RecoverOptions:
    """Raises: BadQuery, InvalidField."""
    text, checksum = request.query.get("priority"), request.query.get("checksum")
    try:
        priority = Priority.SNAPSHOT if text is None else Priority(text)
    except ValueError as error:
        expected = ", ".join(f"`{one.value}`" for one in Priority)
        raise BadQuery(f"unknown variant `{text}`, expected one of {expected}") from error
    check_checksum(checksum, "query parameters")
    return RecoverOptions(priority, checksum)
