"""Query and path parameters of reference 8.2, 9.1 and 7.1."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import web

from protos.collections import check_collection_name
from protos.errors import BadInput, InvalidField
from protos.ids import PointId, parse_point_id_text
from protos.operations import WriteOrdering
from router.points import WriteOptions
from router.queries.requests import ReadOptions
from router.replicas.consistency import Consistency, ReadConsistency
from router.rest.admission import access_of
from router.rest.errors import BadQuery
from router.rest.state import STATE
from router.tokens import HEADER, Positions, decode_tokens

T = TypeVar("T")

DIGITS_MAX = 20  # of an unsigned 64-bit number; int() refuses texts of thousands of digits
SECONDS_MAX = 2**32  # keeps a timeout in milliseconds far from any overflow
_IDEMPOTENCY_HEADER = "Idempotency-Key"
_AFFINITY_HEADER = "X-Qdrant-Route-Affinity"


def collection_name(request: web.Request) -> str:
    """The ``{collection_name}`` of the path. Raises: InvalidField if no collection can be called so."""
    name = request.match_info["collection_name"]
    check_collection_name(name)
    return name


def point_id(request: web.Request) -> PointId:
    text = request.match_info["id"]
    found = parse_point_id_text(text)
    if found is None:
        raise BadInput(f'Can not recognize "{text}" as point id')
    return found


def read_options(request: web.Request) -> ReadOptions:
    """``timeout`` (seconds, at least 1), ``consistency``, and the header that picks replicas.

    Raises: BadQuery.
    """
    affinity = request.headers.get(_AFFINITY_HEADER, "").encode("utf-8", "surrogateescape")
    known = known_positions(request)
    if not request.query_string:
        return ReadOptions(affinity=affinity, at_least=known, access=access_of(request))
    timeout_s = _integer(request, "timeout", minimum=1)
    return ReadOptions(
        timeout_ms=None if timeout_s is None else timeout_s * 1000,
        consistency=_consistency(request.query.get("consistency", "")),
        affinity=affinity,
        at_least=known,
        access=access_of(request),
    )


def write_options(request: web.Request) -> WriteOptions:
    """``wait``, ``ordering``, ``timeout`` (seconds, 0 allowed) and the ``Idempotency-Key`` header.

    Raises: BadQuery.
    """
    options = _write_options(request, request.headers.get(_IDEMPOTENCY_HEADER, ""), known_positions(request))
    request[STATE].write = options
    return options


def _write_options(request: web.Request, key: str, known: Positions) -> WriteOptions:
    if not request.query_string:
        return WriteOptions(idempotency_key=key, known=known, access=access_of(request))
    timeout_s = _integer(request, "timeout", minimum=0)
    return WriteOptions(
        wait=flag(request, "wait"),
        ordering=_ordering(request.query.get("ordering", "weak")),
        timeout_ms=None if timeout_s is None else timeout_s * 1000,
        idempotency_key=key,
        known=known,
        access=access_of(request),
    )


def known_positions(request: web.Request) -> Positions:
    """Of the writes that the caller wants to see. Raises: BadInput."""
    tokens = request.headers.get(HEADER)
    return {} if tokens is None else decode_tokens(tokens)


def operation_timeout_ms(request: web.Request) -> int | None:
    """``timeout`` (seconds, in milliseconds here) of collection, alias and cluster routes.

    Raises: InvalidField for 0, BadQuery for what is no number.
    """
    timeout_s = _integer(request, "timeout", minimum=0)
    if timeout_s == 0:
        text = "value 0 invalid, must be 1 or larger"
        raise InvalidField("timeout", text, where="query parameters")
    return None if timeout_s is None else timeout_s * 1000


def flag(request: web.Request, name: str, *, default: bool = False) -> bool:
    text = request.query.get(name)
    if text is None:
        return default
    if text not in ("true", "false"):
        raise BadQuery(f"{name}: provided string was not `true` or `false`: `{text}`")
    return text == "true"


def natural(request: web.Request, name: str, default: int) -> int:
    value = _integer(request, name, minimum=0)
    return default if value is None else value


def _integer(request: web.Request, name: str, *, minimum: int) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > DIGITS_MAX:
        raise BadQuery(f"{name}: invalid digit found in string: `{text}`")
    value = int(digits)
    if not minimum <= value <= SECONDS_MAX:
        raise BadQuery(f"{name}: value {text} invalid, must be from {minimum} to {SECONDS_MAX}")
    return value


def _ordering(text: str) -> WriteOrdering:
    try:
        return WriteOrdering(text)
    except ValueError as error:
        raise BadQuery(f"unknown variant `{text}`, expected one of `weak`, `medium`, `strong`") from error


def _consistency(text: str) -> ReadConsistency | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX:
        factor = int(text)
        if factor == 0:
            raise BadQuery("Read consistency factor can't be zero")
        return factor
    try:
        return Consistency(text)
    except ValueError as error:
        expected = "an integer, `majority`, `quorum` or `all`"
        raise BadQuery(f"consistency: `{text}` is not {expected}") from error
