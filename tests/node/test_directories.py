"""Directories of shards: claimed, and moved out of the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node import directories as module
from node.directories import ShardDirectories

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
