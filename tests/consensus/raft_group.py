"""Raft logs of one process, wired to each other: found, join, cut, stop, restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from consensus import replicated
from consensus.commands import RegisterPeer
from consensus.membership import Keeper
from consensus.raft import founding
from consensus.raft.files import OsFiles
from consensus.raft_log import RaftLog
from consensus.state import Peer, founding_state
from tests.consensus.wires import Hub, HubWire


async def until(condition: Callable[[], Any], *, timeout_s: float = 15) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - there is nothing to be told by
            await asyncio.sleep(0.01)


def uri(peer: int) -> str:
    return f"http://127.0.0.1:{6000 + peer}"


class Group:
    """``logs``, by peer id: the members that run. A restarted one is a new incarnation."""

    def __init__(self, directory: Path, *, founder: int) -> None:
        self._directory, self._founder = directory, founder
        self.hub = Hub()
        self.logs: dict[int, RaftLog] = {}
        self.failures: list[str] = []
        self._wires: dict[int, HubWire] = {}
        self._keepers: dict[int, Keeper] = {}
        self._incarnations: dict[int, int] = {}

    async def __aenter__(self) -> Group:
        state = founding_state(Peer(self._founder, uri(self._founder)))
        files = OsFiles(self._directory / str(self._founder))
        first = replicated.founding(state, founding.FOUNDING_INDEX)
        founding.found(files, [str(self._founder)], first)
        log = await self.start(self._founder)
        await log.barrier()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for peer in list(self.logs):
            await self.stop(peer)
        assert kind is not None or not self.failures

    async def start(self, peer: int, *, contacts: tuple[int, ...] = ()) -> RaftLog:
        self._incarnations[peer] = self._incarnations.get(peer, 0) + 1
        self._wires[peer] = self.hub.wire(peer)
        log = await RaftLog.open(
            self._directory / str(peer),
            peer_id=peer,
            incarnation=self._incarnations[peer],
            wire=self._wires[peer],
            on_fatal=self.failures.append,
            contacts=contacts,
        )
        self.logs[peer] = log
        self._keepers[peer] = Keeper(log)
        return log

    async def stop(self, peer: int) -> None:
        await self._keepers.pop(peer).close()
        self._wires.pop(peer).detach()
        await self.logs.pop(peer).close()

    def forget(self, peer: int) -> None:
        """``peer`` could not be started."""
        self._wires.pop(peer)

    async def join(self, peer: int) -> RaftLog:
        """Start a member that the group does not know yet."""
        founding.prepare(OsFiles(self._directory / str(peer)))
        any_log = next(iter(self.logs.values()))
        await any_log.propose(RegisterPeer(peer, uri(peer), incarnation=1))
        return await self.start(peer, contacts=tuple(any_log.state.peers))

    async def add(self, peer: int) -> RaftLog:
        """``join``, and wait until it votes."""
        log = await self.join(peer)
        await until(lambda: log.status().is_voter)
        return log

    async def leader(self) -> int:
        """The peer that all running members take for the leader."""
        found: set[int | None] = set()

        def agreed() -> bool:
            nonlocal found
            found = {log.status().leader for log in self.logs.values()}
            return len(found) == 1 and None not in found

        await until(agreed)
        return int(found.pop() or 0)
