"""The order in which a request is judged, and what is put on record."""

from __future__ import annotations

import contextlib

import pytest

from protos.errors import Forbidden, VecraftError
from router.auth.access import FULL, NOBODY, AuthKind, Everywhere, Match, ValueExists
from router.auth.claims import Claims, CollectionClaim
from router.auth.credentials import Keys
from router.auth.errors import NotAuthenticated, TokenRefused
from router.auth.gate import OPEN, Asked, Decision, Denials, Gate
from router.auth.needs import Need
from router.auth.tokens import mint

KEY = "k" * 32


def asked(token: str = KEY, collection: str | None = "c") -> Asked:
    return Asked("Upsert", "/upsert", collection, {"api-key": token}, lambda: "10.0.0.1")


async def test_what_needs_nothing_is_not_asked_for_a_key_nor_recorded() -> None:
    decisions: list[Decision] = []
    gate = Gate(Keys(KEY), record=decisions.append)
    assert await gate.admit(Need.PUBLIC, asked("wrong")) is NOBODY
    assert not decisions


async def test_without_keys_everything_is_allowed() -> None:
    assert await OPEN.admit(Need.GLOBAL_MANAGE, asked("whatever")) is FULL


async def test_requests_that_are_not_let_in_are_counted_by_what_is_wrong() -> None:
    denials = Denials()
    gate = Gate(Keys(KEY, read_only_api_key="r" * 32), denials=denials)
    await gate.admit(Need.KNOWN, asked())
    assert denials == Denials()
    for wrong in ("wrong", ""):
        with pytest.raises(NotAuthenticated):
            await gate.admit(Need.KNOWN, asked(wrong))
    assert denials == Denials(unknown=2)
    with pytest.raises(Forbidden):
        await gate.admit(Need.GLOBAL_MANAGE, asked("r" * 32))
    assert denials == Denials(unknown=2, forbidden=1)
    await gate.admit(Need.PUBLIC, asked("wrong"))
    assert denials == Denials(unknown=2, forbidden=1)


async def test_a_revoked_token_is_refused_from_then_on() -> None:
    revoked: set[str] = set()
    gate = Gate(Keys(KEY, tokens=True), revoked=lambda: revoked)
    token = asked(mint(KEY, Claims(jti="leaked"), key_id="other"))
    await gate.admit(Need.KNOWN, token)
    for name in ("leaked", "other"):
        revoked.add(name)
        with pytest.raises(TokenRefused, match="RevokedToken"):
            await gate.admit(Need.KNOWN, token)
        revoked.clear()
    await gate.admit(Need.KNOWN, token)
    revoked.add(KEY)
    await gate.admit(Need.KNOWN, asked())  # a key of the configuration has no id


async def test_a_condition_is_asked_after_what_is_allowed() -> None:
    confirmed: list[ValueExists] = []

    async def confirm(wanted: ValueExists) -> None:
        confirmed.append(wanted)
        raise NotAuthenticated("gone")

    wanted = ValueExists("users", (Match("id", 1),))
    token = mint(KEY, Claims(access=(CollectionClaim("c", "r"),), value_exists=wanted))
    gate = Gate(Keys(KEY, tokens=True), confirm=confirm)
    with pytest.raises(Forbidden):
        await gate.admit(Need.MANAGE_COLLECTION, asked(token))
    assert not confirmed
    with pytest.raises(NotAuthenticated, match="gone"):
        await gate.admit(Need.READ_COLLECTION, asked(token))
    assert confirmed == [wanted]


async def test_every_decision_is_recorded() -> None:
    decisions: list[Decision] = []
    gate = Gate(Keys(KEY, tokens=True), record=decisions.append)
    token = mint(KEY, Claims(subject="ann", access="r"))
    for given in ("wrong", token, KEY):
        with contextlib.suppress(VecraftError):
            await gate.admit(Need.GLOBAL_MANAGE, asked(given))
    assert [decision.access.kind for decision in decisions] == [AuthKind.NONE, AuthKind.JWT, AuthKind.API_KEY]
    assert decisions[1].access.subject == "ann"
    assert [type(decision.error) for decision in decisions] == [NotAuthenticated, Forbidden, type(None)]


async def test_without_keys_decisions_are_recorded_too() -> None:
    decisions: list[Decision] = []
    access = await Gate(Keys(), record=decisions.append).admit(Need.KNOWN, asked())
    assert access.everywhere is Everywhere.MANAGE
    assert decisions[0].access is FULL
