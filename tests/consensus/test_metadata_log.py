"""What every form of the metadata log owes its users: one suite for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consensus.commands import ChangeAliases, DropCollection, SetClusterMetadata
from consensus.local_log import LocalLog
from consensus.log import MetadataLog
from consensus.state import ClusterState
from consensus.transitions import Events
from node.following.followed_log import FollowedLog
from protos.collections import CreateAlias
from protos.errors import BadInput, NotFound, ServiceError, Timeout
from tests.consensus.raft_group import Group
from tests.consensus.test_transitions import add
from tests.node.following.hub import following

PEER = 7


@pytest.fixture(
    params=[
        "local",
        "raft alone",
        "followed by a router",
        pytest.param("raft of three", marks=pytest.mark.slow),
    ]
)
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MetadataLog]:
    if request.param == "local":
        local = LocalLog.open(tmp_path, peer_id=PEER)
        yield local
        await local.close()
        return
    async with Group(tmp_path, founder=PEER) as group:
        if request.param == "followed by a router":
            async with following(group.logs[PEER]) as followed:
                yield followed
            return
        if request.param == "raft of three":
            await group.add(8)
            await group.add(9)
            leader = await group.leader()
            yield group.logs[next(peer for peer in group.logs if peer != leader)]
        else:
            yield group.logs[PEER]


async def test_a_proposal_is_in_the_state_when_it_returns(log: MetadataLog) -> None:
    await log.propose(add("c"))
    await log.propose(SetClusterMetadata("k", [1, {"a": None}]))
    assert set(log.state.collections) == {"c"}
    assert log.state.metadata == {"k": [1, {"a": None}]}


async def test_the_log_knows_its_peer_and_the_state_lists_it_unless_it_is_a_router(log: MetadataLog) -> None:
    assert (log.peer_id in log.state.peers) is not isinstance(log, FollowedLog)


async def test_a_rejected_command_raises_its_error(log: MetadataLog) -> None:
    await log.propose(add("c"))
    before = log.state
    with pytest.raises(NotFound):
        await log.propose(ChangeAliases((CreateAlias("x", "a"),)))
    assert log.state == before


async def test_a_command_that_changes_nothing_has_no_events(log: MetadataLog) -> None:
    assert await log.propose(DropCollection("x")) == ()


async def test_alias_actions_before_a_failing_one_are_done(log: MetadataLog) -> None:
    await log.propose(add("c"))
    with pytest.raises(NotFound):
        await log.propose(ChangeAliases((CreateAlias("c", "a"), CreateAlias("x", "b"))))
    assert log.state.aliases == {"a": "c"}


async def test_concurrent_proposals_are_ordered_and_all_kept(log: MetadataLog) -> None:
    seen: list[int] = []
    log.subscribe(lambda state, _events: seen.append(state.version))
    first = log.state.version + 1
    await asyncio.gather(*(log.propose(SetClusterMetadata(f"k{key}", key)) for key in range(20)))
    assert seen == list(range(first, first + 20))
    assert log.state.metadata == {f"k{key}": key for key in range(20)}


async def test_subscribers_hear_of_changes_until_they_stop(log: MetadataLog) -> None:
    heard: list[Events] = []
    stop = log.subscribe(lambda _state, events: heard.append(events))
    await log.propose(SetClusterMetadata("k", 1))
    await log.propose(SetClusterMetadata("k", 1))
    stop()
    stop()
    await log.propose(SetClusterMetadata("k", 2))
    assert len(heard) == 1


async def test_a_subscriber_sees_the_state_that_the_log_shows(log: MetadataLog) -> None:
    same: list[bool] = []
    log.subscribe(lambda state, _events: same.append(state is log.state))
    await log.propose(SetClusterMetadata("k", 1))
    assert same == [True]


async def test_a_subscriber_that_fails_troubles_neither_the_proposer_nor_the_others(log: MetadataLog) -> None:
    def fails(_state: ClusterState, _events: Events) -> None:
        raise RuntimeError("no room")

    heard: list[Events] = []
    log.subscribe(fails)
    log.subscribe(lambda _state, events: heard.append(events))
    with capture_logs() as logged:
        await log.propose(SetClusterMetadata("k", 1))
    assert len(heard) == 1
    assert [line["event"] for line in logged if line["log_level"] == "error"] == [
        "metadata_subscriber_failed"
    ]


async def test_a_number_no_log_can_hold_is_bad_input(log: MetadataLog) -> None:
    with pytest.raises(BadInput, match="number out of range"):
        await log.propose(SetClusterMetadata("k", 10**30))
    assert log.state.metadata == {}


async def test_a_cancelled_proposal_is_carried_out_whole(log: MetadataLog) -> None:
    applied = asyncio.Event()
    log.subscribe(lambda _state, _events: applied.set())
    proposal = asyncio.create_task(log.propose(SetClusterMetadata("k", 1)))
    await asyncio.sleep(0)
    proposal.cancel()
    with pytest.raises(asyncio.CancelledError):
        await proposal
    await applied.wait()
    assert log.state.metadata == {"k": 1}


async def test_a_closed_log_takes_no_commands(log: MetadataLog) -> None:
    await log.close()
    with pytest.raises((ServiceError, Timeout)):
        await log.propose(SetClusterMetadata("k", 1))
    assert log.state.metadata == {}
