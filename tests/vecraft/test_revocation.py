"""Revoking tokens by their ids, over the endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from msgspec.structs import replace

from protos.errors import BadRequest
from router.auth.claims import Claims
from router.auth.revocation import Revocation
from router.auth.tokens import mint
from tests.router.fakes import FakeLog
from tests.router.rest.conftest import AppServer
from tests.vecraft.served import serving
from vecraft.settings import ServiceSettings

API = "a" * 32
TOKEN = {"api-key": mint(API, Claims(access="r", jti="leaked"))}
ADMIN = {"api-key": API}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[TestClient[Any, Any]]:
    async with (
        serving(tmp_path, ServiceSettings(api_key=API, jwt_rbac=True)) as applications,
        TestClient(AppServer(applications.rest[0])) as running,
    ):
        yield running


async def test_a_revoked_token_is_refused_until_it_is_restored(client: TestClient[Any, Any]) -> None:
    assert (await client.get("/collections", headers=TOKEN)).status == 200
    answer = await client.put("/keys/revoked/leaked", headers=ADMIN, json={"note": "on a laptop"})
    assert (await answer.json())["result"] is True
    refused = await client.get("/collections", headers=TOKEN)
    assert (refused.status, await refused.text()) == (403, "RevokedToken")
    listed = (await (await client.get("/keys/revoked", headers=ADMIN)).json())["result"]["keys"]
    assert [(key["id"], key["note"]) for key in listed] == [("leaked", "on a laptop")]
    assert (await client.delete("/keys/revoked/leaked", headers=ADMIN)).status == 200
    assert (await client.get("/collections", headers=TOKEN)).status == 200
    assert (await client.delete("/keys/revoked/leaked", headers=ADMIN)).status == 404


async def test_a_note_is_not_asked_for(client: TestClient[Any, Any]) -> None:
    assert (await client.put("/keys/revoked/a%2Fb%20c", headers=ADMIN)).status == 200
    listed = (await (await client.get("/keys/revoked", headers=ADMIN)).json())["result"]["keys"]
    assert [(key["id"], key["note"]) for key in listed] == [("a/b c", "")]


@pytest.mark.parametrize(("key_id", "note"), [("k" * 257, ""), ("k", "n" * 1025)])
async def test_ids_and_notes_have_limits(client: TestClient[Any, Any], key_id: str, note: str) -> None:
    answer = await client.put(f"/keys/revoked/{key_id}", headers=ADMIN, json={"note": note})
    assert answer.status == 400


async def test_nothing_is_revoked_that_an_older_member_would_let_in() -> None:
    log = FakeLog()
    log.state = replace(log.state, feature_level=2)
    with pytest.raises(BadRequest, match="every peer"):
        await Revocation(log).revoke("leaked")
    assert log.state.revoked_keys == {}
