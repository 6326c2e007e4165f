"""The id by which one request is known on every node that it touches: in logs, slow requests and the answer.

The client's own, from the first of ``x-request-id``, ``x-tracing-id``, ``traceparent`` (reference 2.1), else
one made here. It goes along with calls between nodes, and with work that is handed to threads.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from contextvars import ContextVar

HEADER = "x-request-id"
LENGTH_MAX = 256
_SOURCES = (HEADER, "x-tracing-id", "traceparent")

# "" outside of requests.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")

_process = secrets.token_hex(6)
_numbers = itertools.count(1)


def begin(header: Callable[[str], object]) -> str:
    """The id of the request whose headers ``header`` tells by name; current in this task from now on."""
    for source in _SOURCES:
        given = header(source)
        if given:
            break
    else:
        given = None
    text = given[:LENGTH_MAX] if isinstance(given, str) and given.isascii() and given.isprintable() else ""
    found = text or f"{_process}-{next(_numbers):x}"
    REQUEST_ID.set(found)
    return found
