"""From what a request brings to what it may do (reference 5.1).

Costs a few microseconds at most: an access is kept by its token's digest, so that neither the token nor a
comparison with it is. Of keys each is compared in constant time, whichever matches.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, Protocol

from msgspec import Struct

from router.auth.access import FULL, Access, AuthKind, Everywhere
from router.auth.errors import TokenRefused, bad_credentials, no_credentials
from router.auth.tokens import LEEWAY_S, verify

API_KEY, AUTHORIZATION, BEARER = "api-key", "authorization", "Bearer "
_KNOWN_MAX: Final = 4096  # accesses kept
_DIGEST_BYTES: Final = 16

_WRITE = Access(Everywhere.MANAGE, kind=AuthKind.API_KEY)
_READ = Access(Everywhere.READ, kind=AuthKind.API_KEY)


class Headers(Protocol):
    """Of a request over HTTP, or the metadata of a call."""

    def get(self, name: str, /) -> str | bytes | None: ...


class Keys(Struct, frozen=True):
    """As configured; None and the empty text: not set. ``tokens``: are JWTs accepted?"""

    api_key: str | None = None
    alt_api_key: str | None = None
    read_only_api_key: str | None = None
    tokens: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """Those that allow everything, and sign tokens."""
        return tuple(key for key in (self.api_key, self.alt_api_key) if key)

    @property
    def given(self) -> bool:
        return bool(self.secrets or self.read_only_api_key)

    def __repr__(self) -> str:
        return "Keys(...)"  # not into a log, nor a traceback


class Credentials:
    def __init__(self, keys: Keys) -> None:
        self._open = not keys.given
        self._secrets = keys.secrets if keys.tokens else ()
        self._keys = [(key.encode(), _WRITE) for key in keys.secrets]
        if keys.read_only_api_key:
            self._keys.append((keys.read_only_api_key.encode(), _READ))
        self._known: dict[bytes, Access] = {}

    @property
    def open(self) -> bool:
        """Is there no key, so that everybody may do everything?"""
        return self._open

    def access(self, headers: Headers, now_s: float) -> Access:
        """What the bearer may do. Raises: NotAuthenticated, TokenRefused."""
        if self._open:
            return FULL
        given = credential_in(headers)
        if given is None:
            raise no_credentials()
        found = self._by_key(given)
        return self._by_token(given, now_s) if found is None else found

    def _by_key(self, given: bytes) -> Access | None:
        found = None
        for key, access in self._keys:
            if hmac.compare_digest(key, given) and found is None:
                found = access
        return found

    def _by_token(self, given: bytes, now_s: float) -> Access:
        if not self._secrets:
            raise bad_credentials()
        digest = hashlib.blake2b(given, digest_size=_DIGEST_BYTES).digest()
        access = self._known.get(digest)
        if access is None:
            access = verify(given.decode("latin-1"), self._secrets)
            self._keep(digest, access)
        if access.expires_s is not None and now_s > access.expires_s + LEEWAY_S:
            raise TokenRefused("ExpiredSignature")
        return access

    def _keep(self, digest: bytes, access: Access) -> None:
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[digest] = access


def credential_in(headers: Headers) -> bytes | None:
    """The header ``api-key``, else a bearer's token; None: neither is there."""
    given = headers.get(API_KEY)
    if given is None:
        given = headers.get(AUTHORIZATION)
        if given is None:
            return None
        if isinstance(given, bytes):
            given = given.decode("latin-1")
        if not given.startswith(BEARER):
            return None
        given = given[len(BEARER) :]
    return given if isinstance(given, bytes) else given.encode("utf-8", "surrogateescape")
