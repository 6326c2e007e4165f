"""Archives of real shards: there and back, and whatever is wrong with one leaves nothing behind."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from consensus.buckets import deal_buckets
from consensus.commands import RestoreShards, Restoring
from consensus.state import ClusterState, CollectionState, Peer, ShardGroup, founding_state
from consensus.transitions import apply
from node.client.snapshots import SnapshotDescription
from node.local import LocalNode
from node.snapshots.tar import TarWriter
from protos.errors import BadInput, ServiceError
from protos.operations import DeletePoints
from protos.shard import Projection, UpdateRequest
from tests.node.test_local import collection, put


def things(shards: int = 1) -> CollectionState:
    made = collection(shards=shards)
    ids = tuple(range(shards))
    return replace(made, groups=(ShardGroup(ids, deal_buckets(ids)),))


def state_of(one: CollectionState) -> ClusterState:
    return replace(founding_state(Peer(1)), collections={one.name: one})


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LocalNode]:
    node = LocalNode(tmp_path / "storage", search_threads=1)
    yield node
    await node.close()


def anything(_: SnapshotDescription) -> None:
    """Accept it."""


async def points(node: LocalNode, shard_id: int = 0) -> list[object]:
    shard = node.shard("things", shard_id)
    return [record.id for record in await shard.retrieve(list(range(1, 40)), Projection())]


async def archived(node: LocalNode, tmp_path: Path, shards: int = 1) -> tuple[ClusterState, Path]:
    """A node with points 1..3 in each shard, and an archive of it."""
    state = state_of(things(shards))
    await node.reconcile(state)
    for shard_id in range(shards):
        await put(node, 1, 2, 3, shard_id=shard_id)
    path = tmp_path / "archive"
    await node.snapshots.write(state.collections["things"], range(shards), path, kind="collection")
    return state, path


def restored(state: ClusterState, files: dict[int, str]) -> ClusterState:
    """The state once the restoration was agreed on."""
    things = state.collections["things"]
    terms = {shard_id: things.shards[shard_id].term for shard_id in files}
    command = RestoreShards("things", things.uuid, terms, Restoring(1, 0, files))
    after, events = apply(state, command)
    assert after is not state, events
    return after


async def restore(node: LocalNode, state: ClusterState, path: Path) -> ClusterState:
    ready = await node.snapshots.read(path, anything)
    same = {shard_id: shard_id for shard_id in ready.files}
    files = await node.snapshots.prepare(ready, state.collections["things"], same)
    after = restored(state, files)
    await node.reconcile(after)
    await node.snapshots.settled(after.collections["things"], files)
    return after


async def test_points_come_back_as_they_were_and_writes_go_on(node: LocalNode, tmp_path: Path) -> None:
    state, path = await archived(node, tmp_path, shards=2)
    await node.shard("things", 0).update(UpdateRequest(DeletePoints((1, 2)), wait=True))
    await put(node, 30, shard_id=1)
    state = await restore(node, state, path)
    assert await points(node, 0) == await points(node, 1) == [1, 2, 3]
    await put(node, 4)
    state = await restore(node, state, path)
    assert await points(node) == [1, 2, 3]
    await put(node, 5)
    await node.close()
    again = LocalNode(tmp_path / "storage", search_threads=1)
    await again.reconcile(state)
    assert await points(again) == [1, 2, 3, 5]
    await again.close()
    assert not list((tmp_path / "storage" / "restoring").iterdir())


async def test_an_archive_holds_what_was_acknowledged_before(node: LocalNode, tmp_path: Path) -> None:
    state, _ = await archived(node, tmp_path)
    for number in range(10, 20):
        await put(node, number)
        path = tmp_path / f"archive-{number}"
        await node.snapshots.write(state.collections["things"], [0], path, kind="shard")
    await restore(node, state, tmp_path / "archive-15")
    assert await points(node) == [1, 2, 3, *range(10, 16)]


async def test_an_empty_shard_is_restored_empty(node: LocalNode, tmp_path: Path) -> None:
    state = state_of(things())
    await node.reconcile(state)
    path = tmp_path / "archive"
    await node.snapshots.write(state.collections["things"], [0], path, kind="shard")
    await put(node, 1)
    await restore(node, state, path)
    assert await points(node) == []
    await put(node, 2)
    assert await points(node) == [2]


@pytest.mark.parametrize("installed", [False, True])
async def test_after_a_crash_the_state_decides_whose_files_count(
    node: LocalNode, tmp_path: Path, installed: bool
) -> None:
    """Ready files that the state does not name go; those that it names are put in place, also when the old
    directory was moved away already."""
    state, path = await archived(node, tmp_path)
    await put(node, 9)
    ready = await node.snapshots.read(path, anything)
    files = await node.snapshots.prepare(ready, state.collections["things"], {0: 0})
    await node.close()
    storage = tmp_path / "storage"
    after = restored(state, files)
    if installed:
        (storage / "collections/things/0").rename(storage / "trash-of-a-crash")
    again = LocalNode(storage, search_threads=1)
    await again.reconcile(after)
    assert await points(again) == [1, 2, 3]
    await again.close()
    assert not list((storage / "restoring").iterdir())


async def test_ready_files_that_nobody_names_are_removed(node: LocalNode, tmp_path: Path) -> None:
    state, path = await archived(node, tmp_path)
    await put(node, 9)
    await node.snapshots.read(path, anything)
    await node.close()
    again = LocalNode(tmp_path / "storage", search_threads=1)
    await again.reconcile(state)
    assert await points(again) == [1, 2, 3, 9]
    await again.close()
    assert not list((tmp_path / "storage" / "restoring").iterdir())


async def test_named_files_that_are_gone_fail_the_shard(node: LocalNode, tmp_path: Path) -> None:
    state, _ = await archived(node, tmp_path)
    after = restored(state, {0: "gone"})
    await node.reconcile(after)
    with pytest.raises(ServiceError, match="missing"):
        await node.snapshots.settled(after.collections["things"], {0: "gone"})


# --- what is wrong with an archive -------------------------------------------------------------------------


async def refused(node: LocalNode, data: bytes, tmp_path: Path) -> str:
    """Nothing is left behind, and the shard is as it was."""
    path = tmp_path / "damaged"
    path.write_bytes(data)
    with pytest.raises(BadInput) as refusal:
        await node.snapshots.read(path, anything)
    assert not list((tmp_path / "storage" / "restoring").glob("*"))
    assert await points(node) == [1, 2, 3]
    return str(refusal.value)


async def test_whatever_is_changed_in_an_archive_shows(node: LocalNode, tmp_path: Path) -> None:
    _, path = await archived(node, tmp_path)
    data, rng = path.read_bytes(), random.Random(1)
    for _ in range(60):
        at = rng.randrange(len(data) - 1024)
        if padding(data, at):
            continue
        await refused(node, data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :], tmp_path)
    for _ in range(20):
        await refused(node, data[: rng.randrange(len(data) - 1024)], tmp_path)


def padding(data: bytes, at: int) -> bool:
    """Bytes that mean nothing: behind a file's end, and what a header says beside name, size and type."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar:
            if info.offset_data <= at < info.offset_data + info.size:
                return False
    return True


