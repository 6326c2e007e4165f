"""Looking whether this node is ready: the shell around ``router.cluster.readiness``.

One task goes through the checks from the first question on. It looks again when it is asked, when the state
changes, and every ``LOOK_S``, since the applied index grows without telling.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from consensus.log import MetadataLog
from consensus.state import ClusterState
from consensus.transitions import Events
from node.client.cluster import ClusterClient
from protos.errors import VecraftError
from protos.logger import get_logger
from protos.tasks import end_all
from router.cluster.readiness import Checks, Seen, Stage, advance, asks

ANSWER_S = 0.5  # how long a question after readiness may take
ASK_S = 2.0  # for the commit index of one member
LOOK_S = 0.5

_log = get_logger(__name__)


class Readiness(Protocol):
    async def ready(self) -> bool:
        """May this node be sent requests? Answers soon."""
        ...


class ReadyCheck:
    """``joins``: this process was started with ``--bootstrap``, for the first time. ``withheld``: it opens no
    shard."""

    def __init__(
        self, log: MetadataLog, cluster: ClusterClient, *, joins: bool = False, withheld: bool = False
    ) -> None:
        self._log, self._cluster, self._joins, self._withheld = log, cluster, joins, withheld
        self._checks = Checks()
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def stage(self) -> Stage:
        return self._checks.stage

    def is_ready(self) -> bool:
        """As far as has been seen."""
        return self._checks.stage is Stage.READY

    def start(self) -> None:
        """Begin to look, if that has not begun or has failed. On the event loop."""
        if not self.is_ready() and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._look(), name="readiness")

    async def ready(self) -> bool:
        """Is this node ready? Once it is, it stays so. Takes ``ANSWER_S`` at most."""
        if self.is_ready():
            return True
        self.start()
        self._nudged.set()
        assert self._task is not None
        await asyncio.wait((self._task,), timeout=ANSWER_S)
        return self.is_ready()

    async def close(self) -> None:
        if self._task is not None:
            await end_all([self._task])

    async def _look(self) -> None:
        unsubscribe = self._log.subscribe(self._changed)
        try:
            while not self.is_ready():
                self._nudged.clear()
                before = self._checks
                self._checks = await self._look_once(before)
                if self._checks.stage is before.stage:
                    await self._wait()
            _log.info("node_is_ready")
        except Exception:  # noqa: BLE001 - told here once; the next question begins anew
            _log.exception("readiness_check_failed")
        finally:
            unsubscribe()

    async def _look_once(self, checks: Checks) -> Checks:
        wanted = asks(checks, self._log.state, self._cluster.peer_id)
        commits = await self._commits(wanted) if wanted else ()
        seen = Seen(
            self._log.state,
            self._cluster.peer_id,
            self._cluster.status().applied,
            asyncio.get_running_loop().time(),
            commits,
            self._withheld,
        )
        return advance(checks, seen, joins=self._joins)

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._nudged.wait()

    def _changed(self, _state: ClusterState, _events: Events) -> None:
        self._nudged.set()

    async def _commits(self, wanted: int) -> tuple[int, ...]:
        """The first ``wanted`` commit indexes that other members tell; fewer if the others fail."""
        others = sorted(self._log.state.peers.keys() - {self._cluster.peer_id})
        tasks = [asyncio.create_task(self._commit(peer_id)) for peer_id in others]
        found: list[int] = []
        try:
            for answer in asyncio.as_completed(tasks):
                index = await answer
                found += [] if index is None else [index]
                if len(found) >= wanted:
                    break
        finally:
            for task in tasks:
                task.cancel()
        return tuple(found)

    async def _commit(self, peer_id: int) -> int | None:
        try:
            async with asyncio.timeout(ASK_S):
                return await self._cluster.commit_index(peer_id, timeout_s=ASK_S)
        except (VecraftError, TimeoutError):
            return None
