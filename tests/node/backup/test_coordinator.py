"""Peers that fail while a backup is made: another try, and an error that says so; never one of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consensus.state import ClusterState, CollectionState, ReplicaState, ShardGroup, ShardState
from node.backup import coordinator
from node.backup.barrier import CutAt
from node.backup.coordinator import Coordinator
from node.backup.repository import Repository
from node.backup.wire import CutFiles, Held, Prepared, encode
from protos.collections import CollectionConfig, CollectionParams
from protos.errors import InsufficientStorage, ShardUnavailable, Timeout, VecraftError

STATE = ClusterState(
    collections={
        "c": CollectionState(
            name="c",
            uuid="u",
            config=CollectionConfig(CollectionParams({})),
            config_version=1,
            shards={i: ShardState(i, {7: ReplicaState.ACTIVE}, primary=7) for i in (0, 1)},
            groups=(ShardGroup((0, 1), b""),),
        )
    }
)


class Primaries:
    """Implements ``PeerCalls``: all are held; in the first ``failing`` tries files cannot be had."""

    def __init__(self, failing: int, error: VecraftError) -> None:
        self.failing, self.error = failing, error
        self.cuts = 0

    async def call(self, peer_id: int, method: str, request: bytes, *, timeout_s: float) -> bytes:
        return b""

    async def stream(self, peer_id: int, method: str, request: bytes) -> AsyncIterator[bytes]:
        self.cuts += 1
        failing = self.cuts <= 2 * self.failing
        yield encode(Prepared())
        yield encode(Held(CutAt(1, 5)))
        if failing:
            raise self.error
        yield encode(CutFiles(0, ()))


def made(tmp_path: Path, calls: Primaries) -> tuple[Coordinator, Repository]:
    return Coordinator(calls, lambda: STATE, lambda: 3), Repository(tmp_path / "backups")


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "RETRY_S", 0.0)


async def test_a_peer_that_is_lost_costs_a_try(tmp_path: Path) -> None:
    calls = Primaries(2, Timeout("the stream broke"))
    backup, repository = made(tmp_path, calls)
    name = await backup.back_up(repository, created_ms=1)
    assert calls.cuts == 6
    assert repository.names() == [name]


async def test_peers_that_stay_lost_are_said_to_be(tmp_path: Path) -> None:
    backup, repository = made(tmp_path, Primaries(coordinator.TRIES, Timeout("the stream broke")))
    with pytest.raises(ShardUnavailable, match="no consistent cut"):
        await backup.back_up(repository, created_ms=1)
    assert not repository.names()


async def test_a_full_disk_is_not_tried_again(tmp_path: Path) -> None:
    calls = Primaries(1, InsufficientStorage("no space left"))
    backup, repository = made(tmp_path, calls)
    with pytest.raises(InsufficientStorage):
        await backup.back_up(repository, created_ms=1)
    assert calls.cuts == 2
