"""Snapshots in a bucket, on moto's server: the same promises as in a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from node.client.snapshots import Written
from protos.errors import NotFound, ServiceError
from router.snapshots import s3
from router.snapshots.drafts import Drafts
from router.snapshots.folder import SnapshotFolders
from router.snapshots.naming import WHOLE, shard_folder
from router.snapshots.s3 import Bucket, S3Snapshots
from router.snapshots.store import SnapshotStore

pytestmark = pytest.mark.slow

FOLDER = ("c",)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def bucket(endpoint: str, name: str = "kept") -> Bucket:
    return Bucket(name, "us-east-1", "key", "secret", endpoint)


@pytest.fixture(params=["folder", "s3"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SnapshotStore]:
    if request.param == "folder":
        yield SnapshotFolders(tmp_path / "snapshots")
        return
    monkeypatch.setattr(s3, "PART_BYTES_MIN", 5 << 20)  # the least that the protocol allows
    kept = S3Snapshots(bucket(request.getfixturevalue("endpoint")), Drafts(tmp_path))
    client = await kept._client()
    await client.create_bucket(Bucket="kept")
    yield kept
    for page in [one async for one in client.get_paginator("list_objects_v2").paginate(Bucket="kept")]:
        for found in page.get("Contents", ()):
            await client.delete_object(Bucket="kept", Key=found["Key"])
    await kept.close()


async def put(store: SnapshotStore, tmp_path: Path, name: str, data: bytes, folder=FOLDER) -> str:  # type: ignore[no-untyped-def]
    draft = tmp_path / "draft"
    draft.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    made = await store.put(folder, name, draft, Written(len(data), digest))
    assert (made.name, made.size, made.checksum) == (name, len(data), digest)
    assert not draft.exists()
    return digest


@pytest.mark.parametrize("size", [0, 10, (12 << 20) + 1])
async def test_what_is_kept_is_sent_as_it_was(store: SnapshotStore, tmp_path: Path, size: int) -> None:
    """The largest one goes in parts."""
    data = os.urandom(size)
    await put(store, tmp_path, "a.snapshot", data)
    async with store.opened(FOLDER, "a.snapshot") as content:
        assert content.size == size
        if content.chunks is not None:
            assert b"".join([chunk async for chunk in content.chunks]) == data
    async with store.local(FOLDER, "a.snapshot") as path:
        assert path.read_bytes() == data


async def test_folders_are_listed_apart(store: SnapshotStore, tmp_path: Path) -> None:
    digest = await put(store, tmp_path, "b.snapshot", b"b")
    await put(store, tmp_path, "a.snapshot", b"a")
    await put(store, tmp_path, "shard.snapshot", b"s", shard_folder("c", 0))
    await put(store, tmp_path, "full.snapshot", b"f", WHOLE)
    await put(store, tmp_path, "other.file", b"o")
    listed = await store.list(FOLDER)
    assert [(file.name, file.checksum) for file in listed][1] == ("b.snapshot", digest)
    assert [file.name for file in listed] == ["a.snapshot", "b.snapshot"]
    assert [file.name for file in await store.list(WHOLE)] == ["full.snapshot"]
    assert [file.name for file in await store.list(("nobody",))] == []


async def test_what_is_not_there_is_not_found(store: SnapshotStore, tmp_path: Path) -> None:
    assert not await store.exists(FOLDER, "a.snapshot")
    await put(store, tmp_path, "a.snapshot", b"a")
    assert await store.exists(FOLDER, "a.snapshot")
    await store.delete(FOLDER, "a.snapshot")
    assert not await store.exists(FOLDER, "a.snapshot")
    with pytest.raises(NotFound):
        await store.delete(FOLDER, "a.snapshot")
    with pytest.raises(NotFound):
        async with store.opened(FOLDER, "a.snapshot"):
            pass


async def test_a_bucket_that_is_not_there_or_cannot_be_reached_is_our_fault(
    endpoint: str, tmp_path: Path
) -> None:
    for missing in (bucket(endpoint, "nowhere"), bucket("http://127.0.0.1:1")):
        store = S3Snapshots(missing, Drafts(tmp_path))
        with pytest.raises(ServiceError, match="the snapshot cannot be listed"):
            await store.list(FOLDER)
        await store.close()
