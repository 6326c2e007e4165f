"""The description of the API."""

from __future__ import annotations

from aiohttp import web

from router.auth.needs import Need
from router.rest.openapi import describe
from router.rest.routes import Route
from tests.router.rest.conftest import Rest


async def test_the_description_lists_every_route_and_resolves_every_reference(rest: Rest) -> None:
    document = (await rest.get("/openapi.json")).json
    paths = document["paths"]
    assert paths["/collections/{collection_name}/points/query"].keys() == {"post"}
    assert paths["/collections/{collection_name}"].keys() == {"get", "put", "patch", "delete"}
    assert "/crash" in paths  # routes given from outside too
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert _references(document) <= known


async def test_an_operation_has_parameters_body_and_answer(rest: Rest) -> None:
    paths = (await rest.get("/openapi.json")).json["paths"]
    upsert = paths["/collections/{collection_name}/points"]["put"]
    assert [parameter["name"] for parameter in upsert["parameters"]] == [
        "collection_name",
        "wait",
        "ordering",
        "timeout",
    ]
    assert "application/json" in upsert["requestBody"]["content"]
    answer = upsert["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["properties"].keys() == {"result", "status", "time"}


async def test_operation_ids_are_unique(rest: Rest) -> None:
    paths = (await rest.get("/openapi.json")).json["paths"]
    ids = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_endpoints_that_answer_with_text_say_so() -> None:
    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="fine")

    paths = describe([Route("GET", "/fine", handle, Need.PUBLIC, media_type="text/plain")])["paths"]
    assert paths["/fine"]["get"]["responses"]["200"]["content"].keys() == {"text/plain"}


def _references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    if isinstance(value, list):
        return set().union(*map(_references, value))
    return set()
