"""The local metadata log: what was acknowledged is there after any end of the process."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from consensus.commands import ChangeAliases, DropCollection, SetClusterMetadata
from consensus.local_log import LocalLog
from consensus.log_format import HEADER_BYTES, MetadataCorrupted
from consensus.state import FEATURE_LEVEL, ClusterState
from protos.collections import CreateAlias
from protos.errors import BadInput, InsufficientStorage, NotFound, ServiceError
from tests.consensus.test_transitions import add


async def filled(directory: Path, keys: int, *, compact_after: int = 1024) -> ClusterState:
    log = LocalLog.open(directory, compact_after=compact_after)
    for key in range(keys):
        await log.propose(SetClusterMetadata(f"k{key}", key))
    await log.close()
    return log.state


def reopened(directory: Path) -> LocalLog:
    return LocalLog.open(directory)


async def test_what_was_proposed_is_there_after_reopening(tmp_path: Path) -> None:
    log = LocalLog.open(tmp_path, peer_id=7)
    await log.propose(add("c"))
    await log.propose(SetClusterMetadata("k", [1, {"a": None}]))
    again = reopened(tmp_path)  # the first one is never closed, as after a kill
    assert again.state == log.state
    assert set(again.state.collections) == {"c"}
    await log.close()
    await again.close()


async def test_the_peer_keeps_its_id(tmp_path: Path) -> None:
    first = LocalLog.open(tmp_path)
    await first.close()
    again = LocalLog.open(tmp_path, peer_id=99)
    assert again.peer_id == first.peer_id
    assert 1 <= again.peer_id < 2**53
    assert set(again.state.peers) == {again.peer_id}
    await again.close()


async def test_a_rejected_command_raises_its_error_and_leaves_no_trace(tmp_path: Path) -> None:
    log = LocalLog.open(tmp_path, peer_id=7)
    await log.propose(add("c"))
    size = (tmp_path / "log").stat().st_size
    with pytest.raises(BadInput, match="Unknown peers"):
        await LocalLog.open(tmp_path / "other", peer_id=8).propose(add("d"))
    with pytest.raises(NotFound):
        await log.propose(ChangeAliases((CreateAlias("x", "a"),)))
    assert await log.propose(DropCollection("x")) == ()
    assert (tmp_path / "log").stat().st_size == size
    await log.close()


async def test_alias_actions_before_a_failing_one_are_durable(tmp_path: Path) -> None:
    log = LocalLog.open(tmp_path, peer_id=7)
    await log.propose(add("c"))
    with pytest.raises(NotFound):
        await log.propose(ChangeAliases((CreateAlias("c", "a"), CreateAlias("x", "b"))))
    await log.close()
    again = reopened(tmp_path)
    assert again.state.aliases == {"a": "c"}
    await again.close()


async def test_concurrent_proposals_are_ordered_and_all_kept(tmp_path: Path) -> None:
    log = LocalLog.open(tmp_path)
    seen: list[int] = []
    log.subscribe(lambda state, _events: seen.append(state.version))
    await asyncio.gather(*(log.propose(SetClusterMetadata(f"k{key}", key)) for key in range(20)))
    assert seen == list(range(1, 21))
    await log.close()
    again = reopened(tmp_path)
    assert again.state.metadata == {f"k{key}": key for key in range(20)}
    await again.close()


async def test_compaction_keeps_the_state_and_shortens_the_log(tmp_path: Path) -> None:
    state = await filled(tmp_path, 10, compact_after=4)
    await filled(tmp_path / "plain", 10)
    assert (tmp_path / "log").stat().st_size < (tmp_path / "plain" / "log").stat().st_size
    again = reopened(tmp_path)
    assert again.state == state
    await again.propose(SetClusterMetadata("more", 1))
    await again.close()
    assert reopened(tmp_path).state.metadata["more"] == 1


async def test_a_crash_between_snapshot_and_new_log_applies_nothing_twice(tmp_path: Path) -> None:
    await filled(tmp_path, 3, compact_after=4)
    old_log = (tmp_path / "log").read_bytes()
    log = LocalLog.open(tmp_path, compact_after=4)
    await log.propose(SetClusterMetadata("k0"))  # the fourth: compacts
    await log.close()
    (tmp_path / "log").write_bytes(old_log)
    again = reopened(tmp_path)
    assert again.state == log.state
    await again.close()


@pytest.mark.parametrize("left", [1, 5, 11, 13, 20])
async def test_a_torn_last_command_is_cut_off(tmp_path: Path, left: int) -> None:
    await filled(tmp_path, 2)
    path = tmp_path / "log"
    two = path.read_bytes()
    await filled(tmp_path, 3)
    path.write_bytes(path.read_bytes()[: len(two) + left])
    log = reopened(tmp_path)
    assert log.state.metadata == {"k0": 0, "k1": 1}
    assert path.read_bytes() == two
    await log.propose(SetClusterMetadata("k9", 9))
    await log.close()
    assert reopened(tmp_path).state.metadata == {"k0": 0, "k1": 1, "k9": 9}


async def test_a_tail_of_zeros_is_torn_too(tmp_path: Path) -> None:
    state = await filled(tmp_path, 2)
    path = tmp_path / "log"
    path.write_bytes(path.read_bytes() + bytes(100))
    assert reopened(tmp_path).state == state


@pytest.mark.parametrize("at", [HEADER_BYTES, HEADER_BYTES + 5, HEADER_BYTES + 9, HEADER_BYTES + 22])
async def test_damage_before_the_last_command_refuses_to_start(tmp_path: Path, at: int) -> None:
    await filled(tmp_path, 3)
    path = tmp_path / "log"
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(MetadataCorrupted, match="byte 8: bad checksum"):
        reopened(tmp_path)
    assert path.read_bytes() == data


async def test_a_damaged_snapshot_refuses_to_start(tmp_path: Path) -> None:
    await filled(tmp_path, 3)
    path = tmp_path / "snapshot"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(MetadataCorrupted, match="snapshot"):
        reopened(tmp_path)


async def test_a_lost_snapshot_refuses_to_start(tmp_path: Path) -> None:
    await filled(tmp_path, 3)
    (tmp_path / "snapshot").unlink()
    with pytest.raises(MetadataCorrupted, match="the file is missing"):
        reopened(tmp_path)


@pytest.mark.parametrize("name", ["log", "snapshot"])
async def test_a_newer_format_refuses_to_start(tmp_path: Path, name: str) -> None:
    await filled(tmp_path, 1)
    data = bytearray((tmp_path / name).read_bytes())
    data[6] = 9
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MetadataCorrupted, match="format 9; this program knows 1"):
        reopened(tmp_path)


async def test_a_state_that_used_newer_features_refuses_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = FEATURE_LEVEL + 1
    with monkeypatch.context() as newer:
        newer.setattr("consensus.state.FEATURE_LEVEL", level)
        newer.setattr("consensus.local_log.FEATURE_LEVEL", level)
        await filled(tmp_path, 1)
    with pytest.raises(
        MetadataCorrupted, match=f"feature level {level} was in use; this program knows {FEATURE_LEVEL}"
    ):
        reopened(tmp_path)


async def test_a_command_that_could_not_be_synced_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LocalLog.open(tmp_path)
    await log.propose(SetClusterMetadata("before", 1))

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", full)
        with pytest.raises(InsufficientStorage):
            await log.propose(SetClusterMetadata("lost", 1))
    await log.propose(SetClusterMetadata("after", 1))
    await log.close()
    assert log.state.metadata == {"before": 1, "after": 1}
    assert reopened(tmp_path).state.metadata == {"before": 1, "after": 1}


async def test_a_log_that_could_not_undo_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LocalLog.open(tmp_path)

    def fail(*_arguments: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fail)
        broken.setattr(os, "ftruncate", fail)
        with pytest.raises(ServiceError):
            await log.propose(SetClusterMetadata("lost", 1))
    with pytest.raises(ServiceError, match="takes no commands"):
        await log.propose(SetClusterMetadata("later", 1))
    assert log.state.metadata == {}
    await log.close()


async def test_a_failed_compaction_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LocalLog.open(tmp_path, compact_after=1)

    def fail(_file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        await log.propose(SetClusterMetadata("a", 1))
    await log.propose(SetClusterMetadata("b", 2))
    await log.close()
    assert reopened(tmp_path).state.metadata == {"a": 1, "b": 2}


async def test_a_number_no_log_can_hold_is_bad_input(tmp_path: Path) -> None:
    log = LocalLog.open(tmp_path)
    with pytest.raises(BadInput, match="number out of range"):
        await log.propose(SetClusterMetadata("k", 10**30))
    assert log.state.metadata == {}
    await log.close()


async def test_a_cancelled_proposal_is_carried_out_whole(tmp_path: Path) -> None:
    log = LocalLog.open(tmp_path)
    applied = asyncio.Event()
    log.subscribe(lambda _state, _events: applied.set())
    proposal = asyncio.create_task(log.propose(SetClusterMetadata("k", 1)))
    await asyncio.sleep(0)
    proposal.cancel()
    with pytest.raises(asyncio.CancelledError):
        await proposal
    await applied.wait()
    assert log.state.metadata == {"k": 1}
    await log.close()
    assert reopened(tmp_path).state.metadata == {"k": 1}
