"""Tokens from the command line are what servers accept, and say what was asked for."""

from __future__ import annotations

import json
import time

import pytest

from router.auth.access import Level, Match
from router.auth.needs import Need
from router.auth.tokens import verify
from tests.vecraft.commands.server import Answer, serving
from vecraft.cli import main

KEY = "k" * 32


def minted(capsys: pytest.CaptureFixture[str], *argv: str, key: str = KEY) -> str:
    assert main(["token", "create", *argv, "--api-key", key]) == 0
    return capsys.readouterr().out.strip()


def test_a_token_says_who_may_do_what_where_and_until_when(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--collection", "docs=rw", "--collection", "a=b=prw", "--tenant", "org=acme", "--tenant", "n=7"]
    token = minted(capsys, *asked, "--expires", "2h", "--id", "t1", "--subject", "me", "--while", 'u:id="7"')
    access = verify(token, [KEY])
    assert access.everywhere is None
    tenant = (Match("org", "acme"), Match("n", 7))
    assert {name: (one.level, one.tenant) for name, one in access.collections.items()} == {
        "docs": (Level("rw"), tenant),
        "a=b": (Level("prw"), tenant),
    }
    assert access.key_ids == {"t1"}
    assert access.subject == "me"
    assert access.value_exists is not None
    assert access.value_exists.matches == (Match("id", "7"),)
    assert access.expires_s is not None
    assert 7100 < access.expires_s - time.time() < 7300


def test_a_token_for_everywhere_may_last_for_ever(capsys: pytest.CaptureFixture[str]) -> None:
    access = verify(minted(capsys, "--access", "r", "--expires", "never"), [KEY])
    assert access.expires_s is None
    access.permit(Need.GLOBAL_READ)


def test_a_short_key_is_warned_of_and_json_shows_the_claims(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "create", "--access", "m", "--api-key", "short"]) == 0
    assert "can be guessed" in capsys.readouterr().err
    shown = json.loads(minted(capsys, "--access", "m", "--json"))
    assert shown["claims"]["access"] == "m"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--access", "r", "--collection", "a=r"],
        ["--access", "r", "--tenant", "a=b"],
        ["--collection", "a"],
        ["--collection", "a=m"],
        ["--collection", "a=r", "--collection", "a=rw"],
        ["--collection", "a=r", "--tenant", "a"],
        ["--collection", "a=r", "--while", "a=b"],
        ["--collection", "a=r", "--while", "a:b=c", "--while", "b:b=c"],
        ["--access", "r", "--expires", "soon"],
        ["--access", "r", "--expires", "0s"],
    ],
)
def test_what_makes_no_token_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(["token", "create", *argv, "--api-key", KEY])
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 2
    assert capsys.readouterr().out == ""


def test_without_a_key_there_is_no_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("VECRAFT_API_KEY", raising=False)
    assert main(["token", "create", "--access", "r"]) == 2
    assert "signed with the API key" in capsys.readouterr().err


def test_ids_are_revoked_shown_and_restored(capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"keys": [{"id": "a/b", "revoked_at": 0, "note": "lost"}]}
    with serving(lambda asked: Answer(result=keys if asked.method == "GET" else True)) as server:
        assert main(["token", "revoke", "a/b", "--note", "lost", "--url", server.url]) == 0
        assert main(["token", "revoked", "--url", server.url]) == 0
        assert "1970-01-01 00:00:00" in capsys.readouterr().out
        assert main(["token", "restore", "a/b", "--url", server.url]) == 0
    paths = [(asked.method, asked.path) for asked in server.asked]
    assert paths == [
        ("PUT", "/keys/revoked/a%2Fb"),
        ("GET", "/keys/revoked"),
        ("DELETE", "/keys/revoked/a%2Fb"),
    ]
    assert json.loads(server.asked[0].body) == {"note": "lost"}
