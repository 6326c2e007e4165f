"""``/openapi.json``: an OpenAPI 3 description of the routes this program serves.

Made from the route table and the structs bodies are decoded from, so it cannot fall behind them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata
from typing import Any

import msgspec
from aiohttp import web

from router.auth.needs import Need
from router.rest.envelope import JSON, json_response
from router.rest.routes import Route, RouteTable

_REF = "#/components/schemas/{name}"
_PATH_PARAMETER = re.compile(r"{(\w+)}")

_QUERY_SCHEMAS: dict[str, tuple[str, dict[str, Any]]] = {
    "wait": ("Answer only when the change is visible to reads", {"type": "boolean", "default": False}),
    "ordering": ("Order of concurrent writes", {"type": "string", "enum": ["weak", "medium", "strong"]}),
    "timeout": ("Seconds to wait at most", {"type": "integer", "minimum": 1}),
    "consistency": (
        "How many replicas must agree",
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "enum": ["majority", "quorum", "all"]},
            ]
        },
    ),
    "with": ("Comma-separated parts to include", {"type": "string"}),
    "force": ("Remove a peer with its replicas", {"type": "boolean", "default": False}),
    "anonymize": ("Leave out names", {"type": "boolean", "default": False}),
    "details_level": ("How much to tell", {"type": "integer", "minimum": 0, "default": 0}),
    "per_collection": ("Tell requests by collection", {"type": "boolean", "default": False}),
    "priority": (
        "Whose points count where there are other replicas",
        {"type": "string", "enum": ["no_sync", "snapshot", "replica"], "default": "snapshot"},
    ),
    "checksum": ("SHA-256 of the file, in hex", {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}),
    "limit": ("How many to show at most", {"type": "integer", "minimum": 0, "default": 10}),
    "request": ("Text that the names of requests contain", {"type": "string"}),
    "completed_limit": ("Completed tasks to show at most", {"type": "integer", "minimum": 0}),
}


def openapi_route(table: RouteTable) -> Route:
    """The route that serves the description of ``table``, itself included."""
    document: list[bytes] = []

    async def handle(_request: web.Request) -> web.StreamResponse:
        if not document:
            document.append(msgspec.json.encode(describe(table.routes)))
        return json_response(document[0])

    return Route("GET", "/openapi.json", handle, Need.KNOWN, "This description", result=dict[str, Any])


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI 3 document for ``routes``."""
    routes = list(routes)
    types = [kind for route in routes for kind in (route.body, route.result) if kind is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = {repr(kind): schema for kind, schema in zip(types, schemas)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(_shown(route.path), {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.0.3",
        "info": {"title": "Vecraft", "version": metadata.version("vecraft")},
        "paths": paths,
        "components": {"schemas": {**components, "Error": _ERROR}},
    }


def _shown(path: str) -> str:
    """OpenAPI has no way to say that a parameter spans several segments."""
    return path.replace("*}", "}")


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [route.tag],
        "summary": route.summary,
        "operationId": _operation_id(route),
        "parameters": [*_path_parameters(_shown(route.path)), *map(_query_parameter, route.query)],
        "responses": {
            "200": _answer("Success", _result(route, schemas), route.media_type),
            "default": _answer("Error", {"$ref": _REF.format(name="Error")}),
        },
    }
    if route.accepts:
        described["responses"]["202"] = _answer("It is being done", _ACCEPTED)
    if route.body is not None:
        content = {JSON: {"schema": schemas[repr(route.body)]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _operation_id(route: Route) -> str:
    words = _PATH_PARAMETER.sub(r"by_\1", _shown(route.path)).strip("/").replace("/", "_").replace(".", "_")
    return f"{route.method.lower()}_{words or 'root'}"


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(path)
    ]


def _query_parameter(name: str) -> dict[str, Any]:
    text, schema = _QUERY_SCHEMAS[name]
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def _answer(text: str, schema: dict[str, Any], media_type: str = JSON) -> dict[str, Any]:
    return {"description": text, "content": {media_type: {"schema": schema}}}


def _result(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    result = {} if route.result is None else schemas[repr(route.result)]
    if not route.enveloped:
        return dict(result)
    return {
        "type": "object",
        "properties": {
            "result": result,
            "status": {"type": "string", "example": "ok"},
            "time": {"type": "number", "description": "Seconds spent on the request"},
        },
    }


_ACCEPTED: dict[str, Any] = {
    "type": "object",
    "properties": {"status": {"type": "string", "example": "accepted"}, "time": {"type": "number"}},
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"type": "object", "properties": {"error": {"type": "string"}}},
        "time": {"type": "number"},
    },
}
