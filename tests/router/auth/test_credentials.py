"""From headers to accesses (reference 5.1)."""

from __future__ import annotations

import pytest

from router.auth.access import FULL, AuthKind, Everywhere
from router.auth.claims import Claims
from router.auth.credentials import _KNOWN_MAX, Credentials, Keys
from router.auth.errors import NotAuthenticated, TokenRefused
from router.auth.tokens import LEEWAY_S, mint

API, ALT, READ = "the api key of this server, long", "the next api key", "a key for readers"
KEYS = Keys(API, ALT, READ, tokens=True)
NOW_S = 1_000.0


def access(headers: dict[str, str], keys: Keys = KEYS, now_s: float = NOW_S):  # type: ignore[no-untyped-def]
    return Credentials(keys).access(headers, now_s)


@pytest.mark.parametrize("keys", [Keys(), Keys("", "", ""), Keys(tokens=True)])
def test_without_a_key_everybody_may_do_everything(keys: Keys) -> None:
    assert access({}, keys) is FULL
    assert access({"api-key": "anything"}, keys) is FULL


@pytest.mark.parametrize(
    ("key", "everywhere"), [(API, Everywhere.MANAGE), (ALT, Everywhere.MANAGE), (READ, Everywhere.READ)]
)
def test_each_key_is_taken_from_either_header(key: str, everywhere: Everywhere) -> None:
    for headers in ({"api-key": key}, {"authorization": f"Bearer {key}"}):
        found = access(headers)
        assert (found.everywhere, found.kind) == (everywhere, AuthKind.API_KEY)


def test_the_own_header_goes_before_the_other() -> None:
    assert access({"api-key": READ, "authorization": f"Bearer {API}"}).everywhere is Everywhere.READ
    with pytest.raises(NotAuthenticated, match="Invalid API key or JWT"):
        access({"api-key": "wrong", "authorization": f"Bearer {API}"})


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": f"bearer {API}"}, {"authorization": API}, {"authorization": f"Basic {API}"}],
)
def test_who_brings_nothing_is_told_what_to_bring(headers: dict[str, str]) -> None:
    with pytest.raises(NotAuthenticated, match="Must provide an API key or an Authorization bearer token"):
        access(headers)


@pytest.mark.parametrize("key", ["", API[:-1], API + "x", API.upper(), "ключ", "\udcff", "k" * 100_000])
def test_any_other_key_is_refused(key: str) -> None:
    with pytest.raises(NotAuthenticated, match="Invalid API key or JWT"):
        access({"api-key": key})


def test_a_key_need_not_be_ascii() -> None:
    assert access({"api-key": "ключ"}, Keys("ключ")).everywhere is Everywhere.MANAGE


@pytest.mark.parametrize("secret", [API, ALT])
def test_tokens_are_signed_by_a_key_that_manages(secret: str) -> None:
    assert access({"api-key": mint(secret, Claims(access="r"))}).everywhere is Everywhere.READ
    with pytest.raises(TokenRefused):
        access({"api-key": mint(READ, Claims())})


def test_tokens_are_no_credentials_unless_switched_on() -> None:
    token = mint(API, Claims())
    for keys in (Keys(API), Keys(read_only_api_key=READ, tokens=True)):
        with pytest.raises(NotAuthenticated, match="Invalid API key or JWT"):
            access({"api-key": token}, keys)


def test_a_token_expires_while_it_is_remembered() -> None:
    credentials = Credentials(KEYS)
    headers = {"authorization": "Bearer " + mint(API, Claims(exp=int(NOW_S)))}
    first = credentials.access(headers, NOW_S + LEEWAY_S)
    assert credentials.access(headers, NOW_S) is first
    with pytest.raises(TokenRefused, match="ExpiredSignature"):
        credentials.access(headers, NOW_S + LEEWAY_S + 1)


def test_only_so_many_tokens_are_remembered() -> None:
    credentials = Credentials(Keys("k", tokens=True))
    for number in range(_KNOWN_MAX + 10):
        credentials.access({"api-key": mint("k", Claims(jti=str(number)))}, NOW_S)
    assert len(credentials._known) <= _KNOWN_MAX


def test_keys_do_not_show_themselves() -> None:
    assert API not in f"{KEYS!r} {KEYS}"
