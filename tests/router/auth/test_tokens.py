"""Tokens: what is accepted, and what each kind of bad one is refused with (reference 5.1, 5.2)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.auth.access import Access, AuthKind, CollectionAccess, Everywhere, Level, Match, ValueExists
from router.auth.claims import BadClaims, Claims, CollectionClaim
from router.auth.errors import NotAuthenticated, TokenRefused
from router.auth.tokens import TOKEN_BYTES_MAX, mint, verify

SECRET = "an operator's key, not a short one"


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims: Any, header: Any = None, secret: str = SECRET, digest: str = "sha256") -> str:
    """Made without the code under test."""
    head = encoded({"alg": "HS256", "typ": "JWT"} if header is None else header)
    body = f"{head}.{encoded(claims)}"
    return f"{body}.{encoded(hmac.new(secret.encode(), body.encode(), digest).digest())}"


def test_a_token_without_claims_manages_everything() -> None:
    assert verify(signed({}), [SECRET]) == Access(Everywhere.MANAGE, kind=AuthKind.JWT)


def test_every_claim_is_understood() -> None:
    access = verify(
        signed(
            {
                "sub": "inference",
                "subject": "ann",
                "exp": 5,
                "jti": "j",
                "kid": "k",
                "aud": ["whoever"],
                "nbf": 99,
                "unknown": {},
                "access": [
                    {"collection": "a", "access": "r"},
                    {"collection": "b", "access": "prw", "tenant": [{"key": "org.id", "value": 7}]},
                ],
                "value_exists": {"collection": "users", "matches": [{"key": "on", "value": True}]},
            },
            {"alg": "HS256", "kid": "h"},
        ),
        [SECRET],
    )
    assert access == Access(
        None,
        {
            "a": CollectionAccess(Level.READ),
            "b": CollectionAccess(Level.POINTS, (Match("org.id", 7),)),
        },
        AuthKind.JWT,
        subject="ann",
        inference_token="inference",
        key_ids=frozenset("jkh"),
        value_exists=ValueExists("users", (Match("on", True),)),
        expires_s=5,
    )
    assert access.value_exists is not None
    assert access.value_exists.matches[0].value is True


def test_either_of_two_secrets_may_have_signed() -> None:
    assert verify(signed({"access": "r"}), ["another", SECRET]).everywhere is Everywhere.READ


@pytest.mark.parametrize(
    "token",
    [
        "",
        "key",
        "a.b.c",
        "..",
        signed({})[:-1] + "é",
        "é",
        signed({}, {"alg": "none"}),
        signed({}, {"alg": "none"}).rpartition(".")[0] + ".",
        signed({}, {"alg": "HS512"}, digest="sha512"),
        signed({}, {"alg": "RS256"}),
        signed({}, {"alg": ["HS256"]}),
        signed({}, {"typ": "JWT"}),
        signed({}, ["HS256"]),
        signed({}, {"alg": "HS256", "kid": 5}),
        signed(b"[" * 1000, {"alg": "HS256"}),
        signed(b"\xff{}"),
        signed([]),
        signed({"pad": "x" * TOKEN_BYTES_MAX}),
        encoded(b"[" * 5000) + ".e30.e30",
    ],
)
def test_what_is_no_token_of_ours_is_refused_as_such(token: str) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        verify(token, [SECRET])
    assert not isinstance(refused.value, TokenRefused)


@pytest.mark.parametrize("token", [signed({}, secret="forged"), signed({})[:-4] + "AAAA"])
def test_a_token_that_another_secret_signed_is_refused(token: str) -> None:
    with pytest.raises(TokenRefused, match="InvalidSignature"):
        verify(token, [SECRET, "another"])


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": 5},
        {"subject": ["ann"]},
        {"exp": "tomorrow"},
        {"exp": 1.5},
        {"exp": -1},
        {"exp": True},
        {"jti": 5},
        {"kid": {}},
        {"access": "rw"},
        {"access": "prw"},
        {"access": {}},
        {"access": [{"collection": "c"}]},
        {"access": [{"collection": "c", "access": "m"}]},
        {"access": [{"collection": 5, "access": "r"}]},
        {"access": [{"collection": "c", "access": "r"}, {"collection": "c", "access": "rw"}]},
        {"access": [{"collection": "c", "access": "r", "payload": {"org": "acme"}}]},
        {"access": [{"collection": "c", "access": "r", "payload": None}]},
        {"access": [{"collection": "c", "access": "r", "tenant": []}]},
        {"access": [{"collection": "c", "access": "r", "tenant": {"org": "acme"}}]},
        {"access": [{"collection": "c", "access": "r", "tenant": [{"key": "org", "value": 1.5}]}]},
        {"access": [{"collection": "c", "access": "r", "tenant": [{"key": "org", "value": None}]}]},
        {"access": [{"collection": "c", "access": "r", "tenant": [{"key": "org[", "value": "x"}]}]},
        {"access": [{"collection": "c", "access": "r", "tenant": [{"key": "org", "value": 2**63}]}]},
        {"value_exists": {"collection": "c"}},
        {"value_exists": {"collection": "c", "matches": []}},
        {"value_exists": {"collection": "c", "matches": [{"key": "k"}]}},
    ],
)
def test_claims_of_the_wrong_shape_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated, match="Invalid JWT") as refused:
        verify(signed(claims), [SECRET])
    assert not isinstance(refused.value, TokenRefused)


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()))
def test_any_signed_bytes_are_understood_or_refused(body: bytes) -> None:
    with contextlib.suppress(NotAuthenticated):
        assert isinstance(verify(signed(body), [SECRET]), Access)


def test_what_is_minted_is_understood_and_short() -> None:
    claims = Claims(
        exp=2_000_000_000,
        subject="ann",
        access=(CollectionClaim("c", "rw", (Match("org", "acme"),)),),
    )
    token = mint(SECRET, claims, key_id="k1")
    access = verify(token, [SECRET])
    assert access.collections == {"c": CollectionAccess(Level.WRITE, (Match("org", "acme"),))}
    assert (access.expires_s, access.subject, access.key_ids) == (2_000_000_000, "ann", {"k1"})
    body = token.split(".")[1]
    assert b"null" not in base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def test_bad_claims_are_not_minted() -> None:
    twice = (CollectionClaim("c", "r"), CollectionClaim("c", "rw"))
    with pytest.raises(BadClaims, match="twice"):
        mint(SECRET, Claims(access=twice))


def test_a_secret_may_look_like_anything() -> None:
    for secret in ("-----BEGIN PUBLIC KEY-----", '{"kty": "oct"}', "ssh-rsa AAAA", "x"):
        assert verify(signed({}, secret=secret), [secret]).everywhere is Everywhere.MANAGE


def test_signing_is_that_of_the_standard() -> None:
    token = mint(SECRET, Claims())
    body, _, signature = token.rpartition(".")
    assert signature == encoded(hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).digest())
