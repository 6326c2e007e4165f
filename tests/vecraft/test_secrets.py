"""Keys and tokens show nowhere but in requests; long tokens are taken or refused as tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

from router.auth.claims import Claims, CollectionClaim
from router.auth.tokens import TOKEN_BYTES_MAX, mint
from tests.live import ROOT
from tests.vecraft.served import serving
from vecraft.listening import grpc_listening, listening
from vecraft.settings import ServiceSettings

API = "a-secret-that-must-not-be-seen-anywhere"
HOST = "127.0.0.1"
SERVICE = ServiceSettings(host=HOST, api_key=API, read_only_api_key=f"{API}-r", jwt_rbac=True)


class Served:
    def __init__(self, port: int, grpc_port: int) -> None:
        self.url, self.address = f"http://{HOST}:{port}", f"{HOST}:{grpc_port}"

    async def get(self, path: str, key: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}{path}", headers={"api-key": key}) as answer,
        ):
            return answer.status, await answer.text()

    async def call(self, key: str) -> grpc.StatusCode:
        options = [("grpc.max_metadata_size", 1 << 20)]
        async with grpc.aio.insecure_channel(self.address, options=options) as channel:
            try:
                await channel.unary_unary("/qdrant.Collections/List")(b"", metadata=(("api-key", key),))
            except grpc.aio.AioRpcError as error:
                return error.code()
        return grpc.StatusCode.OK


@pytest.fixture
async def served(tmp_path: Path, unused_tcp_port_factory: Any) -> AsyncIterator[Served]:
    port, grpc_port = unused_tcp_port_factory(), unused_tcp_port_factory()
    async with serving(tmp_path, SERVICE) as apps:
        assert apps.grpc is not None
        async with listening(apps.rest[0], SERVICE, port), grpc_listening(apps.grpc[0], grpc_port, SERVICE):
            yield Served(port, grpc_port)


# --- long tokens -------------------------------------------------------------------------------------------


def token_of(size: int) -> str:
    """About so long."""
    claims = tuple(CollectionClaim(f"collection-{number}", "r") for number in range(size // 60))
    return mint(API, Claims(access=claims))


async def test_a_token_may_name_many_collections(served: Served) -> None:
    token = token_of(TOKEN_BYTES_MAX - 2000)
    assert len(token) > 8190
    status, _ = await served.get("/collections", token)
    assert status == 200
    assert await served.call(token) is grpc.StatusCode.OK


async def test_one_that_is_too_long_is_no_token(served: Served) -> None:
    token = token_of(TOKEN_BYTES_MAX + 4000)
    assert TOKEN_BYTES_MAX < len(token) < 2 * TOKEN_BYTES_MAX
    assert await served.get("/collections", token) == (401, "Invalid API key or JWT")
    assert await served.call(token) is grpc.StatusCode.UNAUTHENTICATED


async def test_endless_headers_are_refused(served: Served) -> None:
    status, _ = await served.get("/collections", "k" * 200_000)
    assert status == 400
    assert await served.call("k" * 40_000) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await served.call("k" * 200_000) is grpc.StatusCode.UNAVAILABLE  # the connection is closed


# --- secrets -----------------------------------------------------------------------------------------------


CRASH = """
import structlog
from vecraft.logs import LogControl
from vecraft.settings import LoggerSettings, Settings

def answer(metadata):
    raise RuntimeError("boom")

LogControl(Settings(logger=LoggerSettings(format={form!r})))
try:
    answer({{"api-key": "secret" * 3}})
except RuntimeError:
    structlog.get_logger("router").exception("request_crashed")
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_tracebacks_in_logs_are_without_the_values_of_variables(form: str) -> None:
    """In a process of its own, whose logging is nobody else's."""
    command = [sys.executable, "-c", CRASH.format(form=form)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "request_crashed" in ended.stdout
    assert "boom" in ended.stdout
    assert "secretsecret" not in ended.stdout + ended.stderr


async def test_telemetry_and_errors_show_no_key(served: Served) -> None:
    for path in ("/telemetry?details_level=9", "/metrics", "/cluster", "/openapi.json", "/issues"):
        status, text = await served.get(path, API)
        assert status == 200, path
        assert API not in text
    status, text = await served.get("/collections", f"{API}x")
    assert API not in text


# --- listings ----------------------------------------------------------------------------------------------


async def test_who_knows_one_collection_is_told_of_no_other(served: Served) -> None:
    async with aiohttp.ClientSession(headers={"api-key": API}) as session:
        for name in ("mine", "theirs"):
            await session.put(
                f"{served.url}/collections/{name}", json={"vectors": {"size": 1, "distance": "Dot"}}
            )
            action = {"create_alias": {"collection_name": name, "alias_name": f"alias-of-{name}"}}
            await session.post(f"{served.url}/collections/aliases", json={"actions": [action]})
    token = mint(API, Claims(access=(CollectionClaim("mine", "r"),)))
    for path in ("/collections", "/aliases", "/telemetry?details_level=9&per_collection=true", "/issues"):
        status, text = await served.get(path, token)
        assert status == 200
        assert "theirs" not in text, path
        assert ("mine" in text) == (path != "/issues")
        assert "theirs" in (await served.get(path, f"{API}-r"))[1] or path == "/issues"
    told = json.loads((await served.get("/telemetry?details_level=9", token))[1])["result"]
    assert told.keys().isdisjoint({"cluster", "requests", "memory", "quota"})
    async with grpc.aio.insecure_channel(served.address) as channel:
        for method in ("List", "ListAliases"):
            call = channel.unary_unary(f"/qdrant.Collections/{method}")
            answer = await call(b"", metadata=(("api-key", token),))
            assert b"mine" in answer
            assert b"theirs" not in answer
