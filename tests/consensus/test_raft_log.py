"""The metadata log over Raft: what only several members, or a failing one, can show."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consensus import replicated
from consensus.commands import RemovePeer, SetClusterMetadata, encode_command
from consensus.membership import KEEP_S
from consensus.raft import founding
from consensus.raft.driver import OutcomeUnknown
from consensus.raft.files import OsFiles
from consensus.raft.founding import RaftFilesMissing
from consensus.raft.journal import LOG
from consensus.raft.snapshots import SNAPSHOT
from consensus.raft_log import RaftLog
from consensus.raft_machine import RaftMachine, encode_envelope
from consensus.replicated import FORMAT, Envelope
from protos.errors import BadInput, ServiceError, Timeout
from tests.consensus.raft_group import Group, until

pytestmark = pytest.mark.slow


async def three(group: Group) -> None:
    await group.add(2)
    await group.add(3)
    await group.leader()


async def test_a_member_that_joins_receives_the_state_and_then_a_vote(tmp_path: Path) -> None:
    async with Group(tmp_path, founder=1) as group:
        await group.logs[1].propose(SetClusterMetadata("k", 1))
        log = await group.join(2)
        await until(lambda: log.status().is_voter)
        assert log.state.metadata == {"k": 1}
        assert log.status().voters == (1, 2)


async def test_a_member_that_cannot_be_reached_gets_no_vote(tmp_path: Path) -> None:
    async with Group(tmp_path, founder=1) as group:
        group.hub.cut(2)
        await group.join(2)
        seen = asyncio.get_running_loop().time() + 5 * KEEP_S  # who gives votes has looked by then
        while asyncio.get_running_loop().time() < seen:
            await group.logs[1].propose(SetClusterMetadata("k", 1))
            assert group.logs[1].status().voters == (1,)
        group.hub.mend(2)
        await until(lambda: group.logs[2].status().is_voter)


async def test_without_a_majority_nothing_is_agreed_and_the_caller_is_told(tmp_path: Path) -> None:
    async with Group(tmp_path, founder=1) as group:
        await three(group)
        await group.stop(2)
        await group.stop(3)
        await until(lambda: not group.logs[1].status().has_quorum)
        with pytest.raises((ServiceError, Timeout)):
            await group.logs[1].propose(SetClusterMetadata("k", 1), timeout_s=0.3)
        with pytest.raises(Timeout):
            await group.logs[1].barrier(timeout_s=0.1)


async def test_a_proposal_that_was_never_taken_is_a_plain_failure(tmp_path: Path) -> None:
    async with Group(tmp_path, founder=1) as group:
        await three(group)
        await group.stop(2)
        await group.stop(3)
        await until(lambda: group.logs[1].status().leader is None)
        with pytest.raises(ServiceError, match="No leader took"):
            await group.logs[1].propose(SetClusterMetadata("k", 1), timeout_s=0.3)


async def test_a_proposal_whose_answers_are_lost_is_applied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Group(tmp_path, founder=1) as group:
        log = group.logs[1]
        propose, sent = log._driver.propose, 0

        async def forgetful(command: bytes, *, timeout_s: float) -> Any:
            nonlocal sent
            sent += 1
            await propose(command, timeout_s=timeout_s)
            raise OutcomeUnknown("lost")

        monkeypatch.setattr(log._driver, "propose", forgetful)
        monkeypatch.setattr(log, "_answer", lambda *_: None)
        version = log.state.version
        with pytest.raises(Timeout, match="may yet be reached"):
            await log.propose(SetClusterMetadata("k", 1), timeout_s=0.5)
        assert sent > 1
        assert log.state.version == version + 1


async def test_proposals_survive_a_leader_that_is_cut_off(tmp_path: Path) -> None:
    async with Group(tmp_path, founder=1) as group:
        await three(group)
        leader = await group.leader()
        others = [log for peer, log in group.logs.items() if peer != leader]
        running = [
            asyncio.create_task(log.propose(SetClusterMetadata(f"{log.peer_id}.{key}", key)))
            for key in range(50)
            for log in others
        ]
        await asyncio.sleep(0)
        group.hub.cut(leader)
        await asyncio.gather(*running)
        states = [await log.read() for log in others]
        group.hub.mend(leader)
        await until(lambda: group.logs[leader].state.version == states[0].version)
        assert group.logs[leader].state == states[0] == states[1]
        assert len(states[0].metadata) == len(running)


async def test_a_restarted_member_has_what_it_applied(tmp_path: Path) -> None:
    async with Group(tmp_path, founder=1) as group:
        await three(group)
        await group.logs[1].propose(SetClusterMetadata("k", 1))
        state = await group.logs[2].read()
        for peer in list(group.logs):
            await group.stop(peer)
        alone = await group.start(2)
        assert alone.state == state
        await group.start(3)
        await alone.propose(SetClusterMetadata("k", 2))


async def test_a_member_far_behind_catches_up_by_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consensus.raft_log.SNAPSHOT_AFTER", 20)
    async with Group(tmp_path, founder=1) as group:
        await three(group)
        await group.stop(3)
        for key in range(60):
            await group.logs[1].propose(SetClusterMetadata(f"k{key}", key))
        behind = await group.start(3)
        await until(lambda: len(behind.state.metadata) == 60)
        assert (await behind.read()) == group.logs[1].state


async def test_barriers_at_the_same_time_share_entries(tmp_path: Path) -> None:
    async with Group(tmp_path, founder=1) as group:
        log = group.logs[1]
        before = log.applied_index
        indexes = await asyncio.gather(*(log.barrier() for _ in range(50)))
        assert min(indexes) > before
        assert log.applied_index <= before + 2


async def test_a_removed_peer_loses_its_vote(tmp_path: Path) -> None:
    async with Group(tmp_path, founder=1) as group:
        await three(group)
        leader = await group.leader()
        victim = next(peer for peer in group.logs if peer != leader)
        await group.logs[leader].propose(RemovePeer(victim))
        await until(lambda: victim not in group.logs[leader].status().voters)


async def test_a_leader_that_is_removed_hands_over_first(tmp_path: Path) -> None:
    async with Group(tmp_path, founder=1) as group:
        await three(group)
        leader = await group.leader()
        others = [log for peer, log in group.logs.items() if peer != leader]
        await others[0].propose(RemovePeer(leader))
        await until(lambda: all(leader not in log.status().voters for log in others))
        await others[1].propose(SetClusterMetadata("k", 1))


async def test_an_entry_this_program_does_not_know_ends_the_log(tmp_path: Path) -> None:
    group = Group(tmp_path, founder=1)
    await group.__aenter__()
    log = group.logs[1]
    newer = msgspec.msgpack.encode({"type": "not_yet_invented"})
    envelope = Envelope(FORMAT, 1, 99, 1, 0, newer)
    with pytest.raises(OutcomeUnknown):
        await log._driver.propose(encode_envelope(envelope), timeout_s=1)
    assert len(group.failures) == 1
    assert "not_yet_invented" in group.failures[0]
    assert log.status().error == group.failures[0]
    with pytest.raises(ServiceError, match="has failed"):
        await log.propose(SetClusterMetadata("k", 1))
    group.failures.clear()
    await group.stop(1)


async def test_a_command_too_large_for_the_log_is_bad_input(tmp_path: Path) -> None:
    async with Group(tmp_path, founder=1) as group:
        with pytest.raises(BadInput, match="more than the metadata log takes"):
            await group.logs[1].propose(SetClusterMetadata("k", "x" * (1 << 20)))


@pytest.mark.parametrize("name", [LOG, SNAPSHOT])
async def test_a_member_whose_files_are_gone_does_not_come_back_as_itself(tmp_path: Path, name: str) -> None:
    async with Group(tmp_path, founder=1) as group:
        await three(group)
        await group.stop(3)
        (tmp_path / "3" / name).unlink()
        with pytest.raises(RaftFilesMissing):
            await group.start(3)
        group.forget(3)


def test_a_machine_that_applies_a_repeat_says_the_same_again() -> None:
    published: list[Any] = []
    machine = RaftMachine(published.append)
    machine.restore(replicated.founding(_state(), founding.FOUNDING_INDEX))
    envelope = Envelope(FORMAT, 1, 1, 1, 1, encode_command(SetClusterMetadata("k", 1)))
    for index in (4, 5):
        machine.apply(index=index, term=1, command=encode_envelope(envelope))
    first, second = published[1:]
    assert first.events == second.events
    assert first.cluster is not None
    assert second.cluster is None


def _state() -> Any:
    from consensus.state import Peer, founding_state

    return founding_state(Peer(1))


async def test_the_log_opens_only_files_that_were_made_for_it(tmp_path: Path) -> None:
    OsFiles(tmp_path)
    with pytest.raises(RaftFilesMissing):
        await RaftLog.open(
            tmp_path,
            peer_id=1,
            incarnation=1,
            wire=Group(tmp_path, founder=1).hub.wire(1),
            on_fatal=lambda _: None,
        )
