"""Creating, listing, deleting and recovering, with archives that are only described."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from consensus.commands import RestoreShards, Restoring
from consensus.events import Outdated
from consensus.state import LEVEL_OF_REPLACING, CollectionState, Peer, ReplicaState
from node.client.snapshots import SnapshotDescription, encode_description
from protos.collections import CreateAlias, CreateCollection, Distance, VectorParams, decode_create
from protos.errors import BadInput, BadRequest, ChecksumMismatch, Forbidden, NotFound, VecraftError
from router.collections import CollectionOperations
from router.snapshots.folder import SnapshotFolders
from router.snapshots.naming import WHOLE
from router.snapshots.requests import Priority, RecoverOptions
from tests.router.fakes import FakeLog, FakeNode
from tests.router.snapshots.fakes import FakeSnapshots, described, fake_snapshots

HOW = RecoverOptions()
NAME = "c-1-2023-11-14-22-13-20.snapshot"


def create(**fields: int) -> CreateCollection:
    return decode_create(msgspec.json.encode({"vectors": {"size": 4, "distance": "Dot"}, **fields}))


class Setting:
    def __init__(self, directory: Path, *peers: Peer, urls: bool = True) -> None:
        self.log, node = FakeLog(*peers), FakeNode()
        self.collections = CollectionOperations(self.log, node)
        self.made: FakeSnapshots = fake_snapshots(self.log, self.collections, directory, urls=urls)
        self.snapshots, self.whole, self.root = self.made.operations, self.made.whole, self.made.root

    @property
    def collection(self) -> CollectionState:
        return self.log.state.collections["c"]

    def file(self, description: SnapshotDescription) -> Path:
        path = self.root / "given.snapshot"
        self.root.mkdir(exist_ok=True)
        path.write_bytes(encode_description(description))
        return path

    def left(self) -> list[str]:
        return [path.name for path in (self.root / "tmp").rglob("*") if path.is_file()]


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    setting = Setting(tmp_path)
    await setting.collections.create("c", create())
    yield setting
    await setting.snapshots.close()
    await setting.collections.close()


async def test_a_snapshot_is_listed_with_its_checksum_until_it_is_deleted(setting: Setting) -> None:
    snapshots = setting.snapshots
    made = await snapshots.create("c")
    data = (setting.root / "c" / NAME).read_bytes()
    assert (made.name, made.size) == (NAME, len(data))
    assert made.checksum == hashlib.sha256(data).hexdigest()
    folder = snapshots.folder("c")
    assert list(await snapshots.list(folder)) == [made]
    async with snapshots.opened(folder, NAME) as content:
        assert content.path == setting.root / "c" / NAME
    assert await snapshots.delete(folder, NAME)
    assert list(await snapshots.list(folder)) == []
    assert not list((setting.root / "c").iterdir())
    assert setting.left() == []


async def test_two_of_one_second_have_different_names(setting: Setting) -> None:
    made = await asyncio.gather(*(setting.snapshots.create("c") for _ in range(3)))
    assert len({one.name for one in made}) == 3
    assert setting.snapshots.statistics.of("c").created == 3


async def test_shards_and_the_whole_have_folders_of_their_own(setting: Setting) -> None:
    shard = await setting.snapshots.create_of_shard("c", 0)
    assert shard.name == "c-shard-0-2023-11-14-22-13-20.snapshot"
    assert (setting.root / "c" / "shards" / "0" / shard.name).exists()
    await setting.whole.create()
    assert [one.name[:14] for one in await setting.snapshots.list(WHOLE)] == ["full-snapshot-"]


@pytest.mark.parametrize("name", ["../x.snapshot", "a/b.snapshot", "nope.snapshot", NAME + ".checksum", ".."])
async def test_names_that_are_none_are_not_found(setting: Setting, name: str) -> None:
    await setting.snapshots.create("c")
    folder = setting.snapshots.folder("c")
    with pytest.raises(NotFound):
        async with setting.snapshots.opened(folder, name):
            pass
    with pytest.raises(NotFound):
        await setting.snapshots.delete(folder, name)
    assert len(list((setting.root / "c").iterdir())) == 2


async def test_unknown_collections_and_shards_are_not_found(setting: Setting) -> None:
    with pytest.raises(NotFound, match="doesn't exist"):
        setting.snapshots.folder("x")
    with pytest.raises(NotFound, match="shard 9 not found"):
        setting.snapshots.folder("c", 9)
    with pytest.raises(NotFound, match="shard 9 not found"):
        await setting.snapshots.create_of_shard("c", 9)


# --- recovering -------------------------------------------------------------------------------------------


async def test_an_existing_collection_is_restored_shard_by_shard(setting: Setting) -> None:
    before = setting.collection
    path = setting.file(described(before, [0], "collection"))
    assert await setting.snapshots.recover("c", f"file://{path}", None, HOW)
    shard = setting.collection.shards[0]
    assert (shard.term, shard.restored.keys()) == (before.shards[0].term + 1, {1})
    assert setting.made.node.settled_files == [{0: shard.restored[1]}]
    assert setting.made.node.ready == {shard.restored[1]}


async def test_a_missing_collection_is_created_with_all_it_had(setting: Setting) -> None:
    path = setting.file(described(setting.collection, [0], "collection"))
    assert await setting.snapshots.recover("d", f"file://{path}", None, HOW)
    made = setting.log.state.collections["d"]
    assert (made.config, made.groups) == (setting.collection.config, setting.collection.groups)
    assert made.shards[0].restored.keys() == {1}


async def test_recoveries_of_one_collection_come_one_after_another(setting: Setting) -> None:
    """Each ends the terms of its shards; two at once would be planned for terms that are over."""
    path, before = setting.file(described(setting.collection, [0], "collection")), setting.collection
    second: list[asyncio.Task[bool]] = []

    async def begin_another() -> None:
        second.append(asyncio.create_task(setting.snapshots.recover("c", f"file://{path}", None, HOW)))
        for _ in range(100):
            await asyncio.sleep(0)

    setting.made.node.meanwhile.append(begin_another)
    assert await setting.snapshots.recover("c", f"file://{path}", None, HOW)
    assert await second[0]
    assert setting.collection.shards[0].term == before.shards[0].term + 2


async def test_a_recovery_is_planned_anew_when_the_cluster_has_moved_on(setting: Setting) -> None:
    path, before = setting.file(described(setting.collection, [0], "collection")), setting.collection

    async def move_on() -> None:
        terms = {0: setting.collection.shards[0].term}
        restoring = Restoring(1, setting.log.state.peers[1].incarnation, {0: "another's"})
        await setting.log.propose(RestoreShards("c", before.uuid, terms, restoring, False))

    setting.made.node.meanwhile += [move_on, move_on]
    assert await setting.snapshots.recover("c", f"file://{path}", None, HOW)
    shard = setting.collection.shards[0]
    assert shard.term == before.shards[0].term + 3
    assert setting.made.node.ready == {shard.restored[1]}
    setting.made.node.meanwhile += [move_on] * 9
    with pytest.raises(Outdated):
        await setting.snapshots.recover("c", f"file://{path}", None, HOW)


async def test_what_does_not_fit_changes_nothing(setting: Setting) -> None:
    good = described(setting.collection, [0], "collection")
    params = good.config.params
    other = replace(params, vectors={"": VectorParams(7, Distance.DOT)})
    more = replace(params, shard_number=3)
    moved = replace(good.shards[0], buckets=bytes(128))
    wrong = {
        "Collection vectors: {'': ": replace(good, config=replace(good.config, params=other)),
        "Collection shard number: 1 Snapshot shard number: 3": replace(
            good, config=replace(good.config, params=more)
        ),
        "the two were sharded differently": replace(good, shards=(moved,)),
        "holds shard 5": replace(good, shards=(replace(moved, id=5),)),
        "the snapshot of a shard, that of a collection is expected": replace(good, kind="shard"),
    }
    before = setting.log.state
    for text, description in wrong.items():
        with pytest.raises(BadInput, match=text):
            await setting.snapshots.recover("c", f"file://{setting.file(description)}", None, HOW)
    assert setting.log.state is before
    assert setting.made.node.ready == set()


async def test_a_snapshot_that_contradicts_itself_creates_nothing(setting: Setting) -> None:
    good = described(setting.collection, [0], "collection")
    for description in (replace(good, groups=()), replace(good, shards=(replace(good.shards[0], id=4),))):
        with pytest.raises(BadInput):
            await setting.snapshots.recover("d", f"file://{setting.file(description)}", None, HOW)
    assert setting.log.state.collections.keys() == {"c"}
    assert setting.made.node.ready == set()


async def test_a_stored_shard_is_recovered_by_its_bare_name(setting: Setting) -> None:
    made = await setting.snapshots.create_of_shard("c", 0)
    assert await setting.snapshots.recover_shard("c", 0, made.name, None, HOW)
    assert setting.collection.shards[0].restored.keys() == {1}


async def test_checksums_are_compared_before_anything_else(setting: Setting) -> None:
    path = setting.file(described(setting.collection, [0], "collection"))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    wrong = RecoverOptions(checksum="0" * 64)
    with pytest.raises(BadRequest, match=f"Snapshot checksum mismatch: expected {'0' * 64}, got {found}"):
        await setting.snapshots.recover("c", f"file://{path}", None, wrong)
    right = RecoverOptions(checksum=found.upper())
    assert await setting.snapshots.recover("c", f"file://{path}", None, right)


async def test_what_comes_in_with_another_checksum_is_gone_again(setting: Setting) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"

    with pytest.raises(ChecksumMismatch):
        async with setting.snapshots.drafts.received(chunks(), checksum="0" * 64):
            pass
    assert setting.left() == []


async def test_urls_can_be_switched_off(tmp_path: Path) -> None:
    setting = Setting(tmp_path, urls=False)
    with pytest.raises(Forbidden, match="disabled in the configuration"):
        await setting.snapshots.recover("c", "http://127.0.0.1/x", None, HOW)


# --- in a cluster -----------------------------------------------------------------------------------------


def clustered(tmp_path: Path) -> Setting:
    return Setting(tmp_path, *(Peer(peer, f"http://{peer}", feature_level=3) for peer in (1, 2, 3)))


@pytest.mark.parametrize("priority", [Priority.SNAPSHOT, Priority.NO_SYNC])
async def test_others_become_dead_and_one_too_many_goes(tmp_path: Path, priority: Priority) -> None:
    setting = clustered(tmp_path)
    await setting.collections.create("c", create(replication_factor=2))
    path = setting.file(described(setting.collection, [0], "collection"))
    await setting.snapshots.recover("c", f"file://{path}", None, RecoverOptions(priority))
    replicas = setting.collection.shards[0].replicas
    assert (replicas[1], len(replicas)) == (ReplicaState.ACTIVE, 2)
    assert sorted(state.value for state in replicas.values()) == ["Active", "Dead"]
    assert setting.collection.shards[0].primary == 1


async def test_what_others_know_better_is_left_to_them(tmp_path: Path) -> None:
    setting = clustered(tmp_path)
    await setting.collections.create("c", create(replication_factor=3))
    path, before = setting.file(described(setting.collection, [0], "collection")), setting.log.state
    await setting.snapshots.recover("c", f"file://{path}", None, RecoverOptions(Priority.REPLICA))
    assert setting.log.state is before
    assert setting.made.node.ready == set()


@pytest.mark.parametrize("force", [False, True])
async def test_the_whole_storage_comes_back_with_its_aliases(tmp_path: Path, force: bool) -> None:
    setting = Setting(tmp_path / "from")
    await setting.collections.create("c", create())
    await setting.collections.create("long" * 50, create())
    await setting.collections.change_aliases([CreateAlias("c", "alias")])
    made = await setting.whole.create()
    there = Setting(tmp_path / "to")
    if force:
        await there.collections.create("c", create(shard_number=2))
    await there.whole.recover_first((), setting.root / made.name, force=force)
    assert there.log.state.collections.keys() == {"c", "long" * 50}
    assert there.log.state.aliases == {"alias": "c"}
    assert there.collection.config.params.shard_number == 1
    assert there.left() == []
    with pytest.raises(Exception, match="Use --force-snapshot to overwrite it"):
        await there.whole.recover_first((), setting.root / made.name, force=False)


@pytest.mark.parametrize("level", [LEVEL_OF_REPLACING - 1, LEVEL_OF_REPLACING])
async def test_a_collection_that_is_replaced_is_there_at_any_moment(tmp_path: Path, level: int) -> None:
    """Where a member does not understand that, it is deleted first."""
    setting = Setting(tmp_path)
    await setting.collections.create("c", create(shard_number=2))
    setting.log.become(replace(setting.log.state, feature_level=level))
    former, path = setting.collection, setting.file(described(setting.collection, [0], "collection"))
    absent: list[bool] = []
    setting.log.subscribe(lambda state, _: absent.append("c" not in state.collections))
    assert await setting.snapshots.replace_collection("c", path)
    assert setting.collection.uuid != former.uuid
    assert any(absent) == (level < LEVEL_OF_REPLACING)
    with pytest.raises(BadInput):
        await setting.snapshots.replace_collection("c", setting.file(described(former, [0], "shard")))
    assert len(setting.log.state.collections) == 1


async def test_a_failed_call_does_not_disturb_others(setting: Setting) -> None:
    with pytest.raises(VecraftError):
        await setting.snapshots.finish(setting.snapshots.create("nope"), "create snapshot")
    assert setting.snapshots.statistics.of("nope").creating == 0


def test_what_a_crash_left_beside_snapshots_is_removed_on_start(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    for name in (
        "whole.snapshot",
        "whole.snapshot.checksum",
        "gone.snapshot.checksum",
        "half.snapshot.checksum.tmp",
    ):
        (tmp_path / "c" / name).touch()
    SnapshotFolders(tmp_path).clear()
    left = sorted(path.name for path in (tmp_path / "c").iterdir())
    assert left == ["whole.snapshot", "whole.snapshot.checksum"]
