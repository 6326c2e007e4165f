"""What a token says (reference 5.2), and the access that follows from it. Pure.

Beyond Qdrant's claims: ``tenant`` in an entry of ``access``, and ``kid`` or ``jti`` as names by which a token
can be revoked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from protos.errors import MalformedBody
from protos.json_path import parse_path
from router.auth.access import (
    Access,
    AuthKind,
    CollectionAccess,
    Everywhere,
    Level,
    Match,
    ValueExists,
)

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1  # of filters

AccessText = Literal["r", "rw", "prw"]
Seconds = Annotated[int, Meta(ge=0)]


class CollectionClaim(Struct, frozen=True, omit_defaults=True):
    """``tenant``: the points it is about have all of these values; None: all points.

    ``payload`` is Qdrant's of old, and refused: ignoring it would allow more than its author meant.
    """

    collection: str
    access: AccessText
    tenant: tuple[Match, ...] | None = None
    payload: Raw | UnsetType = UNSET


class Claims(Struct, frozen=True, omit_defaults=True):
    """The body of a token. ``exp`` in unix seconds. ``access`` None: everything."""

    sub: str | None = None
    exp: Seconds | None = None
    access: Literal["r", "m"] | tuple[CollectionClaim, ...] | None = None
    value_exists: ValueExists | None = None
    subject: str | None = None
    kid: str | None = None
    jti: str | None = None


class BadClaims(ValueError):
    """What is wrong with them."""


def decode_claims(data: bytes) -> Claims:
    """Raises: BadClaims."""
    try:
        claims = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadClaims(str(error)) from error
    check_claims(claims)
    return claims


def check_claims(claims: Claims) -> None:
    """What types cannot say. Raises: BadClaims."""
    if claims.value_exists is not None:
        _check_matches(claims.value_exists.matches, "value_exists")
    entries = claims.access if isinstance(claims.access, tuple) else ()
    names = [entry.collection for entry in entries]
    if len(set(names)) < len(names):
        raise BadClaims("access names a collection twice")
    for entry in entries:
        if entry.payload is not UNSET:
            raise BadClaims("access has a payload restriction, which is not supported: use tenant")
        if entry.tenant is not None:
            _check_matches(entry.tenant, "tenant")


def access_of(claims: Claims, *, key_id: str | None = None) -> Access:
    """``key_id``: of the token's header."""
    entries = claims.access if isinstance(claims.access, tuple) else ()
    everywhere = None if isinstance(claims.access, tuple) else Everywhere(claims.access or "m")
    return Access(
        everywhere,
        {entry.collection: CollectionAccess(Level(entry.access), entry.tenant) for entry in entries},
        AuthKind.JWT,
        claims.subject,
        claims.sub,
        frozenset(name for name in (key_id, claims.kid, claims.jti) if name),
        claims.value_exists,
        claims.exp,
    )


def _check_matches(matches: Iterable[Match], where: str) -> None:
    matches = tuple(matches)
    if not matches:
        raise BadClaims(f"{where} names no value")
    for match in matches:
        try:
            parse_path(match.key)
        except MalformedBody as error:
            raise BadClaims(f"{where}: {error.message}") from error
        if isinstance(match.value, int) and not _INT_MIN <= match.value <= _INT_MAX:
            raise BadClaims(f"{where}: {match.value} is no integer of 64 bits")


_decoder = msgspec.json.Decoder(Claims)
