"""Bodies and parameters of snapshot routes (reference 13.2)."""

from __future__ import annotations

import msgspec
from aiohttp import web
from msgspec import Struct

from node.client.backups import Retention
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


class PruneBody(Struct, kw_only=True):
    """The newest ``keep`` backups stay, one if it is left out; the others go, with ``older_than_sec`` only
    those that are older."""

    keep: int | None = None
    older_than_sec: int | None = None


_prune = msgspec.json.Decoder(PruneBody)
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


def decode_prune(body: bytes) -> Retention:
    """Raises: MalformedBody, InvalidField."""
    asked = decode(body, _prune)
    if asked.keep is None and asked.older_than_sec is None:
        raise InvalidField("keep", "value invalid, either this or older_than_sec must be given")
    for name, value, least in (("keep", asked.keep, 1), ("older_than_sec", asked.older_than_sec, 0)):
        if value is not None and value < least:
            raise InvalidField(name, f"value {value} invalid, must be {least} or larger")
    older_than_ms = None if asked.older_than_sec is None else asked.older_than_sec * 1000
    return Retention(1 if asked.keep is None else asked.keep, older_than_ms)


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
