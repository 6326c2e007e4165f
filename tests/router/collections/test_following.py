"""A node's shards follow what other members of the cluster change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from consensus.commands import DropCollection
from consensus.state import ClusterState
from protos.collections import decode_create
from protos.errors import ShardUnavailable
from router.collections import CollectionOperations, operations, reconciling
from tests.router.collections.test_operations import DENSE, Node
from tests.router.fakes import FakeLog

PATIENCE_S = 5


class Follower:
    """Two members of one cluster: ``elsewhere`` changes the state, ``here`` follows."""

    def __init__(self) -> None:
        self.log, self.node = FakeLog(), Node()
        self.elsewhere = CollectionOperations(self.log, Node())
        self.here = CollectionOperations(self.log, self.node, opened=False)

    async def create(self, name: str) -> None:
        await self.elsewhere.create(name, decode_create(DENSE))


@pytest.fixture
async def follower() -> AsyncIterator[Follower]:
    made = Follower()
    async with asyncio.timeout(PATIENCE_S):
        yield made
        await made.here.close()


async def test_a_collection_that_was_there_before_is_opened_first(follower: Follower) -> None:
    await follower.create("old")
    follower.here.follow()
    await follower.here.opened("old")
    assert follower.node.shards.keys() == {("old", 0)}


async def test_a_collection_is_not_open_before_the_first_reconciliation(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "OPENING_TIMEOUT_S", 0.01)
    await follower.create("old")
    follower.node.gate.clear()
    follower.here.follow()
    with pytest.raises(ShardUnavailable, match="still being opened"):
        await follower.here.opened("old")


async def test_what_another_member_creates_and_drops_is_opened_and_dropped_here(follower: Follower) -> None:
    follower.here.follow()
    await follower.create("new")
    await follower.here.opened("new")
    await follower.log.propose(DropCollection("new"))
    while follower.node.shards:  # noqa: ASYNC110 - bounded by the fixture
        await asyncio.sleep(0)


async def test_a_failed_reconciliation_is_tried_again(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "RETRY_S", 0.01)
    failures = iter([OSError("the disk"), OSError("again")])
    reconcile = follower.node.reconcile

    async def failing(state: ClusterState) -> None:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        await reconcile(state)

    monkeypatch.setattr(follower.node, "reconcile", failing)
    await follower.create("c")
    follower.here.follow()
    await follower.here.opened("c")
    assert next(failures, None) is None


async def test_a_closed_one_follows_no_more(follower: Follower) -> None:
    follower.here.follow()
    await follower.create("first")
    await follower.here.opened("first")
    await follower.here.close()
    await follower.create("second")
    assert follower.log._subscribers == []
    assert follower.node.shards.keys() == {("first", 0)}