async def test_foreign_files_are_refused(node: LocalNode, tmp_path: Path) -> None:
    await archived(node, tmp_path)
    assert "cannot be used" in await refused(node, b"", tmp_path)
    assert "cannot be used" in await refused(node, b"PK\3\4" + bytes(2000), tmp_path)
    assert "begins with 'config.json'" in await refused(node, tarred({"config.json": b"{}"}), tmp_path)
    newer = tarred({"snapshot.json": b'{"format": 9}'})
    assert "has format 9, this program knows 1" in await refused(node, newer, tmp_path)
    assert "makes no sense" not in await refused(node, tarred({"snapshot.json": b"\xff"}), tmp_path)


def tarred(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return sink.getvalue()


CLIMBING = [
    "../points.mdb",
    "/etc/passwd",
    "shards/0/../../../x",
    "shards/0/replica.json",
    "shards/0/wal/00000000000000000000.wal",
    "shards/1/points.mdb",
    "shards/00/points.mdb",
    "shards/0/segments/abc/../../../x",
    "shards/0/columns/..",
    "shards/0/points.mdb/x",
    "shards/0/points.mdb",
]


@pytest.mark.parametrize("name", CLIMBING)
async def test_members_that_no_snapshot_has_are_refused(node: LocalNode, tmp_path: Path, name: str) -> None:
    """Also one that is there already."""
    _, path = await archived(node, tmp_path)
    with tarfile.open(path) as tar:
        files = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    sums = files.pop("checksums.json")
    sink = io.BytesIO()
    writer = TarWriter(sink)
    for member, content in [*files.items(), (name, b"evil"), ("checksums.json", sums)]:
        writer.add(member, len(content), (content,))
    writer.end()
    text = await refused(node, sink.getvalue(), tmp_path)
    assert "no snapshot has a file" in text or "comes twice" in text


async def test_files_with_right_checksums_that_make_no_shard_are_refused(
    node: LocalNode, tmp_path: Path
) -> None:
    state, path = await archived(node, tmp_path)
    ready = await node.snapshots.read(path, anything)
    shard = replace(ready.description.shards[0], seq=5)
    lying = replace(ready, description=replace(ready.description, shards=(shard,)))
    with pytest.raises(BadInput, match="cannot be opened"):
        await node.snapshots.prepare(lying, state.collections["things"], {0: 0})


async def test_a_description_that_is_not_accepted_leaves_nothing(node: LocalNode, tmp_path: Path) -> None:
    _, path = await archived(node, tmp_path)

    def refuse(_: SnapshotDescription) -> None:
        raise BadInput("not this one")

    with pytest.raises(BadInput, match="not this one"):
        await node.snapshots.read(path, refuse)
    assert not (tmp_path / "storage" / "restoring").exists()
