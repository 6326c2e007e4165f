"""Directories of shards: claimed, and moved out of the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node import directories as module
from node.directories import TRASH_DIRECTORY, ShardDirectories
from node.replica.identity import FORMAT, Identity

UUID = "11111111-2222-3333-4444-555555555555"


def test_the_last_shards_of_a_collection_may_be_removed_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them takes the collection's directory away while the other is about to sync it."""
    directories = ShardDirectories(tmp_path)
    for shard_id in (0, 1):
        directories.claim(directories.of("c", shard_id), UUID, shard_id)
    synced = module.sync_directory

    def sync_late(directory: Path) -> None:
        if directory == tmp_path / "collections/c":
            monkeypatch.setattr(module, "sync_directory", synced)
            with ThreadPoolExecutor(1) as other:
                other.submit(directories.remove, "c", UUID, 1).result()
        synced(directory)

    monkeypatch.setattr(module, "sync_directory", sync_late)
    assert directories.remove("c", UUID, 0) is not None
    assert not (tmp_path / "collections/c").exists()
    assert len(list((tmp_path / "trash").iterdir())) == 2


def test_what_is_replaced_leaves_nothing_on_disk(tmp_path: Path) -> None:
    directories = ShardDirectories(tmp_path)
    directory, files = directories.of("c", 0), tmp_path / "files"
    directories.claim(directory, "u", 0)
    (directory / "old").write_bytes(b"x")
    files.mkdir()
    directories.install(files, directory, Identity(FORMAT, "u", 0, 1))
    assert not (directory / "old").exists()
    assert list((tmp_path / TRASH_DIRECTORY).iterdir()) == []


def test_the_directory_of_a_collection_may_go_while_a_shard_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories, made = ShardDirectories(tmp_path), Path.mkdir
    directories.of("c", 0).parent.mkdir(parents=True)
    others = [0, 2]  # are discarded just when the directory of shard 1 is to be made

    def make_late(path: Path, *args: int, **how: bool) -> None:
        if path == tmp_path / "collections/c/1" and others:
            path.parent.rmdir()
            others.pop()
        made(path, *args, **how)

    monkeypatch.setattr(Path, "mkdir", make_late)
    directories.claim(directories.of("c", 1), UUID, 1)
    assert directories.identity(directories.of("c", 1), UUID) is not None


def test_the_directory_of_a_collection_may_go_while_a_shard_is_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another shard's is being discarded at that moment, and was the only one."""
    directories = ShardDirectories(tmp_path)
    directory, files = directories.of("c", 0), tmp_path / "files"
    files.mkdir()
    rename, removed = Path.rename, []

    def renamed(path: Path, target: Path) -> Path:
        if path == files and not removed:
            removed.append(target.parent)
            target.parent.rmdir()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", renamed)
    directories.install(files, directory, Identity(FORMAT, "u", 0, 1))
    assert removed == [directory.parent]
    assert directories.identity(directory, "u") == Identity(FORMAT, "u", 0, 1)
