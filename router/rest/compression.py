"""Response compression by ``Accept-Encoding``: zstd, br, gzip, deflate.

Large bodies are compressed in a thread (all four libraries release the GIL), small ones in place
because a hop to a thread costs more than they do. Levels are chosen for speed: on a loaded server
the time spent compressing is taken from searching.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Callable

import brotli
from aiohttp import hdrs, web

# aiohttp decodes request bodies with the same module.
if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESS_FROM_BYTES = 1024
THREAD_FROM_BYTES = 32 * 1024

_ZSTD_LEVEL = 1
_BROTLI_QUALITY = 1
_ZLIB_LEVEL = 1


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(_ZLIB_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


# In our order of preference among encodings the client likes equally.
_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda body: zstd.compress(body, level=_ZSTD_LEVEL),
    "br": lambda body: bytes(brotli.compress(body, quality=_BROTLI_QUALITY)),
    "gzip": _gzip,
    "deflate": lambda body: zlib.compress(body, _ZLIB_LEVEL),
}


def negotiate(accept_encoding: str) -> str | None:
    """The encoding to use for an ``Accept-Encoding`` header, None for identity (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        weights[name.strip()] = _weight(parameters)
    best, best_weight = None, 0.0
    for name in _ENCODERS:
        weight = weights.get(name, weights.get("*", 0.0))
        if weight > best_weight:
            best, best_weight = name, weight
    return best if best_weight >= weights.get("identity", 0.0) else None


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


async def compress(request: web.Request, response: web.StreamResponse) -> None:
    """Compress a complete response in place if the client accepts it and the size is worth it."""
    accepted = request.headers.get(hdrs.ACCEPT_ENCODING)
    if accepted is None or not isinstance(response, web.Response):
        return
    body = response.body
    if not isinstance(body, bytes) or len(body) < COMPRESS_FROM_BYTES:
        return
    if hdrs.CONTENT_ENCODING in response.headers:
        return
    encoding = negotiate(accepted)
    if encoding is None:
        return
    encode = _ENCODERS[encoding]
    packed = encode(body) if len(body) < THREAD_FROM_BYTES else await asyncio.to_thread(encode, body)
    response.body = packed
    response.headers[hdrs.CONTENT_ENCODING] = encoding
    response.headers[hdrs.VARY] = "Accept-Encoding"
