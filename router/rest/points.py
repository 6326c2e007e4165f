"""Point update endpoints (reference 8)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from protos.operations import UpdateResult
from router.auth.needs import Need
from router.points import PointOperations
from router.rest.bodies import changes, schemas, upserts
from router.rest.bodies.reading import read_body
from router.rest.envelope import Operation, enveloped_route
from router.rest.params import collection_name, write_options
from router.rest.routes import Route

WRITE_QUERY = ("wait", "ordering", "timeout")
_BASE = "/collections/{collection_name}/points"


def point_routes(points: PointOperations) -> list[Route]:
    def change(method: str, path: str, summary: str, body: Any, decode: changes.DraftDecoder) -> Route:
        return _route(method, path, summary, body, UpdateResult, _change(points, decode))

    batch = _batch(points)
    return [
        change("PUT", "", "Upsert points", schemas.UpsertBody, upserts.decode_upsert),
        change("POST", "/delete", "Delete points", schemas.PointsSelectorBody, changes.decode_delete),
        change("PUT", "/vectors", "Update vectors", schemas.UpdateVectorsBody, upserts.decode_update_vectors),
        change(
            "POST",
            "/vectors/delete",
            "Delete vectors",
            schemas.DeleteVectorsBody,
            changes.decode_delete_vectors,
        ),
        change("POST", "/payload", "Set payload", schemas.SetPayloadBody, changes.decode_set_payload),
        change(
            "PUT",
            "/payload",
            "Overwrite payload",
            schemas.SetPayloadBody,
            changes.decode_overwrite_payload,
        ),
        change(
            "POST",
            "/payload/delete",
            "Delete payload",
            schemas.DeletePayloadBody,
            changes.decode_delete_payload,
        ),
        change(
            "POST",
            "/payload/clear",
            "Clear payload",
            schemas.PointsSelectorBody,
            changes.decode_clear_payload,
        ),
        _route("POST", "/batch", "Batch update points", schemas.UpdateBatchBody, list[UpdateResult], batch),
    ]


def _route(method: str, path: str, summary: str, body: Any, result: Any, operation: Operation) -> Route:
    need = Need.WRITE_POINTS_OF_COLLECTION
    return enveloped_route(
        method, _BASE + path, operation, need, summary, WRITE_QUERY, tag="Points", body=body, result=result
    )


def _change(points: PointOperations, decode: changes.DraftDecoder) -> Operation:
    async def apply(request: web.Request) -> UpdateResult:
        name, options = collection_name(request), write_options(request)
        draft = decode(await read_body(request))
        return await points.apply(name, draft, options)

    return apply


def _batch(points: PointOperations) -> Operation:
    async def apply(request: web.Request) -> list[UpdateResult]:
        name, options = collection_name(request), write_options(request)
        drafts = changes.decode_batch(await read_body(request))
        return await points.apply_batch(name, drafts, options)

    return apply
