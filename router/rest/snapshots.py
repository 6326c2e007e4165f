"""Snapshot endpoints: of collections, shards and the whole storage (reference 13.2)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from node.client.snapshots import PartialManifest
from protos.errors import BadRequest
from router.auth.needs import Need
from router.rest.bodies.reading import read_body
from router.rest.bodies.snapshots import (
    RecoverBody,
    RecoverFromBody,
    decode_recover,
    decode_recover_from,
    upload_options,
)
from router.rest.cluster import unsigned
from router.rest.envelope import Operation, accepted, enveloped_route, success
from router.rest.params import collection_name, flag
from router.rest.routes import Handler, Route
from router.snapshots.naming import WHOLE, Folder, SnapshotFile
from router.snapshots.operations import SnapshotOperations
from router.snapshots.partial import PartialSnapshots
from router.snapshots.requests import RecoverOptions
from router.snapshots.store import Content
from router.snapshots.whole import WholeSnapshots

_COLLECTION = "/collections/{collection_name}"
_SHARD = _COLLECTION + "/shards/{shard_id}"
_FIELD = "snapshot"  # of an upload
_CHUNK_BYTES = 1 << 20
_BYTES = "application/octet-stream"


def snapshot_routes(
    snapshots: SnapshotOperations, whole: WholeSnapshots, partial: PartialSnapshots
) -> list[Route]:
    handlers = _SnapshotHandlers(snapshots, whole)
    read, write = Need.READ_EXTRAS_OF_COLLECTION, Need.WRITE_EXTRAS_OF_COLLECTION
    manage, one, many = Need.MANAGE_COLLECTION, SnapshotFile, list[SnapshotFile]
    routes = [
        _get("/snapshots", handlers.list_whole, Need.GLOBAL_READ, "List snapshots of the storage", many),
        _change("POST", "/snapshots", handlers.create_whole, Need.GLOBAL_MANAGE, "Create one", one),
        _download("/snapshots/{snapshot_name}", handlers.download_whole, Need.GLOBAL_READ),
        _change("DELETE", "/snapshots/{snapshot_name}", handlers.delete_whole, Need.GLOBAL_MANAGE, "Delete"),
        _download(f"{_SHARD}/snapshot", handlers.stream, read),
    ]
    for base, what in ((_COLLECTION, "collection"), (_SHARD, "shard")):
        path = f"{base}/snapshots"
        routes += [
            _get(path, handlers.list, read, f"List snapshots of a {what}", many),
            _change("POST", path, handlers.create, write, f"Create a snapshot of a {what}", one),
            _download(path + "/{snapshot_name}", handlers.download, read),
            _change("DELETE", path + "/{snapshot_name}", handlers.delete, write, f"Delete one of a {what}"),
            _change(
                "PUT", f"{path}/recover", handlers.recover, manage, f"Recover a {what}", body=RecoverBody
            ),
            _change(
                "POST",
                f"{path}/upload",
                handlers.upload,
                manage,
                f"Recover a {what} from an upload",
                query=("wait", "priority", "checksum"),
            ),
        ]
    return routes + _partial_routes(_PartialHandlers(snapshots, partial))


def _partial_routes(handlers: _PartialHandlers) -> list[Route]:
    path, read, manage = f"{_SHARD}/snapshot/partial", Need.READ_EXTRAS_OF_COLLECTION, Need.MANAGE_COLLECTION
    return [
        _get(f"{path}/manifest", handlers.manifest, read, "What a shard consists of", PartialManifest),
        Route(
            "POST",
            f"{path}/create",
            handlers.create,
            read,
            "Download what a shard that consists of a manifest lacks; 304 if nothing",
            "Snapshots",
            body=PartialManifest,
            media_type=_BYTES,
        ),
        _change(
            "POST",
            f"{path}/recover",
            handlers.recover,
            manage,
            "Recover a shard from what it lacks",
            query=("wait", "priority", "checksum"),
        ),
        _change(
            "POST",
            f"{path}/recover_from",
            handlers.recover_from,
            manage,
            "Make a shard what it is on another node; false if it is that already",
            body=RecoverFromBody,
        ),
    ]


def _get(path: str, operation: Operation, needs: Need, summary: str, result: Any) -> Route:
    return enveloped_route("GET", path, operation, needs, summary, tag="Snapshots", result=result)


def _change(
    method: str,
    path: str,
    handler: Handler,
    needs: Need,
    summary: str,
    result: Any = bool,
    *,
    body: Any = None,
    query: tuple[str, ...] = ("wait",),
) -> Route:
    return Route(
        method, path, handler, needs, summary, "Snapshots", query, body, result, enveloped=True, accepts=True
    )


def _download(path: str, handler: Handler, needs: Need) -> Route:
    return Route("GET", path, handler, needs, "Download a snapshot", "Snapshots", media_type=_BYTES)


class _SnapshotHandlers:
    def __init__(self, snapshots: SnapshotOperations, whole: WholeSnapshots) -> None:
        self._snapshots, self._whole = snapshots, whole

    # --- of collections and shards -----------------------------------------------------------------------

    async def list(self, request: web.Request) -> Any:
        return await self._snapshots.list(self._folder(request))

    async def create(self, request: web.Request) -> web.StreamResponse:
        name, shard_id = _target(request)
        if shard_id is None:
            self._snapshots.folder(name)
            return await self._answer(request, self._snapshots.create(name), "create snapshot")
        self._snapshots.folder(name, shard_id)
        call = self._snapshots.create_of_shard(name, shard_id)
        return await self._answer(request, call, "create shard snapshot")

    async def download(self, request: web.Request) -> web.StreamResponse:
        file = request.match_info["snapshot_name"]
        return await _send(request, file, self._snapshots.opened(self._folder(request), file))

    async def stream(self, request: web.Request) -> web.StreamResponse:
        name, shard_id = _target(request)
        assert shard_id is not None
        async with self._snapshots.streamed(name, shard_id) as (file, content):
            return await _stream(request, file, content)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        call = self._snapshots.delete(self._folder(request), request.match_info["snapshot_name"])
        return await self._answer(request, call, "delete snapshot")

    async def recover(self, request: web.Request) -> web.StreamResponse:
        name, shard_id = _target(request)
        location, api_key, options = decode_recover(await read_body(request))
        if shard_id is None:
            call = self._snapshots.recover(name, location, api_key, options)
        else:
            call = self._snapshots.recover_shard(name, shard_id, location, api_key, options)
        return await self._answer(request, call, "recover snapshot")

    async def upload(self, request: web.Request) -> web.StreamResponse:
        name, shard_id = _target(request)
        options, wait = upload_options(request), _wait(request)
        if shard_id is not None:
            self._snapshots.folder(name, shard_id)

        async def restore(path: Path) -> bool:
            if shard_id is None:
                return await self._snapshots.restore_collection(name, path, options)
            return await self._snapshots.restore_shard(name, shard_id, path, options)

        return await _restored(self._snapshots, request, restore, options, wait=wait)

    def _folder(self, request: web.Request) -> Folder:
        return self._snapshots.folder(*_target(request))

    async def _answer(
        self, request: web.Request, call: Coroutine[Any, Any, Any], what: str
    ) -> web.StreamResponse:
        return await _answered(self._snapshots, request, call, what)

    # --- of the whole storage ----------------------------------------------------------------------------

    async def list_whole(self, _request: web.Request) -> Any:
        return await self._snapshots.list(WHOLE)

    async def create_whole(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, self._whole.create(), "create full snapshot")

    async def download_whole(self, request: web.Request) -> web.StreamResponse:
        file = request.match_info["snapshot_name"]
        return await _send(request, file, self._snapshots.opened(WHOLE, file))

    async def delete_whole(self, request: web.Request) -> web.StreamResponse:
        call = self._snapshots.delete(WHOLE, request.match_info["snapshot_name"])
        return await self._answer(request, call, "delete full snapshot")


class _PartialHandlers:
    def __init__(self, snapshots: SnapshotOperations, partial: PartialSnapshots) -> None:
        self._snapshots, self._partial = snapshots, partial

    async def manifest(self, request: web.Request) -> Any:
        return await self._partial.manifest(*_shard(request))

    async def create(self, request: web.Request) -> web.StreamResponse:
        manifest = await read_body(request)
        async with self._partial.created(*_shard(request), manifest) as (file, content):
            return await _stream(request, file, content)

    async def recover(self, request: web.Request) -> web.StreamResponse:
        name, shard_id = _shard(request)
        options, wait = upload_options(request), _wait(request)
        self._partial.require_idle(name, shard_id)

        async def restore(path: Path) -> bool:
            return await self._partial.recover(name, shard_id, path, options)

        return await _restored(self._snapshots, request, restore, options, wait=wait)

    async def recover_from(self, request: web.Request) -> web.StreamResponse:
        name, shard_id = _shard(request)
        peer_url, api_key = decode_recover_from(await read_body(request))
        call = self._partial.recover_from(name, shard_id, peer_url, api_key)
        return await _answered(self._snapshots, request, call, "follow another node's shard")


async def _restored(
    snapshots: SnapshotOperations,
    request: web.Request,
    restore: Callable[[Path], Awaitable[bool]],
    options: RecoverOptions,
    *,
    wait: bool,
) -> web.StreamResponse:
    """Take in what is uploaded, and ``restore`` from it."""
    started_s = time.perf_counter()
    chunks = await _uploaded(request)
    async with AsyncExitStack() as stack:
        received = snapshots.drafts.received(chunks, checksum=options.checksum)
        path = await stack.enter_async_context(received)
        kept = stack.pop_all()

    async def restored() -> bool:
        async with kept:
            return await restore(path)

    if not wait:
        snapshots.begin(restored(), "recover uploaded snapshot")
        return accepted(started_s)
    return success(await snapshots.finish(restored(), "recover uploaded snapshot"), started_s)


async def _answered(
    snapshots: SnapshotOperations, request: web.Request, call: Coroutine[Any, Any, Any], what: str
) -> web.StreamResponse:
    started_s = time.perf_counter()
    try:
        wait = _wait(request)
    except BaseException:
        call.close()
        raise
    if wait:
        return success(await snapshots.finish(call, what), started_s)
    snapshots.begin(call, what)
    return accepted(started_s)


def _shard(request: web.Request) -> tuple[str, int]:
    return collection_name(request), unsigned(request, "shard_id", bits=32)


def _target(request: web.Request) -> tuple[str, int | None]:
    """The collection, and the shard if the path has one."""
    name = collection_name(request)
    return name, unsigned(request, "shard_id", bits=32) if "shard_id" in request.match_info else None


def _wait(request: web.Request) -> bool:
    """True unless said otherwise, on these routes alone."""
    return flag(request, "wait", default=True)


# --- bytes in and out -----------------------------------------------------------------------------------


# How aiohttp says that a form is none.
_UNREADABLE = (ValueError, AssertionError, HttpProcessingError, web.RequestPayloadError)


async def _uploaded(request: web.Request) -> AsyncIterator[bytes]:
    """The bytes of the field. Raises: BadRequest if there is none, now or while they come."""
    if not request.content_type.startswith("multipart/"):
        raise BadRequest(f"A multipart form with a field `{_FIELD}` is expected, not {request.content_type}")
    try:
        reader = await request.multipart()
        part = await reader.next()
        while part is not None and not (isinstance(part, BodyPartReader) and part.name == _FIELD):
            part = await reader.next()
    except _UNREADABLE as error:
        raise BadRequest(f"The multipart form cannot be read: {error}") from error
    if part is None:
        raise BadRequest(f"The multipart form has no field `{_FIELD}`")
    assert isinstance(part, BodyPartReader)
    return _chunks(part)


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    try:
        while chunk := await part.read_chunk(_CHUNK_BYTES):
            yield chunk
    except _UNREADABLE as error:
        raise BadRequest(f"The multipart form cannot be read: {error}") from error


async def _send(
    request: web.Request, file: str, opened: AbstractAsyncContextManager[Content]
) -> web.StreamResponse:
    async with opened as content:
        if content.path is None:
            return await _stream(request, file, content)
        return web.FileResponse(content.path, _CHUNK_BYTES, headers=_headers(file))  # sent later


async def _stream(request: web.Request, file: str, content: Content) -> web.StreamResponse:
    assert content.chunks is not None
    response = web.StreamResponse(headers=_headers(file))
    response.content_length = content.size
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        async for chunk in content.chunks:
            await response.write(chunk)
    await response.write_eof()
    return response


def _headers(file: str) -> dict[str, str]:
    disposition = f"attachment; filename*=UTF-8''{quote(file, safe='')}"
    return {hdrs.CONTENT_TYPE: _BYTES, hdrs.CONTENT_DISPOSITION: disposition}
