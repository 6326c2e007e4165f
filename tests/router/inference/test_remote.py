"""The protocol of a remote inference service, with one on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from protos.errors import InferenceError, RateLimited, ServiceError
from router.inference.calls import begin
from router.inference.objects import InferenceObject, ObjectKind, inference_object
from router.inference.remote import RemoteService
from router.vectors import SparseValues

Json = dict[str, Any]


class Service:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Any = {"embeddings": [[1, 2]]}
        self.status, self.headers = 200, dict[str, str]()
        self.bodies: list[Json] = []
        self.asked_with: list[dict[str, str]] = []
        self.stuck: asyncio.Event | None = None

    async def handle(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        self.asked_with.append({name.lower(): value for name, value in request.headers.items()})
        if self.stuck is not None:
            await self.stuck.wait()
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, status=self.status, headers=self.headers)
        return web.json_response(self.answer, status=self.status, headers=self.headers)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def address(service: Service) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/embed", service.handle)
    async with TestServer(app) as server:
        yield str(server.make_url("/embed"))


@pytest.fixture
async def remote(address: str) -> AsyncIterator[RemoteService]:
    made = RemoteService(address, token="of the settings")
    yield made
    await made.close()


TEXT = inference_object(ObjectKind.TEXT, "a text", "some/model", {"x": 1}, "at")
IMAGE = inference_object(ObjectKind.IMAGE, "http://i", "some/images", None, "at")


async def test_the_service_is_asked_and_answers_as_documented(
    service: Service, remote: RemoteService
) -> None:
    call = begin({"Openai-Api-Key": "k1", "api-key": "ours", "x": "y"})
    service.answer = {
        "embeddings": [[1, 2.5], {"indices": [3, 1], "values": [0.5, 1]}],
        "usage": {"models": {"some/model": {"tokens": 7}}},
    }
    found = await remote.embed([TEXT, IMAGE], searching=True)
    assert found == [[1, 2.5], SparseValues([3, 1], [0.5, 1])]
    assert service.bodies == [
        {
            "inputs": [
                {"data": "a text", "data_type": "text", "model": "some/model", "options": {"x": 1}},
                {"data": "http://i", "data_type": "image", "model": "some/images", "options": {}},
            ],
            "inference": "search",
            "token": "of the settings",
        }
    ]
    assert service.asked_with[0]["openai-api-key"] == "k1"
    assert "api-key" not in service.asked_with[0]
    assert "x" not in service.asked_with[0]
    assert call.tokens == {"some/model": 7}


async def test_updates_say_so_and_tokens_add_up(service: Service, remote: RemoteService) -> None:
    call = begin({})
    service.answer = {"embeddings": [[[1, 2], [3, 4]]], "usage": {"models": {"m": {"tokens": 2}}}}
    for _ in range(2):
        assert await remote.embed([TEXT], searching=False) == [[[1, 2], [3, 4]]]
    assert service.bodies[0]["inference"] == "update"
    assert call.tokens == {"m": 4}


@pytest.mark.parametrize(
    ("status", "answer", "error", "text"),
    [
        (400, {"error": "a text is too long"}, InferenceError, "a text is too long"),
        (400, "not like that", InferenceError, "not like that"),
        (401, {"error": "who?"}, ServiceError, "who?"),
        (403, {}, ServiceError, "403"),
        (500, "broken", ServiceError, "broken"),
        (503, "later", ServiceError, "503"),
        (404, "nothing", ServiceError, "404"),
        (200, "no JSON", ServiceError, "Failed to parse"),
        (200, {"embeddings": []}, ServiceError, "returned 0 embeddings for 1 inputs"),
        (200, {"embeddings": [[]]}, ServiceError, "invalid vector"),
        (200, {"embeddings": [{"indices": [1], "values": []}]}, ServiceError, "invalid vector"),
    ],
)
async def test_failures_are_told_by_whose_fault_they_are(
    service: Service, remote: RemoteService, status: int, answer: Any, error: type[Exception], text: str
) -> None:
    service.status, service.answer = status, answer
    with pytest.raises(error, match=text):
        await remote.embed([TEXT], searching=True)


@pytest.mark.parametrize(("header", "seconds"), [({"Retry-After": "13"}, 13), ({}, None)])
async def test_a_busy_service_says_when_to_come_back(
    service: Service, remote: RemoteService, header: dict[str, str], seconds: int | None
) -> None:
    service.status, service.answer, service.headers = 429, "slowly", header
    with pytest.raises(RateLimited, match="slowly") as told:
        await remote.embed([TEXT], searching=True)
    assert told.value.retry_after_s == seconds


async def test_a_service_that_does_not_answer_is_not_waited_for(service: Service, address: str) -> None:
    service.stuck = asyncio.Event()
    remote = RemoteService(address, timeout_s=0.05)
    with pytest.raises(ServiceError, match="Failed to send inference request"):
        await remote.embed([TEXT], searching=True)
    service.stuck.set()
    await remote.close()


async def test_a_service_that_is_not_there_is_an_error_of_ours() -> None:
    remote = RemoteService("http://127.0.0.1:1/embed")
    with pytest.raises(ServiceError, match="Failed to send inference request"):
        await remote.embed(list[InferenceObject]([TEXT]), searching=True)
    await remote.close()
