"""Three processes agree on metadata, whichever of them is killed, paused, or comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port

pytestmark = pytest.mark.slow

NAMES = ("a", "b", "c")
ROUNDS = int(os.environ.get("METADATA_ROUNDS", "3"))


class Process:
    """One peer. ``ask`` raises ConnectionError when it is gone."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory, self.port = directory, port
        self.uri = f"http://127.0.0.1:{port}"
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def start(self, bootstrap: str = "-") -> None:
        arguments = [str(self._directory), str(self.port), self.uri, bootstrap]
        async with self._turn:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests_cluster.metadata_peer", *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert await self._read() == "started"

    async def ask(self, *request: Any) -> Any:
        async with self._turn:
            process = self._process
            if process is None or process.stdin is None or process.returncode is not None:
                raise ConnectionError(self.uri)
            process.stdin.write(json.dumps(request).encode() + b"\n")
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await process.stdin.drain()
            return await self._read()

    async def kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def _read(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError(self.uri)
        return json.loads(line)


class Writer:
    """Proposes through one peer for as long as it runs. ``kept``: what was acknowledged."""

    def __init__(self, name: str, process: Process) -> None:
        self._name, self._process = name, process
        self.kept: dict[str, int] = {}
        self._count = 0

    async def run(self) -> None:
        while True:
            key = f"{self._name}{self._count}"
            self._count += 1
            try:
                if await self._process.ask("propose", key, self._count) is None:
                    self.kept[key] = self._count
            except ConnectionError:
                await asyncio.sleep(0.05)  # it was killed, and is started again


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[dict[str, Process]]:
    peers = {name: Process(tmp_path / name, free_port()) for name in NAMES}
    try:
        await peers["a"].start()
        for name in NAMES[1:]:
            await peers[name].start(peers["a"].uri)
        async with asyncio.timeout(15):
            while len((await peers["c"].ask("status"))["voters"]) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield peers
    finally:
        await asyncio.gather(*(peer.kill() for peer in peers.values()))


async def leader(peers: dict[str, Process]) -> str:
    async with asyncio.timeout(15):
        while True:
            found = {name: await peer.ask("status") for name, peer in peers.items()}
            ids = {status["peer_id"]: name for name, status in found.items()}
            believed = {status["leader"] for status in found.values()}
            if len(believed) == 1 and believed <= set(ids):
                return ids[believed.pop()]
            await asyncio.sleep(0.05)


async def test_nothing_acknowledged_is_lost_when_leaders_are_killed_and_paused(
    peers: dict[str, Process],
) -> None:
    writers = {name: Writer(name, peer) for name, peer in peers.items()}
    running = [asyncio.create_task(writer.run()) for writer in writers.values()]
    rng = random.Random(7)
    pauses = []
    for number in range(ROUNDS):
        victim = await leader(peers)
        others = [writer for name, writer in writers.items() if name != victim]
        before, began = sum(len(writer.kept) for writer in others), time.monotonic()
        if number % 2:
            peers[victim].signal(signal.SIGSTOP)
        else:
            await peers[victim].kill()
        async with asyncio.timeout(15):
            while sum(len(writer.kept) for writer in others) < before + 10:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        pauses.append(time.monotonic() - began)
        await asyncio.sleep(rng.random())
        if number % 2:
            peers[victim].signal(signal.SIGCONT)
        else:
            await peers[victim].start()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await asyncio.gather(*(peer.kill() for peer in peers.values()))
    await asyncio.gather(*(peer.start() for peer in peers.values()))
    kept = {key: value for writer in writers.values() for key, value in writer.kept.items()}
    print(f"{len(kept)} acknowledged; without a leader for {', '.join(f'{s:.2f}' for s in pauses)} s")
    for peer in peers.values():
        async with asyncio.timeout(30):
            while not isinstance(state := await peer.ask("state"), dict):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert kept.items() <= state.items()
    assert max(pauses) < 10
