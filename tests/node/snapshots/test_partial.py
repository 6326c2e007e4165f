"""Partial snapshots of real shards: two nodes, one takes writes, the other follows it."""

from __future__ import annotations

import asyncio
import io
import json
import random
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from consensus.state import ClusterState
from node.client.snapshots import (
    FileState,
    PartialManifest,
    Written,
    decode_manifest,
    encode_manifest,
)
from node.local import LocalNode
from node.replica.replica import ShardReplica
from node.snapshots.states import BLOCK_BYTES_MIN
from node.snapshots.tar import TarWriter
from protos.collections import PayloadSchema, PayloadSchemaType
from protos.errors import BadInput
from protos.operations import DeletePoints, PointChange, SetPayload, Upsert
from tests.node.replica.points import batch, contents, upsert, write
from tests.node.snapshots.test_service import anything, restored, state_of, things

MANY = 66_000  # more than a growing segment takes


class Side:
    """A node with one shard of its own; nothing is optimized there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state: ClusterState = state_of(replace(things(), uuid=directory.name))
        self.node = LocalNode(directory / "storage", search_threads=1)

    async def start(self) -> None:
        await self.node.reconcile(self.state)

    async def restart(self) -> None:
        await self.node.close()
        self.node = LocalNode(self.directory / "storage", search_threads=1)
        await self.start()

    @property
    def replica(self) -> ShardReplica:
        held = self.node.held("things", 0)
        assert isinstance(held, ShardReplica)
        return held

    async def write(self, change: PointChange) -> None:
        await write(self.replica, change)

    async def contents(self) -> dict[Any, Any]:
        return await contents(self.replica)

    async def manifest(self) -> PartialManifest:
        return await self.node.snapshots.manifest(self.state.collections["things"], 0)

    async def archive(self, theirs: PartialManifest, path: Path) -> Written | None:
        return await self.node.snapshots.write_partial(self.state.collections["things"], 0, theirs, path)

    async def take(self, path: Path) -> None:
        collection = self.state.collections["things"]
        async with self.node.snapshots.receiving(collection, 0) as receiver:
            ready = await receiver.read(path, anything)
        files = await self.node.snapshots.prepare(ready, collection, {0: 0})
        self.state = restored(self.state, files)
        await self.start()
        await self.node.snapshots.settled(self.state.collections["things"], files)

    async def pull(self, source: Side) -> int:
        """Follow ``source``. Returns: how many bytes came; 0: nothing differed."""
        path = self.directory / "incoming"
        path.unlink(missing_ok=True)
        written = await source.archive(decode_manifest(encode_manifest(await self.manifest())), path)
        if written is None:
            return 0
        await self.take(path)
        return written.size

    def left(self) -> list[Path]:
        places = (self.directory / "storage" / name for name in ("restoring", "transfers"))
        return [path for place in places if place.exists() for path in place.iterdir()]


@pytest.fixture
async def sides(tmp_path: Path) -> AsyncIterator[tuple[Side, Side]]:
    """The one that is written to, and the one that follows."""
    source, follower = Side(tmp_path / "source"), Side(tmp_path / "follower")
    await source.start()
    await follower.start()
    yield source, follower
    await source.node.close()
    await follower.node.close()


def heavy(count: int, *, start: int = 0) -> Upsert:
    """Points with a payload of a hundred bytes."""
    ids = range(start, start + count)
    matrix = np.zeros((count, 4), dtype="<f4")
    matrix[:, 0] = ids
    payloads = [b'{"n":%d,"text":"%s"}' % (i, b"x" * 100) for i in ids]
    return Upsert(list(ids), (batch(matrix),), payloads)


async def test_what_is_written_on_one_side_is_read_on_the_other(sides: tuple[Side, Side]) -> None:
    source, follower = sides
    await source.write(upsert(range(50)))
    assert await follower.pull(source) > 0
    assert await follower.contents() == await source.contents()
    await source.write(DeletePoints(list(range(10))))
    await source.write(SetPayload(json.dumps({"more": True}).encode(), ids=[20, 21]))
    await source.write(upsert([3, 100]))
    await follower.pull(source)
    assert await follower.contents() == await source.contents()
    await follower.restart()
    assert await follower.contents() == await source.contents()
    assert follower.left() == source.left() == []


async def test_little_comes_when_little_has_changed(sides: tuple[Side, Side]) -> None:
    """Finished segments stay the files that they are; of the points' file a few pages come."""
    source, follower = sides
    await source.write(heavy(MANY))
    first = await follower.pull(source)
    before = segment_files(follower)
    assert len(before) > 1
    await source.write(upsert([5, MANY + 1]))
    await source.write(DeletePoints([7]))
    second = await follower.pull(source)
    assert await follower.contents() == await source.contents()
    assert second < first / 10
    kept = {path: inode for path, inode in before.items() if segment_files(follower).get(path) == inode}
    assert kept
    assert any(path.suffix == ".f32" for path in kept)


