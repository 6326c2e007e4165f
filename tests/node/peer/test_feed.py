"""What a peer does for routers: told from memory, waited for a little, forgotten when they go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consensus.commands import SetClusterMetadata
from consensus.raft_log import RaftLog
from node.peer import feed as feeds
from node.peer import feed_wire as wire
from node.peer.feed import UNKNOWN_S, WAITING_MAX, Feed
from node.peer.feed_wire import Change, Piece, Told
from protos.errors import BadInput, ShardUnavailable
from tests.consensus.raft_group import Group, until
from tests.node.following.hub import ROUTER, Handlers, following, parts

PEER = 7


class Setting:
    """``now_s`` is the feed's clock."""

    def __init__(self, log: RaftLog) -> None:
        self.log, self.handlers, self.now_s = log, Handlers(), 100.0
        self.feed = Feed(log, lambda: self.now_s)
        self.feed.serve(self.handlers)

    def follow(self, router: int = ROUTER) -> Any:
        return parts(self.handlers, router)

    async def knows(self, index: int, router: int = ROUTER) -> None:
        await self.handlers.handlers[wire.KNOWN](router, wire.encode_index(index))

    @property
    def commit(self) -> int:
        return self.log.status().commit


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    async with Group(tmp_path, founder=PEER) as group:
        yield Setting(group.logs[PEER])


async def test_a_router_is_told_the_state_then_changes_and_of_the_peer_in_between(setting: Setting) -> None:
    stream = setting.follow()
    first, then = await anext(stream), await anext(stream)
    assert isinstance(first, Piece)
    assert (isinstance(then, Told), then.index) == (True, first.index)
    await setting.log.propose(SetClusterMetadata("k", 1))
    told = await anext(stream)
    while isinstance(told, Told):
        told = await anext(stream)
    assert isinstance(told, Change)
    assert told.version == setting.log.state.version
    await stream.aclose()


async def test_what_is_applied_while_a_router_is_told_something_does_not_count_as_told(
    setting: Setting,
) -> None:
    """The transport takes a message when it can. A router that heard of an index would skip its change."""
    stream = setting.follow()
    heard = changes = 0
    async with asyncio.timeout(10):
        for number in range(20):
            part = await anext(stream)  # nothing further is told until somebody asks for it
            if isinstance(part, Change):
                assert part.index > heard
                changes += 1
            heard = part.index
            await setting.log.propose(SetClusterMetadata("k", number))
    assert changes
    await stream.aclose()


async def test_a_change_counts_as_known_when_the_router_says_so(setting: Setting) -> None:
    stream = setting.follow()
    await anext(stream)
    assert setting.feed.known() == 0, "whoever begins may have acted on anything until now"
    await setting.knows(setting.log.applied_index)
    assert setting.feed.known() == setting.log.applied_index
    before = setting.log.applied_index
    await setting.log.propose(SetClusterMetadata("k", 1))
    assert setting.feed.known() == before < setting.log.applied_index
    await setting.knows(setting.log.applied_index)
    await setting.log.barrier()  # an entry that changes nothing need not be told
    assert setting.feed.known() == setting.log.applied_index
    await stream.aclose()
    assert setting.feed.known() == setting.commit


async def test_a_router_that_does_not_answer_is_not_waited_for_and_sent_away(setting: Setting) -> None:
    stream = setting.follow()
    await anext(stream)
    setting.now_s += UNKNOWN_S + 0.1
    assert setting.feed.known() == setting.commit > 0
    with pytest.raises(ShardUnavailable, match="does not say"):
        async for _ in stream:
            pass


async def test_a_router_that_takes_nothing_in_is_sent_away_and_holds_nothing_back(setting: Setting) -> None:
    """What waits for it is bounded, so the peer's memory does not grow, nor does its log."""
    stream = setting.follow()
    await anext(stream)
    reader = setting.feed._readers[ROUTER]
    for index in range(1, WAITING_MAX + 10):
        reader.add(Change(index, index, b""), setting.now_s)
    assert len(reader._waiting) == WAITING_MAX
    with pytest.raises(ShardUnavailable, match="too slowly"):
        async for _ in stream:
            pass
    assert not setting.feed._readers


async def test_who_goes_is_forgotten_and_who_comes_again_replaces_himself(setting: Setting) -> None:
    older, newer = setting.follow(), setting.follow()
    await anext(older)
    await anext(newer)
    assert isinstance(await anext(older), Told)
    with pytest.raises(StopAsyncIteration):
        await anext(older)
    assert set(setting.feed._readers) == {ROUTER}
    await newer.aclose()
    assert not setting.feed._readers


async def test_a_router_that_is_too_old_for_the_cluster_is_refused(setting: Setting) -> None:
    stream: Any = parts(setting.handlers, feature_level=setting.log.state.feature_level - 1)
    with pytest.raises(ShardUnavailable, match="feature level"):
        await anext(stream)


async def test_a_member_that_was_removed_takes_no_proposals_so_that_others_may(setting: Setting) -> None:
    setting.log.retire("it was removed")
    for method, request in ((wire.PROPOSE, wire.encode_proposal(b"", timeout_s=1)), (wire.BARRIER, b"")):
        with pytest.raises(ShardUnavailable):
            await setting.handlers.handlers[method](ROUTER, request)
    with pytest.raises(ShardUnavailable):
        await anext(setting.follow())


async def test_a_command_that_the_peer_does_not_know_is_bad_input_and_in_no_log(setting: Setting) -> None:
    before = setting.log.applied_index
    with pytest.raises(BadInput):
        await setting.handlers.handlers[wire.PROPOSE](ROUTER, wire.encode_proposal(b"\xc1", timeout_s=1))
    assert setting.log.applied_index == before


async def test_a_snapshot_that_replaces_the_peers_state_is_told_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that was away for long is sent a snapshot, and who follows it hears of what that holds."""
    monkeypatch.setattr("consensus.raft_log.SNAPSHOT_AFTER", 20)
    async with Group(tmp_path, founder=1) as group:
        await group.add(2)
        await group.add(3)
        await group.leader()
        async with following(group.logs[3]) as followed:
            group.hub.cut(3)
            for number in range(80):
                await group.logs[1].propose(SetClusterMetadata("k", number))
            assert followed.state.metadata != {"k": 79}
            group.hub.mend(3)
            await until(lambda: followed.state.metadata == {"k": 79})
            assert followed.state == group.logs[3].state


async def test_a_router_proposes_again_when_nobody_took_it(tmp_path: Path) -> None:
    async with Group(tmp_path, founder=PEER) as group, following(group.logs[PEER]) as followed:
        followed._followed.refusals = 3  # type: ignore[attr-defined]
        await followed.propose(SetClusterMetadata("k", 1))
        assert followed.state.metadata == {"k": 1}
        assert await followed.barrier() <= followed.applied_index
        status = followed.status()
        assert (status.role, status.is_voter, status.leader) == (None, False, PEER)
        assert status.commit >= followed.applied_index


async def test_silence_means_that_nobody_is_there(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "TELL_S", 0.01)
    stream = setting.follow()
    async with asyncio.timeout(5):
        heard = [await anext(stream) for _ in range(5)]
    assert [type(part) for part in heard[1:]] == [Told] * 4
    await stream.aclose()
