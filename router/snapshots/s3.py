"""Snapshots in a bucket of S3, or of what speaks its protocol. Implements ``store.SnapshotStore``.

An object's key is the path that its file would have below ``snapshots_path``; its checksum goes along as the
object's own metadata, so that the two appear at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from node.client.snapshots import Written
from protos.errors import NotFound, ServiceError
from router.snapshots.drafts import Drafts, disk_errors
from router.snapshots.naming import Folder, SnapshotFile, creation_time, is_listed, snapshot_not_found
from router.snapshots.store import Content

CHUNK_BYTES = 1 << 20
PART_BYTES_MIN = 16 << 20  # of an upload in parts
PARTS_MAX = 9_000  # the protocol allows 10,000
ASKED_MAX = 16  # objects asked about at the same time
CONNECT_S, SILENCE_S = 10, 60
ATTEMPTS = 3
_SHA256 = "sha256"
_MISSING = ("404", "NoSuchKey", "NotFound")


class Bucket(Struct, frozen=True):
    """None: as the environment of the process says (variables, profile, the machine's role)."""

    name: str
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    endpoint_url: str | None = None


class S3Snapshots:
    """Connects on first use; ``close`` it. ``drafts``: for files that are to be read here."""

    def __init__(self, bucket: Bucket, drafts: Drafts) -> None:
        self._bucket, self._drafts = bucket, drafts
        self._open = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._connected: Any = None

    async def list(self, folder: Folder) -> Sequence[SnapshotFile]:
        prefix, asked = _key(folder, ""), asyncio.Semaphore(ASKED_MAX)
        client = await self._client()

        async def described(found: dict[str, Any]) -> SnapshotFile:
            async with asked:
                return await self._describe(found["Key"])

        with _explained("listed"):
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=prefix, Delimiter="/"
            )
            found = [one async for page in pages for one in page.get("Contents", ())]
        wanted = [one for one in found if is_listed(one["Key"].removeprefix(prefix))]
        return sorted(await asyncio.gather(*map(described, wanted)), key=lambda file: file.name)

    async def exists(self, folder: Folder, name: str) -> bool:
        try:
            await self._describe(_key(folder, name))
        except NotFound:
            return False
        return True

    async def put(self, folder: Folder, name: str, draft: Path, written: Written) -> SnapshotFile:
        client, key, metadata = await self._client(), _key(folder, name), {_SHA256: written.sha256}
        part_bytes = max(PART_BYTES_MIN, -(-written.size // PARTS_MAX))
        with _explained("stored"):
            if written.size <= part_bytes:
                with disk_errors("the snapshot cannot be read"):
                    data = await asyncio.to_thread(draft.read_bytes)
                await client.put_object(Bucket=self._bucket.name, Key=key, Body=data, Metadata=metadata)
            else:
                await self._put_in_parts(client, key, draft, metadata, part_bytes)
        await asyncio.to_thread(draft.unlink, missing_ok=True)
        return await self._describe(key)

    async def _put_in_parts(
        self, client: Any, key: str, draft: Path, metadata: dict[str, str], part_bytes: int
    ) -> None:
        target = {"Bucket": self._bucket.name, "Key": key}
        upload = await client.create_multipart_upload(**target, Metadata=metadata)
        target["UploadId"] = upload["UploadId"]
        try:
            parts = []
            async for number, data in _parts(draft, part_bytes):
                part = await client.upload_part(**target, PartNumber=number, Body=data)
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
            await client.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
        except BaseException:
            await asyncio.shield(client.abort_multipart_upload(**target))
            raise

    @asynccontextmanager
    async def opened(self, folder: Folder, name: str) -> AsyncIterator[Content]:
        client, key = await self._client(), _key(folder, name)
        with _explained("read", name):
            answer = await client.get_object(Bucket=self._bucket.name, Key=key)
            async with answer["Body"] as body:
                yield Content(answer["ContentLength"], chunks=_chunks(body))

    @asynccontextmanager
    async def local(self, folder: Folder, name: str) -> AsyncIterator[Path]:
        async with self.opened(folder, name) as content:
            assert content.chunks is not None
            async with self._drafts.received(content.chunks) as path:
                yield path

    async def delete(self, folder: Folder, name: str) -> None:
        client, key = await self._client(), _key(folder, name)
        await self._describe(key)
        with _explained("deleted", name):
            await client.delete_object(Bucket=self._bucket.name, Key=key)

    async def close(self) -> None:
        await self._open.aclose()

    async def _describe(self, key: str) -> SnapshotFile:
        name, client = key.rpartition("/")[2], await self._client()
        with _explained("found", name):
            head = await client.head_object(Bucket=self._bucket.name, Key=key)
        created = creation_time(head["LastModified"].timestamp())
        return SnapshotFile(name, created, head["ContentLength"], head["Metadata"].get(_SHA256))

    async def _client(self) -> Any:
        async with self._opening:
            if self._connected is None:
                bucket = self._bucket
                making = get_session().create_client(
                    "s3",
                    region_name=bucket.region,
                    endpoint_url=bucket.endpoint_url,
                    aws_access_key_id=bucket.access_key,
                    aws_secret_access_key=bucket.secret_key,
                    config=AioConfig(
                        connect_timeout=CONNECT_S,
                        read_timeout=SILENCE_S,
                        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                    ),
                )
                with _explained("reached"):
                    self._connected = await self._open.enter_async_context(making)
            return self._connected


def _key(folder: Folder, name: str) -> str:
    return "/".join((*folder, name))


async def _parts(path: Path, part_bytes: int) -> AsyncIterator[tuple[int, bytes]]:
    with disk_errors("the snapshot cannot be read"):
        file = await asyncio.to_thread(path.open, "rb")
        try:
            number = 1
            while data := await asyncio.to_thread(file.read, part_bytes):
                yield number, data
                number += 1
        finally:
            file.close()


async def _chunks(body: Any) -> AsyncIterator[bytes]:
    while chunk := await body.read(CHUNK_BYTES):
        yield chunk


@contextmanager
def _explained(done: str, name: str | None = None) -> Iterator[None]:
    """Raise what the store or the way to it refuses as an error of the API."""
    try:
        yield
    except ClientError as error:
        if name is not None and error.response["Error"]["Code"] in _MISSING:
            raise snapshot_not_found(name) from error
        raise ServiceError(f"the snapshot cannot be {done} in the bucket: {error}") from error
    except (BotoCoreError, aiohttp.ClientError, TimeoutError) as error:
        raise ServiceError(f"the snapshot cannot be {done} in the bucket: {error}") from error
