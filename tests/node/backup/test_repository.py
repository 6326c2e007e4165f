"""A folder of backups: contents once, manifests last, nothing that is not what it says."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.backup.pruning import doomed_of, prune
from node.backup.reading import read_backup
from node.backup.repository import (
    FORMAT,
    BackedCollection,
    BackedFile,
    BackedShard,
    Manifest,
    Repository,
)
from node.client.backups import Pruned, Retention
from node.snapshots.archive import assemble
from node.snapshots.tar import ArchiveDamaged
from protos.errors import BadInput, NotFound, ServiceError
from tests.node.snapshots.test_service import things

DATA = b"some bytes"
SHA = hashlib.sha256(DATA).hexdigest()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def names(root: Path) -> list[str]:
    """Of all files."""
    return [path.name for path in root.rglob("*") if path.is_file()]


def manifest(path: str = "points.mdb", sha256: str = SHA) -> Manifest:
    one = things()
    shard = BackedShard(0, 3, 7, 2, (BackedFile(path, len(DATA), sha256),))
    backed = BackedCollection("things", one.config, {}, one.groups, (shard,))
    return Manifest(FORMAT, 11, 1_700_000_000_000, (backed,), {"alias": "things"})


async def test_a_content_is_kept_once_and_only_if_it_is_what_was_said(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    for wrong in ((b"some",), (b"some bytes", b"!"), (b"other byte",)):
        with pytest.raises(ServiceError, match="other bytes than was said"):
            await repository.keep(SHA, len(DATA), chunks(*wrong))
    assert not repository.has(SHA, len(DATA))
    await repository.keep(SHA, len(DATA), chunks(b"some ", b"bytes"))
    assert repository.has(SHA, len(DATA))
    assert not repository.has(SHA, len(DATA) + 1)
    assert names(tmp_path) == [SHA]


async def test_what_a_crash_left_half_written_goes(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    await repository.keep(SHA, len(DATA), chunks(DATA))
    (tmp_path / "contents" / "x.draft").write_bytes(b"half")
    (tmp_path / "x.backup.tmp").write_bytes(b"half")
    repository.clear()
    assert names(tmp_path) == [SHA]


def test_names_tell_which_backup_is_older(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    times_ms = [1_700_000_000_000 + 7 * turn for turn in range(20)]
    assert [
        repository.add(msgspec.structs.replace(manifest(), created_ms=time_ms)) for time_ms in times_ms
    ] == repository.names()


async def test_a_backup_is_read_as_it_was_written(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    await repository.keep(SHA, len(DATA), chunks(DATA))
    name = repository.add(manifest())
    assert repository.names() == [name]
    assert repository.manifest(name) == manifest()
    (one,) = read_backup(repository, name).collections
    (shard,) = one.description.shards
    assert (shard.term, shard.seq, shard.points) == (3, 7, 2)
    assemble(tmp_path / "made", one.files[0])
    assert (tmp_path / "made" / "points.mdb").read_bytes() == DATA


@pytest.mark.parametrize("name", ["x.backup", "../x.backup", "x", "", "a/b.backup"])
def test_names_that_are_none_are_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        Repository(tmp_path).manifest(name)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": 9}', b"\xff"])
def test_manifests_that_make_no_sense_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.backup").write_bytes(content)
    with pytest.raises(BadInput):
        Repository(tmp_path).manifest("x.backup")


async def test_files_that_climb_or_differ_make_no_shard(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    await repository.keep(SHA, len(DATA), chunks(DATA))
    climbing = read_backup(repository, repository.add(manifest("../x"))).collections[0]
    with pytest.raises(ArchiveDamaged, match="no shard has a file"):
        assemble(tmp_path / "one", climbing.files[0])
    repository.content(SHA).write_bytes(b"changed!!!")
    (one,) = read_backup(repository, repository.add(manifest())).collections
    with pytest.raises(ArchiveDamaged, match="its checksum differs"):
        assemble(tmp_path / "two", one.files[0])


# --- old ones ----------------------------------------------------------------------------------------------

HOUR_MS = 3_600_000


async def filled(repository: Repository, *needs: tuple[bytes, ...]) -> list[str]:
    """Backups, an hour apart, each of these contents. Returns: their names, oldest first."""
    made = []
    for hour, contents in enumerate(needs):
        files = []
        for data in contents:
            sha256 = hashlib.sha256(data).hexdigest()
            if not repository.has(sha256, len(data)):
                await repository.keep(sha256, len(data), chunks(data))
            files.append(BackedFile(f"live.{len(files)}.bits", len(data), sha256))
        one = things()
        shard = BackedShard(0, 3, 7, 2, tuple(files))
        backed = BackedCollection("things", one.config, {}, one.groups, (shard,))
        made.append(repository.add(Manifest(FORMAT, 11, hour * HOUR_MS, (backed,), {})))
    return made


def pruned(repository: Repository, now_hour: int = 10, spared: tuple[str, ...] = (), **which: int) -> Pruned:
    return prune(repository, Retention(**which), now_ms=now_hour * HOUR_MS, spared=spared)


def whole(repository: Repository, name: str) -> bool:
    """Is every content of a backup there?"""
    (one,) = repository.manifest(name).collections
    return all(repository.has(file.sha256, file.size) for file in one.shards[0].files)


async def test_old_backups_go_with_what_only_they_hold(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    made = await filled(repository, (b"shared", b"old"), (b"shared", b"older"), (b"shared", b"new!"))
    found = pruned(repository, keep=1)
    assert (found.removed, found.freed_bytes) == (made[:2], len(b"old" + b"older"))
    assert repository.names() == made[2:]
    assert sorted(path.read_bytes() for path in repository.contents()) == [b"new!", b"shared"]
    assert whole(repository, made[2])
    assert pruned(repository, keep=1) == Pruned([], 0)


async def test_which_go_is_said_by_number_and_age(tmp_path: Path) -> None:
    manifests = {f"{hour}": Manifest(FORMAT, 1, hour * HOUR_MS, (), {}) for hour in range(6)}

    def doomed(spared: tuple[str, ...] = (), **which: int) -> str:
        retention = Retention(**which)
        return "".join(doomed_of(manifests, retention, now_ms=6 * HOUR_MS, spared=spared))

    assert doomed(keep=4) == "01"
    assert doomed(keep=9) == ""
    assert doomed(older_than_ms=3 * HOUR_MS) == "012"
    assert doomed(older_than_ms=0) == "01234"  # the newest stays
    assert doomed(keep=2, older_than_ms=5 * HOUR_MS) == "0"
    assert doomed(keep=5, older_than_ms=3 * HOUR_MS) == "0"
    assert doomed(keep=4, spared=("0",)) == "1"
    assert doomed_of({}, Retention(), now_ms=0, spared=()) == []


async def test_what_is_being_read_stays_whole(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    made = await filled(repository, (b"a",), (b"b",), (b"c",))
    assert pruned(repository, keep=1, spared=(made[0],)).removed == [made[1]]
    assert whole(repository, made[0])


async def test_what_was_left_behind_goes_the_next_time(tmp_path: Path) -> None:
    """Of a kill after the manifests went, of manifests removed by hand, of a backup that came to nothing."""
    repository = Repository(tmp_path)
    made = await filled(repository, (b"a", b"b"), (b"b",))
    (tmp_path / made[0]).unlink()
    (tmp_path / "contents" / "x.draft").write_bytes(b"half")
    assert pruned(repository, keep=5) == Pruned([], 1)
    assert names(tmp_path / "contents") == [hashlib.sha256(b"b").hexdigest()]


@pytest.mark.parametrize("data", [b"{", b'{"format": 9}', b"\xff"])
async def test_where_one_cannot_be_read_nothing_is_removed(tmp_path: Path, data: bytes) -> None:
    repository = Repository(tmp_path)
    made = await filled(repository, (b"a",), (b"b",))
    (tmp_path / "2020-strange.backup").write_bytes(data)
    before = sorted(names(tmp_path))
    with pytest.raises(BadInput, match=r"2020-strange\.backup"):
        pruned(repository, keep=1)
    assert sorted(names(tmp_path)) == before
    assert all(whole(repository, name) for name in made)


@given(
    needs=st.lists(st.sets(st.sampled_from((b"a", b"bb", b"ccc", b"dddd"))), min_size=1, max_size=6),
    keep=st.integers(1, 7),
    older_than=st.none() | st.integers(0, 7),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_that_stay_are_whole_and_nothing_else_stays(
    tmp_path_factory: pytest.TempPathFactory, needs: list[set[bytes]], keep: int, older_than: int | None
) -> None:
    repository = Repository(tmp_path_factory.mktemp("backups"))
    made = asyncio.run(filled(repository, *map(tuple, needs)))
    older_than_ms = None if older_than is None else older_than * HOUR_MS
    gone = prune(repository, Retention(keep, older_than_ms), now_ms=len(needs) * HOUR_MS, spared=()).removed
    left = repository.names()
    assert gone + left == made
    assert made[-1] in left
    assert len(left) >= min(keep, len(made))
    assert all(whole(repository, name) for name in left)
    expected = set().union(*(need for name, need in zip(made, needs) if name in left))
    assert {path.read_bytes() for path in repository.contents()} == expected
