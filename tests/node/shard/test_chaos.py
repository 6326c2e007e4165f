"""Replicas on real files under the real controller's plans, while peers die, are cut off and lose letters.

Each client writes numbers to a key of its own, the next one only when the last was acknowledged; until then
it tries again under the same operation id, as the router does. What a key holds in the end must be the last
number acknowledged, or one sent after it.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from consensus.controller import Limits, plan
from consensus.reports import PeerReport, Reports
from consensus.state import TransferMethod
from node.shard import shard as shard_module
from protos.errors import VecraftError
from protos.operations import UpdateStatus
from tests.node.replica.points import upsert
from tests.node.shard.group import UUID, Group, group_of, until

pytestmark = pytest.mark.slow

CLIENTS = 4
CHAOS_S = 4.0
LIMITS = Limits(
    lost_after_ms=200,
    evict_after_ms=400,
    replace_after_ms=None,
    incoming_transfers=9,
    outgoing_transfers=9,
    full_method=TransferMethod.SNAPSHOT,
)


class Client:
    """``sent``: the last number that may have been applied; ``acked``: the last that was acknowledged."""

    def __init__(self, group: Group, key: int) -> None:
        self._group, self.key = group, key
        self.sent = self.acked = 0
        self.reads = 0

    async def work(self, stop: asyncio.Event, rng: random.Random) -> None:
        while not stop.is_set():
            if rng.random() < 0.3:
                await self._read(rng)
            else:
                self.sent += 1
                await self._write(stop)

    async def _write(self, stop: asyncio.Event) -> None:
        change = upsert([self.key], [{"n": self.sent}])
        operation_id = f"{self.key}/{self.sent}".encode()
        while not stop.is_set():
            try:
                result = await self._group.write(change, operation_id=operation_id, timeout_ms=1_000)
            except VecraftError:
                await asyncio.sleep(0.02)
                continue
            except AssertionError:  # the primary is down
                await asyncio.sleep(0.02)
                continue
            if result.status is UpdateStatus.COMPLETED:  # else its outcome is not known yet
                self.acked = self.sent
                return

    async def _read(self, rng: random.Random) -> None:
        """A strong read, wherever it is answered, misses nothing that was acknowledged before it."""
        peer = rng.choice(sorted(self._group.places))
        if self._group.places[peer].shard is None:
            return
        before = self.acked
        try:
            found = await self._group.read(peer)
        except VecraftError:
            return
        self.reads += 1
        self.check(found.get(self.key), at_least=before)

    def check(self, payload: bytes | None, *, at_least: int) -> None:
        number = 0 if payload is None else int(payload.split(b":")[1].rstrip(b"} "))
        assert at_least <= number <= self.sent, f"key {self.key}: {number}, not {at_least}..{self.sent}"


class Chaos:
    def __init__(self, group: Group, rng: random.Random) -> None:
        self._group, self._rng = group, rng
        self._silent_since: dict[int, int] = {}

    async def control(self) -> None:
        """The controller's rounds. A peer that is cut off or down is silent."""
        group = self._group
        while True:
            await asyncio.sleep(0.05)
            now_ms = next(iter(group.places.values())).now_ms()
            heard = {}
            for peer, place in group.places.items():
                if place.held_back:
                    self._silent_since.setdefault(peer, now_ms)
                else:
                    self._silent_since.pop(peer, None)
                report = place.shard.report() if place.shard is not None else None
                replicas = {} if report is None else {(UUID, 0): report}
                heard[peer] = PeerReport(self._silent_since.get(peer, now_ms), 0, replicas)
            for command in plan(group.state, Reports(0, heard), now_ms, LIMITS):
                try:
                    group.propose(command)
                except VecraftError:
                    continue

    async def harm(self, until_s: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + until_s
        while loop.time() < end:
            act = self._rng.choice((self._isolate, self._kill, self._lose_letters, self._half_cut))
            await act()

    async def _isolate(self) -> None:
        peer = self._pick()
        self._group.isolate(peer)
        self._group.places[peer].held_back = True
        await asyncio.sleep(self._rng.uniform(0.05, 0.8))
        self._group.heal()

    async def _kill(self) -> None:
        peer = self._pick()
        self._group.kill(peer)
        await asyncio.sleep(self._rng.uniform(0.0, 0.6))
        self._group.start(peer)

    async def _lose_letters(self) -> None:
        a, b = self._rng.sample(sorted(self._group.places), 2)
        for _ in range(10):
            self._group.cut.symmetric_difference_update({(a, b)})
            await asyncio.sleep(0.02)
        self._group.cut.discard((a, b))

    async def _half_cut(self) -> None:
        """One direction only: requests arrive and answers do not."""
        a, b = self._rng.sample(sorted(self._group.places), 2)
        self._group.cut.add((a, b))
        await asyncio.sleep(self._rng.uniform(0.1, 0.6))
        self._group.cut.discard((a, b))

    def _pick(self) -> int:
        return self._rng.choice([*self._group.places, self._group.agreed.primary])


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_fails_nothing_acknowledged_is_lost(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(shard_module, "KEEP_BYTES", rng.choice((0, 1 << 20)))
    async with group_of(tmp_path, (1, 2, 3)) as group:
        chaos = Chaos(group, rng)
        stop = asyncio.Event()
        clients = [Client(group, key) for key in range(CLIENTS)]
        controlling = asyncio.create_task(chaos.control())
        working = [asyncio.create_task(client.work(stop, random.Random(rng.random()))) for client in clients]
        await chaos.harm(CHAOS_S)
        group.heal()
        await group.active(1, 2, 3)
        await until(lambda: all(client.acked > 3 for client in clients))
        stop.set()
        await asyncio.gather(*working)
        await group.write_in_the_end(upsert([100]))
        await group.active(1, 2, 3)
        for peer in (1, 2, 3):
            found = await group.read(peer)
            for client in clients:
                client.check(found.get(client.key), at_least=client.acked)
        controlling.cancel()
        assert await group.held(1) == await group.held(2) == await group.held(3)
