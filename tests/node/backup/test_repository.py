"""A folder of backups: contents once, manifests last, nothing that is not what it says."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.backup.reading import read_backup
from node.backup.repository import (
    FORMAT,
    BackedCollection,
    BackedFile,
    BackedShard,
    Manifest,
    Repository,
)
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
    repository.clear()
    assert names(tmp_path) == [SHA]


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
