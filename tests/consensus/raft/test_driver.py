"""The Raft thread and its asyncio face, over a transport between threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from consensus.raft.driver import NotAppended, OutcomeUnknown, RaftDriver
from consensus.raft.files import OsFiles
from consensus.raft.hardened import COMMAND_BYTES_MAX, HardenedSyncObj
from consensus.raft.journal import LOG, JournalDamaged
from tests.sim.raft.world import Ledger

pytestmark = pytest.mark.slow


class Hub:
    """Members that reach each other, by name."""

    def __init__(self) -> None:
        self.drivers: dict[str, RaftDriver] = {}
        self.transports: dict[str, ThreadTransport] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.failures: list[BaseException] = []


class ThreadTransport(Transport):  # type: ignore[misc]
    def __init__(self, hub: Hub, me: str, others: list[Node]) -> None:
        super().__init__(None, me, others)
        self._hub, self._me, self._others = hub, me, others
        self._up: set[str] = set()

    def notice_connections(self) -> None:
        for node in self._others:
            up = node.id in self._hub.transports
            if up != (node.id in self._up):
                (self._up.add if up else self._up.discard)(node.id)
                (self._onNodeConnected if up else self._onNodeDisconnected)(node)

    def send(self, node: Node, message: Any) -> bool:
        target, driver = self._hub.transports.get(node.id), self._hub.drivers.get(node.id)
        if target is None or driver is None:
            return False
        source = next(peer for peer in target._others if peer.id == self._me)
        driver.call(lambda _: target._onMessageReceived(source, message))
        return True


@asynccontextmanager
async def running(tmp_path: Path, names: list[str], *, start: list[str]) -> AsyncIterator[Hub]:
    hub = Hub()
    for name in start:
        await start_member(hub, tmp_path, name, names)
    try:
        yield hub
    finally:
        for driver in hub.drivers.values():
            await driver.stop()


async def start_member(hub: Hub, tmp_path: Path, name: str, names: list[str]) -> RaftDriver:
    others = [Node(other) for other in names if other != name]
    transport = ThreadTransport(hub, name, others)

    def make() -> HardenedSyncObj:
        ledger = Ledger()
        member = HardenedSyncObj(
            Node(name), others, files=OsFiles(tmp_path / name), machine=ledger, transport=transport
        )
        hub.ledgers[name] = ledger
        return member

    driver = RaftDriver(make, on_fatal=hub.failures.append, on_tick=transport.notice_connections)
    await driver.start()
    hub.drivers[name] = driver
    hub.transports[name] = transport
    return driver


async def leader_of(hub: Hub, other_than: str | None = None) -> str:
    while True:
        believed = {(await driver.status()).leader for driver in hub.drivers.values()}
        if len(believed) == 1 and believed.isdisjoint({None, other_than}):
            return str(believed.pop())
        await asyncio.sleep(0.01)


STOOD_STILL_S = 2.5  # longer than any election timeout
NAMES = ["n0", "n1", "n2"]


async def test_a_proposal_on_any_member_is_applied_where_it_was_made(tmp_path: Path) -> None:
    async with running(tmp_path, NAMES, start=NAMES) as hub:
        await leader_of(hub)
        for name in NAMES:
            committed = await hub.drivers[name].propose(name.encode(), timeout_s=5)
            assert (committed.index, name.encode()) in hub.ledgers[name].applied
    assert not hub.failures


async def test_without_a_majority_nothing_is_appended_and_the_caller_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, NAMES, start=NAMES[:1]) as hub:
        with pytest.raises(NotAppended, match="MISSING_LEADER"):
            await hub.drivers["n0"].propose(b"x", timeout_s=5)
        assert not (await hub.drivers["n0"].status()).has_quorum


async def test_a_deadline_that_passes_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    async with running(tmp_path, NAMES, start=NAMES) as hub:
        leader = await leader_of(hub)
        for name in NAMES:
            if name != leader:
                del hub.transports[name]  # still believed connected for a tick; it answers no more
        with pytest.raises((OutcomeUnknown, NotAppended)):
            await hub.drivers[leader].propose(b"x", timeout_s=0.1)


async def test_a_command_over_the_limit_is_refused_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, ["n0"], start=["n0"]) as hub:
        with pytest.raises(ValueError, match="may have"):
            await hub.drivers["n0"].propose(b"x" * (COMMAND_BYTES_MAX + 1), timeout_s=5)
        await leader_of(hub)
        assert await hub.drivers["n0"].propose(b"fits", timeout_s=5)


async def test_a_restarted_member_has_what_it_applied(tmp_path: Path) -> None:
    async with running(tmp_path, ["n0"], start=["n0"]) as hub:
        await leader_of(hub)
        await hub.drivers["n0"].propose(b"x", timeout_s=5)
    async with running(tmp_path, ["n0"], start=["n0"]) as hub:
        await leader_of(hub)
        await hub.drivers["n0"].propose(b"y", timeout_s=5)
        assert [command for _, command in hub.ledgers["n0"].applied] == [b"x", b"y"]


async def test_members_whose_event_loop_stood_still_do_not_depose_a_leader_they_could_not_hear(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, NAMES, start=NAMES) as hub:
        leader = await leader_of(hub)
        term = (await hub.drivers[leader].status()).term
        await hub.drivers.pop(leader).stop()
        time.sleep(STOOD_STILL_S)  # noqa: ASYNC251 - the event loop is to stand still, the members' threads go on
        assert [driver.latest and driver.latest.term for driver in hub.drivers.values()] == [term, term]
        assert await leader_of(hub, other_than=leader)  # they can hear, and nobody leads


async def test_damaged_files_end_the_start(tmp_path: Path) -> None:
    async with running(tmp_path, ["n0"], start=["n0"]) as hub:
        await leader_of(hub)
        await hub.drivers["n0"].propose(b"x", timeout_s=5)
    log = tmp_path / "n0" / LOG
    damaged = bytearray(log.read_bytes())
    damaged[9] ^= 1
    log.write_bytes(damaged)
    with pytest.raises(JournalDamaged):
        await start_member(Hub(), tmp_path, "n0", ["n0"])
