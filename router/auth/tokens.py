"""Tokens: claims signed with an API key (JWT, HS256 and nothing else; reference 5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import jwt
import msgspec
from jwt.algorithms import HMACAlgorithm
from jwt.api_jws import PyJWS

from router.auth.access import Access
from router.auth.claims import BadClaims, Claims, access_of, check_claims, decode_claims
from router.auth.errors import NotAuthenticated, TokenRefused, bad_credentials

ALGORITHM: Final = "HS256"
LEEWAY_S: Final = 30  # of clocks that differ (reference 5.2)
TOKEN_BYTES_MAX: Final = 16 << 10
SECRET_BYTES_MIN: Final = 32  # what RFC 7518, 3.2 asks of a key for HS256; operators are warned of less


class _Hs256(HMACAlgorithm):
    """The secret is an operator's API key as it is, whatever it looks like and however short it is: no other
    algorithm is accepted, so it cannot be mistaken for a public key."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return key.encode() if isinstance(key, str) else key

    def check_key_length(self, key: bytes) -> str | None:  # noqa: ARG002
        return None


_jws = PyJWS(algorithms=[])
_jws.register_algorithm(ALGORITHM, _Hs256(HMACAlgorithm.SHA256))


def mint(secret: str, claims: Claims, *, key_id: str | None = None) -> str:
    """A token with these claims. ``key_id``: the ``kid`` of its header. Raises: BadClaims."""
    check_claims(claims)
    headers = None if key_id is None else {"kid": key_id}
    return _jws.encode(msgspec.json.encode(claims), secret, ALGORITHM, headers)


def verify(token: str, secrets: Sequence[str]) -> Access:
    """What the bearer of ``token`` may do, if one of ``secrets`` signed it; whether it has expired is not
    asked.

    Raises: NotAuthenticated if it is no such token, TokenRefused if another secret signed it.
    """
    if len(token) > TOKEN_BYTES_MAX:
        raise bad_credentials()
    for secret in secrets:
        try:
            decoded = _jws.decode_complete(token, secret, algorithms=[ALGORITHM])
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise bad_credentials() from error
        return _access(decoded["payload"], decoded["header"].get("kid"))
    raise TokenRefused("InvalidSignature")


def _access(payload: bytes, key_id: str | None) -> Access:
    try:
        return access_of(decode_claims(payload), key_id=key_id)
    except BadClaims as error:
        raise NotAuthenticated(f"Invalid JWT: {error}") from error
