"""Backups behind their endpoints: what is removed while others are made or brought back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consensus.state import Peer
from node.client.backups import BackedUp, Backup, Pruned, Retention, Undisturbed
from protos.errors import InvalidField, MalformedBody, StandaloneMode
from router.collections import CollectionOperations
from router.rest.bodies.snapshots import decode_prune
from router.snapshots.backups import BackupOperations
from tests.router.fakes import FakeLog, FakeNode
from tests.router.snapshots.fakes import described, fake_snapshots
from tests.router.snapshots.test_operations import create


class FakeBackups:
    """``busy``: a backup is being taken; ``spared``: what stayed when old ones were removed."""

    def __init__(self, collection: BackedUp) -> None:
        self.busy = asyncio.Lock()
        self.spared: list[set[str]] = []
        self._backup = Backup("b", 1, 0, [collection], {})

    async def back_up(self, root: Path) -> str:
        raise AssertionError

    async def backups(self, root: Path) -> list[str]:
        return ["b"]

    async def backup(self, root: Path, name: str) -> Backup:
        return self._backup

    async def prune(self, root: Path, retention: Retention, undisturbed: Undisturbed) -> Pruned:
        async with self.busy, undisturbed() as spared:
            self.spared.append(set(spared))
            return Pruned([], 0)


class Setting:
    def __init__(self, directory: Path) -> None:
        self.log = FakeLog(Peer(1))
        self.collections = CollectionOperations(self.log, FakeNode())
        self.snapshots = fake_snapshots(self.log, self.collections, directory)
        self.root = directory


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    setting = Setting(tmp_path)
    yield setting
    await setting.snapshots.operations.close()
    await setting.collections.close()


async def backups_of(setting: Setting) -> tuple[BackupOperations, FakeBackups]:
    """With a backup of a collection that is gone."""
    await setting.collections.create("c", create())
    description = described(setting.log.state.collections["c"], [0], "collection")
    await setting.collections.delete("c")
    node = FakeBackups(BackedUp(description, {0: []}))
    operations = setting.snapshots.operations
    return BackupOperations(setting.log, setting.collections, operations, node, setting.root), node


async def test_a_backup_that_is_being_restored_is_spared(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups, node = await backups_of(setting)
    begun, go = asyncio.Event(), asyncio.Event()
    assemble = setting.snapshots.node.assemble

    async def slow(*given: object) -> object:
        begun.set()
        await go.wait()
        return await assemble(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(setting.snapshots.node, "assemble", slow)
    restoring = asyncio.create_task(backups.restore("b"))
    await begun.wait()
    await backups.prune(Retention())
    go.set()
    assert await restoring
    await backups.prune(Retention())
    assert node.spared == [{"b"}, set()]


async def test_who_waits_for_a_backup_to_be_taken_holds_nobody_up(setting: Setting) -> None:
    backups, node = await backups_of(setting)
    async with node.busy:
        pruning = asyncio.create_task(backups.prune(Retention()))
        assert await backups.restore("b")
        assert node.spared == []
    await pruning
    assert node.spared == [set()]


async def test_a_node_on_its_own_has_none(setting: Setting) -> None:
    alone = BackupOperations(
        setting.log, setting.collections, setting.snapshots.operations, None, setting.root
    )
    with pytest.raises(StandaloneMode):
        await alone.prune(Retention())


@pytest.mark.parametrize(
    ("body", "retention"),
    [
        (b'{"keep": 3}', Retention(3)),
        (b'{"older_than_sec": 60}', Retention(1, 60_000)),
        (b'{"older_than_sec": 0, "keep": 2}', Retention(2, 0)),
    ],
)
def test_what_stays_is_said_in_a_body(body: bytes, retention: Retention) -> None:
    assert decode_prune(body) == retention


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"keep": 0}', b'{"keep": -1}', b'{"older_than_sec": -1}', b'{"keep": 1e9', b'{"keep": "all"}'],
)
def test_what_does_not_say_it_is_refused(body: bytes) -> None:
    with pytest.raises((InvalidField, MalformedBody)):
        decode_prune(body)
