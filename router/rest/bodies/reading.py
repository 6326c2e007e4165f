"""Reading request bodies: content type, size, JSON into typed structs.

aiohttp undoes ``Content-Encoding`` while it reads, and counts decoded bytes against the limit.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from aiohttp import hdrs, web

from protos.errors import MalformedBody
from router.rest.connection import piece_of
from router.rest.envelope import JSON
from router.rest.errors import BadContentType, PayloadTooLarge

T = TypeVar("T")


async def read_body(request: web.Request) -> bytes:
    """The bytes of a JSON body.

    Raises: BadContentType, PayloadTooLarge; MalformedBody if it is not compressed as it says.
    """
    if request.headers.get(hdrs.CONTENT_TYPE) != JSON:  # most say just that
        content_type = request.content_type
        if content_type != JSON and not content_type.endswith("+json"):
            raise BadContentType
    try:
        return await _whole(request)
    except web.HTTPRequestEntityTooLarge as error:
        raise PayloadTooLarge(request.client_max_size) from error
    except web.RequestPayloadError as error:
        raise MalformedBody(_reason(error)) from error


def _reason(error: web.RequestPayloadError) -> str:
    cause = error.__cause__ or error.__context__ or error
    return getattr(cause, "message", "") or str(error)


async def _whole(request: web.Request) -> bytes:
    """Most bodies are there as soon as their head is: they are taken without waiting, uncopied."""
    if not request.content.is_eof():
        return await request.read()
    body = piece_of(request.content)
    if body is None:
        body = request.content.read_nowait()
    if len(body) > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size, len(body))
    return body


async def read_json(request: web.Request, decoder: msgspec.json.Decoder[T]) -> T:
    """Raises: MalformedBody if the body is not JSON of the decoder's shape; as ``read_body``."""
    return decode(await read_body(request), decoder)


def decode(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBody(str(error)) from error
    except RecursionError as error:
        raise MalformedBody("recursion limit exceeded") from error