def segment_files(side: Side) -> dict[Path, int]:
    root = side.directory / "storage/collections/things/0/segments"
    return {path.relative_to(root): path.stat().st_ino for path in root.rglob("*") if path.is_file()}


async def test_nothing_comes_when_nothing_has_changed(sides: tuple[Side, Side], tmp_path: Path) -> None:
    source, follower = sides
    assert await source.archive(await source.manifest(), tmp_path / "none") is None
    await source.write(upsert(range(5)))
    await follower.pull(source)
    assert await follower.pull(source) == 0
    await follower.restart()
    await source.restart()
    assert await follower.pull(source) == 0
    assert await source.archive(await source.manifest(), tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


async def test_what_the_follower_wrote_itself_is_undone(sides: tuple[Side, Side]) -> None:
    source, follower = sides
    await source.write(upsert(range(5)))
    await follower.pull(source)
    await follower.write(upsert([1, 70]))
    await follower.write(DeletePoints([2]))
    assert await follower.contents() != await source.contents()
    assert await follower.pull(source) > 0
    assert await follower.contents() == await source.contents()


async def test_an_index_that_only_the_source_has_does_not_come_again_and_again(tmp_path: Path) -> None:
    """The follower drops it, which leaves the points as they are."""
    source, follower = Side(tmp_path / "source"), Side(tmp_path / "follower")
    schema = {"n": PayloadSchema(PayloadSchemaType.INTEGER)}
    source.state = state_of(replace(source.state.collections["things"], payload_schema=schema))
    await source.start()
    await follower.start()
    await source.write(upsert(range(5)))
    await follower.pull(source)
    assert await follower.contents() == await source.contents()
    assert set(source.replica.view.columns.fields) == {"n"}
    assert set(follower.replica.view.columns.fields) == set()
    assert await follower.pull(source) == 0
    await source.node.close()
    await follower.node.close()


async def test_one_may_follow_another_follower(sides: tuple[Side, Side], tmp_path: Path) -> None:
    source, follower = sides
    third = Side(tmp_path / "third")
    await third.start()
    for ids in (range(5), range(3, 9)):
        await source.write(upsert(ids))
        await follower.pull(source)
        await third.pull(follower)
        assert await third.contents() == await source.contents()
    assert await third.pull(follower) == 0
    await third.node.close()


async def test_each_pull_is_of_one_moment_while_writes_go_on(sides: tuple[Side, Side]) -> None:
    """Every write puts the same number everywhere, so a mixture of two would show."""
    source, follower = sides
    done = asyncio.Event()

    async def writing() -> None:
        number = 0
        while not done.is_set():
            number += 1
            await source.write(upsert(range(2000), [{"n": number}] * 2000))

    writer = asyncio.create_task(writing())
    try:
        for _ in range(6):
            await follower.pull(source)
            payloads = {payload["n"] for payload, _ in (await follower.contents()).values()}
            assert len(payloads) <= 1
    finally:
        done.set()
        await writer
    await follower.pull(source)
    assert await follower.contents() == await source.contents()


async def test_searches_are_answered_while_it_follows(sides: tuple[Side, Side], tmp_path: Path) -> None:
    """Unpacking happens beside the shard: it changes only when the state does."""
    source, follower = sides
    await source.write(upsert(range(5)))
    path = tmp_path / "partial"
    await source.archive(await follower.manifest(), path)
    collection = follower.state.collections["things"]
    async with follower.node.snapshots.receiving(collection, 0) as receiver:
        ready = await receiver.read(path, anything)
        await follower.node.snapshots.prepare(ready, collection, {0: 0})
        assert await follower.contents() == {}
        await follower.write(upsert([9]))
        assert list(await follower.contents()) == [9]
    await follower.node.snapshots.discard(ready.files.values())
    assert follower.left() == []


# --- what is wrong with an archive or a manifest -----------------------------------------------------------


async def followed(sides: tuple[Side, Side], tmp_path: Path) -> tuple[Path, dict[Any, Any]]:
    """An archive with blocks, whole files and files that stay; what the follower has before."""
    source, follower = sides
    await source.write(heavy(3000))
    await follower.pull(source)
    await source.write(upsert([5]))
    path = tmp_path / "partial"
    await source.archive(await follower.manifest(), path)
    return path, await follower.contents()


async def refused(follower: Side, data: bytes, tmp_path: Path) -> str:
    path = tmp_path / "damaged"
    path.write_bytes(data)
    with pytest.raises(BadInput) as refusal:
        await follower.take(path)
    assert follower.left() == []
    return str(refusal.value)


async def test_whatever_is_changed_in_an_archive_shows(sides: tuple[Side, Side], tmp_path: Path) -> None:
    path, before = await followed(sides, tmp_path)
    data, rng = path.read_bytes(), random.Random(1)
    with tarfile.open(path) as tar:
        parts = [(info.offset_data, info.size) for info in tar]
    for start, size in parts:
        for _ in range(4):
            at = start + rng.randrange(size)
            await refused(sides[1], data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :], tmp_path)
        await refused(sides[1], data[: start + size // 2], tmp_path)
    assert await sides[1].contents() == before
    await sides[1].take(path)
    assert await sides[1].contents() == await sides[0].contents()


async def test_an_archive_for_other_files_is_refused(sides: tuple[Side, Side], tmp_path: Path) -> None:
    path, _ = await followed(sides, tmp_path)
    source, follower = sides
    await follower.write(upsert([1, 2, 3]))
    before = await follower.contents()
    assert "made for other files" in await refused(follower, path.read_bytes(), tmp_path)
    assert await follower.contents() == before
    third = Side(tmp_path / "third")
    await third.start()
    assert "made for other files" in await refused(third, path.read_bytes(), tmp_path)
    await third.node.close()
    whole = tmp_path / "whole"
    await source.node.snapshots.write(source.state.collections["things"], [0], whole, kind="shard")
    assert "should" in await refused(follower, whole.read_bytes(), tmp_path)


LIES: list[dict[str, Any]] = [
    {"points.mdb": {"size": 1 << 60, "sum": "00", "block_bytes": BLOCK_BYTES_MIN}},
    {"points.mdb": {"size": BLOCK_BYTES_MIN, "sum": "00", "block_bytes": BLOCK_BYTES_MIN}},
    {"points.mdb": {"size": 5, "sum": "00"}},
    {"points.mdb": {"size": 5, "whole": True}},
    {"points.mdb": {"size": -5, "whole": True}},
    {"points.mdb": {"size": 5, "sum": "", "block_bytes": 5, "blocks": [0]}},
    {"points.mdb": {"size": BLOCK_BYTES_MIN, "block_bytes": BLOCK_BYTES_MIN, "blocks": [7]}},
    {"points.mdb": {"size": BLOCK_BYTES_MIN, "block_bytes": BLOCK_BYTES_MIN, "blocks": [-1]}},
    {"../x": {"size": 5, "whole": True}},
    {"replica.json": {"size": 5, "whole": True}},
    {},
]


@pytest.mark.parametrize("files", LIES)
async def test_changes_that_cannot_be_are_refused(
    sides: tuple[Side, Side], tmp_path: Path, files: dict[str, Any]
) -> None:
    path, before = await followed(sides, tmp_path)
    with tarfile.open(path) as tar:
        members = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    changes = msgspec.json.encode({"format": 1, "files": files})
    kept = {name: data for name, data in members.items() if "points.mdb" in name}
    sink = io.BytesIO()
    writer = TarWriter(sink)
    whole = {"snapshot.json": members["snapshot.json"], "changes.json": changes, **kept}
    for name, data in [*whole.items(), ("checksums.json", members["checksums.json"])]:
        writer.add(name, len(data), (data,))
    writer.end()
    await refused(sides[1], sink.getvalue(), tmp_path)
    assert await sides[1].contents() == before


@pytest.mark.parametrize(
    "state",
    [
        FileState(10, "", 5, bytes(32)),
        FileState(10, "", 1 << 30, bytes(16)),
        FileState(10, "", BLOCK_BYTES_MIN + 1, bytes(16)),
        FileState(10, "", BLOCK_BYTES_MIN, bytes(15)),
        FileState(-10, "", BLOCK_BYTES_MIN),
        FileState(1 << 60, "", BLOCK_BYTES_MIN, bytes(16)),
    ],
)
async def test_manifests_that_nobody_makes_are_refused(
    sides: tuple[Side, Side], tmp_path: Path, state: FileState
) -> None:
    lying = replace(await sides[1].manifest(), files={"points.mdb": state})
    with pytest.raises(BadInput):
        await sides[0].archive(lying, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_manifest_of_another_format_says_so() -> None:
    with pytest.raises(ValueError, match="format 9, this program knows 1"):
        decode_manifest(b'{"format": 9}')
