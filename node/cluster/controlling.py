"""The controller's loop: on the Raft leader, again and again, from reports to commands.

Lives here: when to plan, which commands are proposed, who may be called silent.
May not live here: what is planned (``consensus.controller``), the sending of reports (``reporting``).

Invariants: one plan at a time, and none but on the leader; at most one command per shard, and
``PROPOSALS_MAX`` in all, are under way; a leader that has just begun, or was itself stopped, gives everyone
the whole time to be heard.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from msgspec.structs import replace

from consensus.commands import (
    Command,
    DropReplica,
    EvictReplica,
    FinishTransfer,
    ListenReplica,
    PromotePrimary,
    ReplicaReady,
    StartTransfer,
)
from consensus.controller import Limits, plan
from consensus.log import MetadataLog, RaftStatus
from consensus.reports import PeerReport, ReplicaKey
from consensus.state import ClusterState
from consensus.transitions import Events
from node.cluster.report_book import ReportBook
from protos.clock import Clock
from protos.errors import Timeout, VecraftError
from protos.logger import get_logger
from protos.tasks import end_all

log = get_logger()

ROUND_S = 0.2
ROUND_GAP_S = 0.05  # between two rounds at least, whatever happens
PAUSED_MS = 1_000  # without a round: the process, or its loop, was stopped
PROPOSALS_MAX = 16
PROPOSE_TIMEOUT_S = 10.0

OwnReport = Callable[[], PeerReport]
Aside = Callable[[Callable[[], list[Command]]], Awaitable[list[Command]]]


class Controller:
    """One per node; it does nothing while another one leads. On the event loop only."""

    def __init__(
        self,
        metadata: MetadataLog,
        status: Callable[[], RaftStatus],
        own: OwnReport,
        *,
        clock: Clock,
        limits: Limits | None = None,
        down_since_ms: Callable[[], Mapping[int, int]] = dict,
        aside: Aside = asyncio.to_thread,
    ) -> None:
        """``own``: this node's report as of now; cheap, called on the event loop. ``down_since_ms``: see
        ``consensus.reports.Reports``. ``aside`` calls a function somewhere else: a plan for a thousand shards
        takes some 50 ms."""
        self._metadata, self._status, self._own, self._clock = metadata, status, own, clock
        self._limits, self._aside = limits or Limits(), aside
        self._down_since_ms = down_since_ms
        self._book = ReportBook()
        self._wake = asyncio.Event()
        self._underway: dict[ReplicaKey, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._last_round_ms = 0

    def start(self) -> None:
        self._last_round_ms = self._clock.monotonic_ms()
        self._unsubscribe = self._metadata.subscribe(self._state_changed)
        self._loop = asyncio.create_task(self._run(), name="controller")

    async def close(self) -> None:
        """What was proposed may still be carried out."""
        self._unsubscribe()
        await end_all([*self._underway.values(), *([self._loop] if self._loop else [])])

    def hear(self, peer_id: int, report: PeerReport) -> bool:
        """A peer's report has come in. Returns: is this node the leader?"""
        self._look_who_leads()
        if self._book.hear(peer_id, report, self._metadata.state):
            self.poke()
        return self._book.leads

    def poke(self) -> None:
        """Plan soon."""
        self._wake.set()

    def _state_changed(self, _state: ClusterState, _events: Events) -> None:
        self.poke()

    # --- rounds -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROUND_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._round()
            except Exception:
                log.exception("controller_round_failed")
            await asyncio.sleep(ROUND_GAP_S)

    async def _round(self) -> None:
        now_ms = self._clock.monotonic_ms()
        stopped_ms, self._last_round_ms = now_ms - self._last_round_ms, now_ms
        self._look_who_leads()
        if not self._book.leads:
            return
        if stopped_ms >= PAUSED_MS:
            log.warning("controller_was_stopped", for_ms=stopped_ms)
            self._book.listen_anew(now_ms)
        state = self._metadata.state
        self._book.hear(self._metadata.peer_id, replace(self._own(), heard_ms=now_ms), state)
        reports = self._book.reports(state, self._down_since_ms())
        for command in await self._aside(partial(plan, state, reports, now_ms, self._limits)):
            self._propose(command)

    def _look_who_leads(self) -> None:
        """Leading without a majority counts as not leading: nothing could be agreed on."""
        status = self._status()
        leads = status.leader == self._metadata.peer_id and status.has_quorum and not status.stopped
        term = status.term if leads else None
        self._book.lead(term, self._clock.monotonic_ms())

    # --- commands ---------------------------------------------------------------------------------------

    def _propose(self, command: Command) -> None:
        key = shard_of(command)
        if key in self._underway or len(self._underway) >= PROPOSALS_MAX:
            return  # it is planned again if it is still of use
        task = asyncio.create_task(self._carry_out(command), name="proposal")
        self._underway[key] = task
        task.add_done_callback(lambda _: self._underway.pop(key))

    async def _carry_out(self, command: Command) -> None:
        name = type(command).__name__
        try:
            async with asyncio.timeout(PROPOSE_TIMEOUT_S):
                await self._metadata.propose(command)
        except (TimeoutError, Timeout):
            log.info("controller_command_unanswered", command=name)
        except VecraftError as error:  # rejected: the state has moved on. Or there is no leader now
            log.debug("controller_command_refused", command=name, reason=str(error))
        except Exception:
            log.exception("controller_command_failed", command=name)
        else:
            log.info("controller_command_applied", command=name, shard=shard_of(command))


def shard_of(command: Command) -> ReplicaKey:
    """The shard that a step of the controller is for."""
    match command:
        case FinishTransfer(uuid=uuid, transfer=transfer):
            return uuid, transfer.target_shard_id
        case (
            EvictReplica(shard=ref)
            | PromotePrimary(shard=ref)
            | ListenReplica(shard=ref)
            | ReplicaReady(shard=ref)
            | DropReplica(shard=ref)
            | StartTransfer(shard=ref)
        ):
            return ref.uuid, ref.shard_id
    raise TypeError(f"{type(command).__name__} is no step of the controller")
